// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/image_server.hpp"

#include <fmt/format.h>

#include <functional>

#include "fetch_fixture.hpp"

namespace karapace::remote {

namespace {

#define EXPECT_CONTAINS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

const std::string kSum(64, 'a');

/// As images.linuxcontainers.org writes it, with two builds and two variants.
std::string item(const std::string& ftype, const std::string& name, const std::string& build,
                 const std::string& sum = kSum, const std::string& size = "7") {
  return fmt::format(
      R"("{}":{{"ftype":"{}","sha256":"{}","size":{},"path":"images/debian/bookworm/amd64/default/{}/{}"}})",
      ftype, ftype, sum, size, build, name);
}
std::string version(const std::string& build, const std::string& items) {
  return fmt::format(R"("{}":{{"items":{{{}}}}})", build, items);
}
std::string product(const std::string& key, const std::string& aliases, const std::string& arch,
                    const std::string& variant, const std::string& versions) {
  return fmt::format(
      R"("{}":{{"aliases":"{}","arch":"{}","os":"Debian","release":"bookworm","release_title":"bookworm","requirements":{{}},"variant":"{}","versions":{{{}}}}})",
      key, aliases, arch, variant, versions);
}
std::string products(const std::string& list) {
  return fmt::format(
      R"({{"content_id":"images","datatype":"image-downloads","format":"products:1.0","products":{{{}}}}})",
      list);
}
const std::string kOld = version("20260218_05:24", item("root.tar.xz", "rootfs.tar.xz", "20260218_05%3A24"));
const std::string kNew = version(
    "20260220_05:24", item("lxd.tar.xz", "lxd.tar.xz", "x") + "," + item("squashfs", "rootfs.squashfs", "x") +
                          "," + item("root.tar.xz", "rootfs.tar.xz", "20260220_05:24"));
const std::string kHalf = version("20260221_05:24", item("squashfs", "rootfs.squashfs", "x"));
const std::string kAliases = "debian/bookworm/default,debian/12/default,debian/bookworm,debian/12";

std::string usual() {
  return products(product("debian:bookworm:arm64:default", kAliases, "arm64", "default", kOld) + "," +
                  product("debian:bookworm:amd64:cloud", "debian/12/cloud,debian/bookworm/cloud,debian/12",
                          "amd64", "cloud", kOld) +
                  "," +
                  product("debian:bookworm:amd64:default", kAliases, "amd64", "default",
                          kOld + "," + kNew + "," + kHalf) +
                  "," + product("void:current:amd64:musl", "", "amd64", "musl", kOld) + "," +
                  product("squashed:1:amd64:default", "squashed/1", "amd64", "default", kHalf));
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidInput) << error.what();
    return std::string(error.what()) + " | " + error.fix();
  }
  return "(accepted)";
}

TEST(ImageServer, TheNewestBuildWithATarArchiveIsChosen) {
  for (const char* name : {"debian/12", "debian/bookworm", "debian/12/default", "debian/bookworm/default"}) {
    const ServerImage image = choose_server_image(usual(), name, "amd64", "x");
    EXPECT_EQ(image.version, "20260220_05:24") << name;
    EXPECT_EQ(image.variant, "default");
    EXPECT_EQ(image.path, "images/debian/bookworm/amd64/default/20260220_05%3A24/rootfs.tar.xz");
    EXPECT_EQ(image.sha256, kSum);
    EXPECT_EQ(image.size, 7U);
  }
  EXPECT_EQ(choose_server_image(usual(), "debian/12/cloud", "amd64", "x").variant, "cloud");
  EXPECT_EQ(choose_server_image(usual(), "debian/12", "arm64", "x").version, "20260218_05:24");
  EXPECT_EQ(choose_server_image(usual(), "void/current/musl", "amd64", "x").variant, "musl");
}

TEST(ImageServer, WhatIsNotThereSaysWhatIs) {
  const auto ask = [](const std::string& text, const char* name) {
    return refusal([&] { static_cast<void>(choose_server_image(text, name, "amd64", "images.json")); });
  };
  EXPECT_CONTAINS(ask(usual(), "debian/buster"),
                  "no image 'debian/buster' for amd64 | it has debian/12, debian/bookworm");
  EXPECT_CONTAINS(ask(usual(), "plan9"), "no image 'plan9'");
  EXPECT_CONTAINS(ask(usual(), "squashed/1"), "not as a tar archive");
}

TEST(ImageServer, DamagedAndHostileIndexesAreRefused) {
  const auto with = [](const std::string& versions) {
    return products(product("a:b:amd64:default", "a/b", "amd64", "default", versions));
  };
  const auto path = [](const std::string& where) {
    return version(
        "1", fmt::format(R"("r":{{"ftype":"root.tar.xz","sha256":"{}","size":7,"path":"{}"}})", kSum, where));
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "the index"},
      {"[]", "not a JSON object"},
      {"{}", "not a list of images"},
      {R"({"format":"products:1.0","products":[]})", "not a list of images"},
      {with(path("../../etc/passwd")), "images.json"},
      {with(path("/etc/passwd")), "images.json"},
      {with(path("")), "images.json"},
      {with(version("1", item("root.tar.xz", "x", "1", "abc"))), "no sha256 and size"},
      {with(version("1", item("root.tar.xz", "x", "1", kSum, "-1"))), "no sha256 and size"},
      {with(version("1", item("root.tar.xz", "x", "1", kSum, "0"))), "0 bytes"},
      {with(version("1", item("root.tar.xz", "x", "1", kSum, "99999999999999"))), "bytes, and 1 to"},
      {with(version("a b", item("root.tar.xz", "x", "1"))), "newest build is damaged"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_CONTAINS(refusal([&, &body = text] {
                      static_cast<void>(choose_server_image(body, "a/b", "amd64", "images.json"));
                    }),
                    message);
  }
  // A path that looks like a URL stays a path below the server.
  EXPECT_EQ(choose_server_image(with(path("x?y#z@evil:1/a b")), "a/b", "amd64", "x").path,
            "x%3Fy%23z%40evil%3A1/a%20b");
  EXPECT_CONTAINS(refusal([] { static_cast<void>(parse_stream_index("{}", "index.json")); }),
                  "not an index of images");
  EXPECT_CONTAINS(
      refusal([] {
        static_cast<void>(parse_stream_index(R"({"format":"index:1.0","index":{}})", "index.json"));
      }),
      "lists no images");
}

class ImageServerTest : public FetchTest {
 protected:
  ImageServerTest() : web_(fetch_program(), options_, cancel_) {
    server_.add(
        "/streams/v1/index.json",
        R"({"index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json","format":"products:1.0","products":["a"]}},"format":"index:1.0"})");
    server_.add("/streams/v1/images.json", usual());
  }
  CancelToken cancel_;
  Web web_;
};

TEST_F(ImageServerTest, IsAskedForItsIndexAndThenForItsList) {
  EXPECT_EQ(find_server_image(web_, server_.url(""), "debian/12", "amd64").version, "20260220_05:24");
  server_.set_fault("images.json", {.kind = test::HttpFault::Kind::NotFound});
  EXPECT_CONTAINS(
      refusal([&] { static_cast<void>(find_server_image(web_, server_.url(""), "debian/12", "amd64")); }),
      "image 'debian/12' of http://127.0.0.1");
  server_.set_fault("index.json", {.kind = test::HttpFault::Kind::EndlessBytes});
  EXPECT_CONTAINS(
      refusal([&] { static_cast<void>(find_server_image(web_, server_.url(""), "debian/12", "amd64")); }),
      "more than the 1048576 bytes");
}

}  // namespace

}  // namespace karapace::remote
