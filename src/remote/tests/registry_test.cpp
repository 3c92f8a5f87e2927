// SPDX-License-Identifier: Apache-2.0
// A registry that demands tokens, and one that lies.
#include "karapace/remote/oci_registry.hpp"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

#include "fetch_fixture.hpp"
#include "oci/base64.hpp"

namespace karapace::remote::oci {

namespace {

using test::HttpReply;
using test::HttpRequest;

#define EXPECT_CONTAINS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

std::string header_of(const HttpRequest& request, const std::string& name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string() : found->second;
}

class RegistryTest : public FetchTest {
 protected:
  static constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
  static constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

  RegistryTest() : web_(fetch_program(), options_, cancel_) {
    layer_ = some_bytes(5000);
    config_ = R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:0"]}})";
    manifest_ = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})",
                            kManifestType, describe("application/vnd.oci.image.config.v1+json", config_),
                            describe("application/vnd.oci.image.layer.v1.tar", layer_));
    index_ = fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})", kIndexType,
        describe(kManifestType, manifest_, R"(,"platform":{"os":"linux","architecture":"amd64"})"));
    add_manifest("1", index_);
    add_manifest("sha256:" + sha256_of(index_), index_);
    add_manifest("sha256:" + sha256_of(manifest_), manifest_);
    server_.add("/v2/team/tool/blobs/sha256:" + sha256_of(config_), config_);
    server_.add("/v2/team/tool/blobs/sha256:" + sha256_of(layer_), layer_);
  }
  ~RegistryTest() override { server_.stop(); }  // its handlers use the members

  static std::string describe(const std::string& type, const std::string& content,
                              const std::string& more = {}) {
    return fmt::format(R"({{"mediaType":"{}","digest":"sha256:{}","size":{}{}}})", type, sha256_of(content),
                       content.size(), more);
  }
  void add_manifest(const std::string& name, const std::string& content) {
    server_.add("/v2/team/tool/manifests/" + name, content);
  }
  [[nodiscard]] Reference reference(const std::string& suffix = ":1") const {
    return parse_reference(fmt::format("oci:127.0.0.1:{}/team/tool{}", server_.port(), suffix));
  }
  Registry registry(CredentialSearch credentials = {}, const std::string& suffix = ":1") {
    return {web_, reference(suffix), std::move(credentials)};
  }
  static std::string refusal(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidInput) << error.what();
      return std::string(error.what()) + " | " + error.fix();
    }
    return "(accepted)";
  }
  std::string resolve_refusal(const std::string& suffix = ":1", CredentialSearch credentials = {}) {
    return refusal([&] { static_cast<void>(registry(std::move(credentials), suffix).resolve("amd64")); });
  }

  /// Demands a bearer token, which /token gives: to everybody, or to `user` with `password` only.
  void demand_token(const std::string& user = {}, const std::string& password = {}) {
    server_.set_handler([this, user, password](const HttpRequest& request) -> std::optional<HttpReply> {
      if (request.target.starts_with("/token?") || (request.method == "POST" && request.target == "/token")) {
        const std::string wanted = "Basic " + encode_base64(user + ":" + password);
        const bool known = user.empty() || header_of(request, "authorization") == wanted ||
                           request.body.find("refresh_token=long-lived") != std::string::npos;
        if (!known) return HttpReply{.status = "401 Unauthorized", .headers = {}, .body = "{}"};
        return HttpReply{.body = fmt::format(R"({{"token":"t{}","expires_in":60}})", ++tokens_)};
      }
      if (header_of(request, "authorization") == fmt::format("Bearer t{}", tokens_.load()) &&
          tokens_ > revoked_)
        return std::nullopt;
      return HttpReply{.status = "401 Unauthorized",
                       .headers = fmt::format("WWW-Authenticate: Bearer realm=\"{}\",service=\"reg\","
                                              "scope=\"repository:team/tool:pull\"\r\n",
                                              server_.url("/token")),
                       .body = "{}"};
    });
  }

  CancelToken cancel_;
  Web web_;
  std::string layer_;
  std::string config_;
  std::string manifest_;
  std::string index_;
  std::atomic<int> tokens_ = 0;
  std::atomic<int> revoked_ = 0;
};

TEST_F(RegistryTest, ATagLeadsThroughTheIndexToTheManifestOfThePlatform) {
  const ResolvedImage image = registry().resolve("amd64");
  EXPECT_EQ(image.index_sha256, sha256_of(index_));
  EXPECT_EQ(image.manifest_sha256, sha256_of(manifest_));
  EXPECT_EQ(image.manifest_size, manifest_.size());
  ASSERT_EQ(image.manifest.layers.size(), 1U);
  EXPECT_EQ(image.manifest.layers[0].sha256, sha256_of(layer_));
  EXPECT_EQ(server_.connection_count(), 1U);
  const ResolvedImage direct = registry({}, "@sha256:" + sha256_of(manifest_)).resolve("amd64");
  EXPECT_EQ(direct.index_sha256, "");
  EXPECT_EQ(direct.manifest_sha256, image.manifest_sha256);
}

TEST_F(RegistryTest, AnonymousTokensAreFetchedOnceAndForThisRepository) {
  demand_token();
  auto opened = registry();
  EXPECT_EQ(opened.resolve("amd64").manifest_sha256, sha256_of(manifest_));
  EXPECT_EQ(tokens_, 1);
  const auto requests = server_.requests();
  EXPECT_EQ(requests.at(1).target, "/token?service=reg&scope=repository%3Ateam%2Ftool%3Apull");
  EXPECT_EQ(header_of(requests.at(1), "authorization"), "");
  EXPECT_EQ(opened.authorization(sha256_of(manifest_)), "Bearer t1");
  revoked_ = 1;
  opened.forget_authorization();
  EXPECT_EQ(opened.authorization(sha256_of(manifest_)), "Bearer t2");
}

TEST_F(RegistryTest, CredentialsAndIdentityTokensBuyTokens) {
  demand_token("me", "secret");
  EXPECT_CONTAINS(resolve_refusal(), "only for those who log in | log in: podman login 127.0.0.1");
  EXPECT_CONTAINS(resolve_refusal(":1", {.found = Credentials{"me", "wrong", ""}, .helper = {}}),
                  "does not accept");
  EXPECT_CONTAINS(resolve_refusal(":1", {.found = std::nullopt, .helper = "desktop"}),
                  "docker-credential-desktop");
  auto known = registry({.found = Credentials{"me", "secret", ""}, .helper = {}});
  EXPECT_EQ(known.resolve("amd64").manifest_sha256, sha256_of(manifest_));
  auto identified = registry({.found = Credentials{"<token>", "", "long-lived"}, .helper = {}});
  EXPECT_EQ(identified.resolve("amd64").manifest_sha256, sha256_of(manifest_));
}

TEST_F(RegistryTest, PasswordsAreSentWhereBasicIsDemanded) {
  const std::string wanted = "Basic " + encode_base64("me:secret");
  server_.set_handler([wanted](const HttpRequest& request) -> std::optional<HttpReply> {
    if (header_of(request, "authorization") == wanted) return std::nullopt;
    return HttpReply{
        .status = "401 Unauthorized", .headers = "WWW-Authenticate: Basic realm=\"r\"\r\n", .body = {}};
  });
  EXPECT_CONTAINS(resolve_refusal(), "only for those who log in");
  auto known = registry({.found = Credentials{"me", "secret", ""}, .helper = {}});
  EXPECT_EQ(known.resolve("amd64").manifest_sha256, sha256_of(manifest_));
}

TEST_F(RegistryTest, SecretsNeverFollowARedirectToAnotherServer) {
  test::HttpTestServer other;
  other.add("/moved", index_);
  demand_token("me", "secret");
  auto known = registry({.found = Credentials{"me", "secret", ""}, .helper = {}});
  static_cast<void>(known.resolve("amd64"));
  server_.set_fault("/manifests/1",
                    {.kind = test::HttpFault::Kind::Redirect, .location = other.url("/moved")});
  EXPECT_EQ(known.resolve("amd64").manifest_sha256, sha256_of(manifest_));
  ASSERT_EQ(other.requests().size(), 1U);
  EXPECT_EQ(header_of(other.requests()[0], "authorization"), "");
  // And what that server demands is not heard.
  other.set_handler([&other](const HttpRequest& request) -> std::optional<HttpReply> {
    if (request.target.starts_with("/steal")) return HttpReply{.body = R"({"token":"x"})"};
    return HttpReply{.status = "401 Unauthorized",
                     .headers = "WWW-Authenticate: Bearer realm=\"" + other.url("/steal") + "\"\r\n",
                     .body = {}};
  });
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(known.resolve("amd64")); }), "answers 401");
  EXPECT_EQ(other.request_count("/steal"), 0U);
}

TEST_F(RegistryTest, TokenServersThatAnybodyCouldHearAreRefused) {
  const auto demand = [&](const std::string& realm) {
    server_.set_handler([realm](const HttpRequest&) -> std::optional<HttpReply> {
      return HttpReply{.status = "401 Unauthorized",
                       .headers = "WWW-Authenticate: Bearer realm=\"" + realm + "\"\r\n",
                       .body = {}};
    });
    return resolve_refusal(":1", {.found = Credentials{"me", "secret", ""}, .helper = {}});
  };
  EXPECT_CONTAINS(demand("http://far.example/token"), "where anybody could listen");
  EXPECT_CONTAINS(demand("file:///etc/passwd"), "which is refused");
  EXPECT_CONTAINS(demand("http://127.0.0.1@far.example/token"), "which is refused");
  EXPECT_CONTAINS(demand("gopher://x"), "which is refused");
}

TEST_F(RegistryTest, LiesAreRefusedWithTheNameOfTheImage) {
  const std::string name = reference().str();
  const auto expect = [&](const std::string& message, const std::string& suffix = ":1") {
    const std::string result = resolve_refusal(suffix);
    EXPECT_CONTAINS(result, message);
    EXPECT_CONTAINS(result, reference(suffix).str());
  };
  const std::string other = manifest_ + "\n";
  add_manifest("sha256:" + sha256_of(manifest_), other);
  expect("its manifest is not what it should be: sha256:" + sha256_of(manifest_));
  expect("its manifest is not what it should be", "@sha256:" + sha256_of(manifest_));
  add_manifest("sha256:" + sha256_of(manifest_), manifest_);
  add_manifest("sha256:" + sha256_of(index_), "{}");
  expect("is not what it should be: sha256:" + sha256_of(index_), "@sha256:" + sha256_of(index_));
  server_.add("/v2/team/tool/blobs/sha256:" + sha256_of(config_), config_ + " ");
  expect("its configuration is not what it should be");
  server_.add("/v2/team/tool/blobs/sha256:" + sha256_of(config_), config_);
  add_manifest("1", "<html>");
  expect("the document");
  add_manifest("1", std::string(kMaxManifestBytes + 1, ' '));
  expect("more than the 4194304 bytes");
  server_.set_fault("/manifests/1", {.kind = test::HttpFault::Kind::EndlessBytes});
  expect("more than the 4194304 bytes");
  server_.set_fault("/manifests/1",
                    {.kind = test::HttpFault::Kind::Redirect, .location = "file:///etc/passwd"});
  expect("which is refused");
  server_.set_fault("/manifests/1", {.kind = test::HttpFault::Kind::Redirect,
                                     .location = server_.url("/v2/team/tool/manifests/1")});
  expect("more than 5 redirects");
  server_.set_fault("/manifests/1", {.kind = test::HttpFault::Kind::NotFound});
  expect("there is no such image");
}

TEST_F(RegistryTest, AnAnnouncedDigestThatDoesNotFitIsRefused) {
  server_.set_handler([this](const HttpRequest& request) -> std::optional<HttpReply> {
    if (!request.target.ends_with("/manifests/1")) return std::nullopt;
    return HttpReply{.headers = "Docker-Content-Digest: sha256:" + std::string(64, '0') + "\r\n",
                     .body = index_};
  });
  EXPECT_CONTAINS(resolve_refusal(), "sends other bytes than it announces");
}

TEST_F(RegistryTest, IndexesWithoutAnEndAndWrongSizesAreRefused) {
  std::string inner = manifest_;
  std::string type = kManifestType;
  for (int i = 0; i < 5; ++i) {
    add_manifest("sha256:" + sha256_of(inner), inner);
    inner = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})", kIndexType,
                        describe(type, inner, R"(,"platform":{"os":"linux","architecture":"amd64"})"));
    type = kIndexType;
  }
  add_manifest("deep", inner);
  EXPECT_CONTAINS(resolve_refusal(":deep"), "indexes in indexes");
  std::string wrong = index_;
  const std::string size = fmt::format("\"size\":{}", manifest_.size());
  wrong.replace(wrong.find(size), size.size(), "\"size\":1");
  add_manifest("wrong", wrong);
  EXPECT_CONTAINS(resolve_refusal(":wrong"), "and 1 were announced");
}

TEST_F(RegistryTest, ABusyServerIsAskedAgainAndABrokenOneReported) {
  server_.set_fault("/manifests/1", {.kind = test::HttpFault::Kind::Unavailable, .times = 2});
  server_.set_fault("/manifests/sha256", {.kind = test::HttpFault::Kind::DropAtOnce, .times = 1});
  EXPECT_EQ(registry().resolve("amd64").manifest_sha256, sha256_of(manifest_));
  server_.set_fault("/manifests/1", {.kind = test::HttpFault::Kind::Unavailable});
  EXPECT_CONTAINS(resolve_refusal(), "the registry answers 503");
}

TEST_F(RegistryTest, AQuestionThatHangsCanBeCancelledAndAskedAgain) {
  const auto gate = server_.add_gate("/v2/team/tool/manifests/1");
  auto opened = registry();
  std::thread caller([&] { EXPECT_THROW(static_cast<void>(opened.resolve("amd64")), Cancelled); });
  EXPECT_TRUE(gate->wait_for_arrival());
  cancel_.request(SIGINT);
  caller.join();
  gate->open();
  cancel_.reset();
  EXPECT_EQ(opened.resolve("amd64").manifest_sha256, sha256_of(manifest_));
}

TEST_F(RegistryTest, BlobsComeWithTheTokenAndSayWhenItHasEnded) {
  demand_token();
  auto opened = registry();
  const ResolvedImage image = opened.resolve("amd64");
  Download blob{.label = "layer",
                .url = opened.blob_url(sha256_of(layer_)),
                .sha256 = sha256_of(layer_),
                .size = layer_.size()};
  try {
    static_cast<void>(fetch({blob}));
    ADD_FAILURE() << "fetched without a token";
  } catch (const Unauthorized& error) {
    EXPECT_CONTAINS(error.what(), "401 Unauthorized");
  }
  blob.authorization = opened.authorization(image.manifest_sha256);
  EXPECT_EQ(fetch({blob}).fetched, 1U);
  EXPECT_EQ(stored(blob), layer_);
}

TEST_F(RegistryTest, ATokenDoesNotGoWithABlobThatLiesElsewhere) {
  test::HttpTestServer other;
  other.add("/blob", layer_);
  Download blob{
      .label = "layer", .url = server_.url("/v2/blob"), .sha256 = sha256_of(layer_), .size = layer_.size()};
  blob.authorization = "Bearer secret";
  blob.accept = "text/x-blob";
  server_.set_fault("/v2/blob", {.kind = test::HttpFault::Kind::Redirect, .location = other.url("/blob")});
  EXPECT_EQ(fetch({blob}).fetched, 1U);
  EXPECT_EQ(header_of(server_.requests().at(0), "authorization"), "Bearer secret");
  EXPECT_EQ(header_of(server_.requests().at(0), "accept"), "text/x-blob");
  EXPECT_EQ(header_of(other.requests().at(0), "authorization"), "");
  blob.authorization = "Bearer x\r\nHost: evil";
  blob.sha256 = std::string(64, '1');
  EXPECT_CONTAINS(refusal([&] { static_cast<void>(fetch({blob})); }), "no server would understand");
}

}  // namespace

}  // namespace karapace::remote::oci
