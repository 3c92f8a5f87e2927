// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/oci_reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::remote::oci {

namespace {

constexpr std::string_view kHub = "docker.io";
constexpr std::string_view kHubServer = "registry-1.docker.io";
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;

struct Scheme {
  std::string_view text;
  std::optional<bool> plain_http;
};
constexpr std::array kSchemes = {Scheme{"oci:", std::nullopt}, Scheme{"docker:", std::nullopt},
                                 Scheme{"oci+http:", true}, Scheme{"oci+https:", false}};

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Letters and digits, between them ".", "_", "__" or any number of "-".
bool is_path_part(std::string_view part) {
  if (part.empty() || !is_lower_or_digit(part.front()) || !is_lower_or_digit(part.back())) return false;
  for (std::size_t i = 0; i < part.size();) {
    if (is_lower_or_digit(part[i])) {
      ++i;
      continue;
    }
    const auto end = std::ranges::find_if(part.substr(i), is_lower_or_digit) - part.begin();
    const auto between = part.substr(i, static_cast<std::size_t>(end) - i);
    if (between != "." && between != "_" && between != "__" &&
        between.find_first_not_of('-') != std::string::npos)
      return false;
    i = static_cast<std::size_t>(end);
  }
  return true;
}

bool is_repository(std::string_view text) {
  while (true) {
    const auto slash = text.find('/');
    if (!is_path_part(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTag && is_word(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

/// Without its port, and without the brackets of an IPv6 address.
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

bool is_host(std::string_view host) {
  const bool bracketed = host.starts_with('[');
  const auto name = host_name(host);
  if (name.empty() || name.size() > kMaxName) return false;
  auto rest = host.substr(bracketed ? std::min(host.find(']') + 1, host.size()) : name.size());
  if (!rest.empty()) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), port);
    if (rest.front() != ':' || error != std::errc() || end != rest.data() + rest.size() || port == 0 ||
        port > 65535)
      return false;
  }
  if (bracketed) {
    return host.find(']') != std::string_view::npos && std::ranges::all_of(name, [](char c) {
             return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
           });
  }
  return !name.starts_with('-') && !name.starts_with('.') &&
         std::ranges::all_of(name, [](char c) { return is_lower_or_digit(c) || c == '.' || c == '-'; });
}

const Scheme* scheme_of(std::string_view text) noexcept {
  const auto* found =
      std::ranges::find_if(kSchemes, [&](const Scheme& s) { return text.starts_with(s.text); });
  return found == kSchemes.end() ? nullptr : found;
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// A first part that could not be a repository's, or is "localhost", is a host: the rule of docker and
/// podman.
bool begins_with_host(std::string_view first) {
  return first.find_first_of(".:[") != std::string_view::npos || lower_case(first) == "localhost";
}

}  // namespace

std::string Reference::str() const {
  if (!sha256.empty()) return fmt::format("{}@sha256:{}", name(), sha256);
  return fmt::format("{}:{}", name(), tag);
}

std::string Reference::api_url() const {
  const std::string_view server = host == kHub ? kHubServer : std::string_view(host);
  return fmt::format("{}://{}/v2/{}", plain_http ? "http" : "https", server, repository);
}

std::string Reference::target() const { return sha256.empty() ? tag : "sha256:" + sha256; }

bool is_loopback_host(std::string_view host) noexcept {
  const auto name = host_name(host);
  if (name == "localhost" || name == "::1") return true;
  return name.starts_with("127.") &&
         std::ranges::all_of(name, [](char c) { return (c >= '0' && c <= '9') || c == '.'; }) &&
         std::ranges::count(name, '.') == 3;
}

bool looks_like_reference(std::string_view text) noexcept { return scheme_of(text) != nullptr; }

Reference parse_reference(std::string_view text) {
  const std::string_view whole = text;
  const auto refuse = [&](std::string_view reason) {
    throw Error(ErrorCode::InvalidInput, fmt::format("image '{}': {}", printable(whole), reason),
                "write oci:HOST/REPOSITORY:TAG, or oci:HOST/REPOSITORY@sha256:DIGEST");
  };
  const Scheme* scheme = scheme_of(text);
  if (scheme == nullptr) refuse("not the name of an image in a registry");
  text.remove_prefix(scheme->text.size());
  if (text.starts_with("//")) text.remove_prefix(2);

  Reference reference;
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    constexpr std::string_view kSha256 = "sha256:";
    const auto digest = text.substr(at + 1);
    if (!digest.starts_with(kSha256) || !Digest::is_valid(digest.substr(kSha256.size())))
      refuse("a digest is \"sha256:\" and 64 lower-case hexadecimal digits");
    reference.sha256 = digest.substr(kSha256.size());
    text = text.substr(0, at);
  }
  const auto slash = text.find('/');
  if (slash != std::string_view::npos && begins_with_host(text.substr(0, slash))) {
    reference.host = lower_case(text.substr(0, slash));
    text.remove_prefix(slash + 1);
  } else {
    reference.host = kHub;
  }
  if (reference.host == "index.docker.io" || reference.host == kHubServer) reference.host = kHub;
  if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    reference.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_tag(reference.tag)) refuse("the part behind the last colon is no tag");
  }
  if (reference.tag.empty() && reference.sha256.empty()) reference.tag = "latest";
  reference.repository = text;
  if (reference.host == kHub && text.find('/') == std::string_view::npos)
    reference.repository.insert(0, "library/");
  if (!is_host(reference.host)) refuse("its registry is not a host name");
  if (!is_repository(reference.repository) || reference.repository.size() > kMaxName)
    refuse("its repository is not in lower-case letters, digits and single '.', '_', '-' between them");
  reference.plain_http = scheme->plain_http.value_or(is_loopback_host(reference.host));
  return reference;
}

}  // namespace karapace::remote::oci
