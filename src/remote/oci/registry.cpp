// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/oci_registry.hpp"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "fetch_checks.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"
#include "oci/base64.hpp"
#include "oci/challenge.hpp"

namespace karapace::remote::oci {

namespace {

// An index may name indexes; nobody needs more than two.
constexpr unsigned kMaxIndexDepth = 3;
constexpr std::size_t kMaxTokenBytes = std::size_t{64} * 1024;

void check_digest(const DocumentSource::Document& document, const std::string& expected,
                  std::string_view what, std::string_view part) {
  if (document.sha256 == expected) return;
  throw Error(ErrorCode::InvalidInput, fmt::format("{}: its {} is not what it should be: sha256:{} expected, "
                                                   "sha256:{} found",
                                                   printable(what, 400), part, expected, document.sha256));
}

void check_descriptor(const DocumentSource::Document& document, const Descriptor& expected,
                      std::string_view what, std::string_view part) {
  check_digest(document, expected.sha256, what, part);
  if (document.bytes.size() == expected.size) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{}: its {} sha256:{} has {} bytes, and {} were announced", printable(what, 400),
                          part, expected.sha256, document.bytes.size(), expected.size));
}

/// "https://host:1/x" -> "host:1"
std::string_view host_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  return url.substr(0, url.find_first_of("/?#"));
}

}  // namespace

ResolvedImage resolve_image(DocumentSource& source, DocumentSource::Document first,
                            std::string_view architecture, std::string_view what) {
  ResolvedImage image;
  DocumentSource::Document document = std::move(first);
  for (unsigned depth = 0;; ++depth) {
    Document parsed = parse_document(document.bytes, document.media_type, what);
    if (auto* manifest = std::get_if<ImageManifest>(&parsed)) {
      image.manifest = std::move(*manifest);
      break;
    }
    if (depth == kMaxIndexDepth)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{}: indexes in indexes without an end", printable(what, 400)));
    if (image.index_sha256.empty()) image.index_sha256 = document.sha256;
    const Descriptor chosen = choose_platform(std::get<Index>(parsed), architecture, what);
    document = source.manifest(chosen.sha256);
    check_descriptor(document, chosen, what, "manifest");
    // The index says what it leads to; a server that calls it something else is refused by parse_document.
    if (!chosen.media_type.empty()) document.media_type = chosen.media_type;
  }
  image.manifest_sha256 = document.sha256;
  image.manifest_size = document.bytes.size();
  const auto config = source.config(image.manifest.config.sha256);
  check_descriptor(config, image.manifest.config, what, "configuration");
  require_platform(parse_config(config.bytes, image.manifest, what), architecture, what);
  return image;
}

Registry::Registry(Web& web, Reference reference, CredentialSearch credentials)
    : web_(web), reference_(std::move(reference)), credentials_(std::move(credentials)) {}

ResolvedImage Registry::resolve(std::string_view architecture) {
  const std::string name = reference_.str();
  Document first = get(fmt::format("{}/manifests/{}", reference_.api_url(), reference_.target()),
                       kAcceptedDocuments, kMaxManifestBytes);
  if (!reference_.sha256.empty()) check_digest(first, reference_.sha256, name, "manifest");
  return resolve_image(*this, std::move(first), architecture, name);
}

DocumentSource::Document Registry::manifest(const std::string& sha256) {
  return get(manifest_url(sha256), kAcceptedDocuments, kMaxManifestBytes);
}

DocumentSource::Document Registry::config(const std::string& sha256) {
  Document document = get(blob_url(sha256), {}, kMaxConfigBytes);
  document.media_type.clear();  // a blob is a blob
  return document;
}

std::string Registry::manifest_url(const std::string& sha256) const {
  return fmt::format("{}/manifests/sha256:{}", reference_.api_url(), sha256);
}

std::string Registry::blob_url(const std::string& sha256) const {
  return fmt::format("{}/blobs/sha256:{}", reference_.api_url(), sha256);
}

std::string Registry::authorization(const std::string& sha256) {
  if (authorization_.empty()) check_digest(manifest(sha256), sha256, reference_.str(), "manifest");
  return authorization_;
}

DocumentSource::Document Registry::get(const std::string& url, const std::string& accept, std::size_t limit) {
  return with_context(
      [&] { return reference_.str(); },
      [&]() -> Document {
        WebRequest request{
            .url = url, .accept = accept, .authorization = authorization_, .form = {}, .max_bytes = limit};
        WebReply reply = web_.ask(request);
        if (reply.status == 401) {
          authorize(reply);
          request.authorization = authorization_;
          reply = web_.ask(request);
        }
        if (reply.status != 200) refuse_status(reply);
        constexpr std::string_view kSha256 = "sha256:";
        if (reply.content_digest.starts_with(kSha256) &&
            reply.content_digest.substr(kSha256.size()) != reply.sha256)
          refuse(fmt::format("the registry sends other bytes than it announces: {} expected, sha256:{} found",
                             printable(reply.content_digest), reply.sha256));
        return {.bytes = std::move(reply.body),
                .sha256 = std::move(reply.sha256),
                .media_type = std::move(reply.media_type)};
      });
}

void Registry::authorize(const WebReply& refusal) {
  const Challenge* basic = nullptr;
  std::vector<Challenge> challenges;
  for (const std::string& header : refusal.challenges) {
    for (Challenge& challenge : parse_challenges(header)) challenges.push_back(std::move(challenge));
  }
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == "basic") basic = &challenge;
    if (challenge.scheme != "bearer" || challenge.get("realm").empty()) continue;
    std::string scope = challenge.get("scope");
    if (scope.empty()) scope = fmt::format("repository:{}:pull", reference_.repository);
    authorization_ = "Bearer " + ask_for_token(challenge.get("realm"), challenge.get("service"), scope);
    return;
  }
  if (basic == nullptr || !credentials_.found || credentials_.found->user.empty()) refuse_status(refusal);
  authorization_ =
      "Basic " + encode_base64(fmt::format("{}:{}", credentials_.found->user, credentials_.found->password));
}

std::string Registry::ask_for_token(const std::string& realm, const std::string& service,
                                    const std::string& scope) {
  if (!is_web_address(realm) || realm.find_first_of("@\\") != std::string::npos)
    refuse(fmt::format("the registry sends us to '{}' for a token, which is refused", printable(realm)));
  const bool plain = !realm.starts_with("https://");
  if (plain &&
      !(reference_.plain_http && (is_loopback_host(host_of(realm)) || host_of(realm) == reference_.host)))
    refuse(fmt::format("the registry sends us to '{}' for a token, where anybody could listen",
                       printable(realm)));
  WebRequest request;
  request.max_bytes = kMaxTokenBytes;
  request.url = realm;
  const bool by_identity = credentials_.found && !credentials_.found->identity_token.empty();
  if (by_identity) {
    request.form =
        fmt::format("grant_type=refresh_token&client_id=karapace&service={}&scope={}&refresh_token={}",
                    percent_encoded(service), percent_encoded(scope),
                    percent_encoded(credentials_.found->identity_token));
  } else {
    request.url += realm.find('?') == std::string::npos ? '?' : '&';
    if (!service.empty()) request.url += fmt::format("service={}&", percent_encoded(service));
    request.url += fmt::format("scope={}", percent_encoded(scope));
    if (credentials_.found)
      request.authorization = "Basic " + encode_base64(fmt::format("{}:{}", credentials_.found->user,
                                                                   credentials_.found->password));
  }
  const WebReply reply = web_.ask(request);
  if (reply.status != 200) refuse_status(reply);
  const Json json = parse_json(reply.body, "the token", {.max_bytes = kMaxTokenBytes, .max_depth = 8});
  for (const char* key : {"token", "access_token"}) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) continue;
    auto token = found->get<std::string>();
    if (!token.empty() && is_header_value(token)) return token;
  }
  refuse("its token server gives no token");
}

void Registry::refuse(std::string_view reason, std::string fix) const {
  throw Error(ErrorCode::InvalidInput, std::string(reason), std::move(fix));
}

void Registry::refuse_status(const WebReply& reply) const {
  if (reply.status == 401 || reply.status == 403) {
    std::string fix = fmt::format("log in: podman login {}", reference_.host);
    if (!credentials_.helper.empty() && !credentials_.found)
      fix = fmt::format(
          "your credentials are with the helper docker-credential-{}, which is not started: "
          "podman login {}",
          printable(credentials_.helper), reference_.host);
    refuse(fmt::format("the registry answers {}: {}", reply.status,
                       credentials_.found
                           ? "it does not accept the credentials that are kept for it, or there is "
                             "no such image"
                           : "there is no such image, or only for those who log in"),
           std::move(fix));
  }
  if (reply.status == 404) refuse("there is no such image", "check its name and tag");
  refuse(fmt::format("the registry answers {}", reply.status));
}

}  // namespace karapace::remote::oci
