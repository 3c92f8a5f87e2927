// SPDX-License-Identifier: Apache-2.0
// Downloads against a server that behaves, and how interrupted ones are continued.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <memory>
#include <thread>

#include "fetch_fixture.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::remote {

namespace {

using test::HttpFault;
using Ranges = std::vector<std::string>;

constexpr std::size_t kMiB = std::size_t{1024} * 1024;

TEST_F(FetchTest, FilesArriveInTheStoreAndASecondCallAsksNobody) {
  const std::string content = some_bytes(3 * kMiB);
  const std::vector<Download> files{serve("/one.deb", content), serve("/two.deb", "two")};
  FetchReport report = fetch(files);
  EXPECT_EQ(report.fetched, 2U);
  EXPECT_EQ(report.skipped, 0U);
  EXPECT_EQ(report.bytes, content.size() + 3);
  EXPECT_EQ(stored(files[0]), content);
  EXPECT_EQ(stored(files[1]), "two");
  EXPECT_FALSE(has_part(files[0]));

  report = fetch(files);
  EXPECT_EQ(report.fetched, 0U);
  EXPECT_EQ(report.skipped, 2U);
  EXPECT_EQ(report.bytes, 0U);
  EXPECT_EQ(server_.requests().size(), 2U);
}

TEST_F(FetchTest, ManyFilesUseFewConnections) {
  std::vector<Download> files;
  for (unsigned i = 0; i < 100; ++i)
    files.push_back(serve(fmt::format("/{}.deb", i), some_bytes(1000 + i, i)));
  EXPECT_EQ(fetch(files).fetched, 100U);
  EXPECT_LE(server_.connection_count(), options_.parallel);
}

TEST_F(FetchTest, TransfersRunSideBySide) {
  std::vector<Download> files;
  std::vector<std::shared_ptr<test::Gate>> gates;
  for (unsigned i = 0; i < options_.parallel; ++i) {
    const std::string path = fmt::format("/{}.deb", i);
    files.push_back(serve(path, some_bytes(1000, i)));
    gates.push_back(server_.add_gate(path));
  }
  std::thread caller([&] { EXPECT_EQ(fetch(files).fetched, files.size()); });
  // Each is half-way, and none of them can end before all are.
  for (const auto& gate : gates) EXPECT_TRUE(gate->wait_for_arrival());
  for (const auto& gate : gates) gate->open();
  caller.join();
}

TEST_F(FetchTest, ProgressEndsWithAllBytes) {
  const std::vector<Download> files{serve("/one", some_bytes(kMiB)), serve("/two", some_bytes(10, 2))};
  fetch(files);
  EXPECT_EQ(progress_.last_step(), "download");
  EXPECT_EQ(progress_.last_bytes(), kMiB + 10);
  EXPECT_EQ(progress_.last_total(), kMiB + 10);
}

TEST_F(FetchTest, SameContentIsFetchedOnce) {
  Download one = serve("/one", "same");
  Download two = serve("/two", "same");
  const FetchReport report = fetch({one, two});
  EXPECT_EQ(report.fetched, 1U);
  EXPECT_EQ(report.skipped, 1U);
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(FetchTest, FileOfUnknownSizeIsFetchedAndContinued) {
  const std::string content = some_bytes(2 * kMiB);
  Download file = serve("/base.tar", content);
  file.size = 0;
  leave_part(file, content.substr(0, kMiB));
  EXPECT_EQ(fetch({file}).bytes, kMiB);
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(progress_.last_total(), content.size());
}

TEST_F(FetchTest, FileWithoutBytesIsAFile) {
  const Download file = serve("/empty", "");
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), "");
}

TEST_F(FetchTest, RequestsSayWhoAsksAndThatBytesMustNotBePacked) {
  fetch({serve("/one", "one")});
  const auto headers = server_.requests().at(0).headers;
  EXPECT_EQ(headers.at("accept-encoding"), "identity");
  EXPECT_TRUE(headers.at("user-agent").starts_with("karapace/0.")) << headers.at("user-agent");
}

TEST_F(FetchTest, ProxyOfTheEnvironmentIsAsked) {
  Download file = serve("/pool/one.deb", "one");
  file.url = "http://mirror.invalid/pool/one.deb";
  ::setenv("http_proxy", server_.url("").c_str(), 1);
  EXPECT_EQ(fetch({file}).fetched, 1U);
  ::unsetenv("http_proxy");
  EXPECT_EQ(server_.requests().at(0).target, file.url);
}

TEST_F(FetchTest, ContinuesWhatAnInterruptedCallLeft) {
  const std::string content = some_bytes(10 * kMiB);
  const Download file = serve("/one", content);
  leave_part(file, content.substr(0, 9 * kMiB + 7));
  EXPECT_EQ(fetch({file}).bytes, kMiB - 7);
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(ranges(), (Ranges{fmt::format("bytes={}-", 9 * kMiB + 7)}));
}

TEST_F(FetchTest, CompletePartIsTakenWithoutARequest) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, content);
  const FetchReport report = fetch({file});
  EXPECT_EQ(report.fetched, 1U);
  EXPECT_EQ(report.bytes, 0U);
  EXPECT_EQ(stored(file), content);
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(FetchTest, WrongPartIsReplacedFromScratch) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, some_bytes(1000, 99));
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(ranges(), (Ranges{"bytes=1000-", ""}));
}

TEST_F(FetchTest, WrongPartOfFullLengthIsReplaced) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, some_bytes(kMiB, 99));
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), content);
}

TEST_F(FetchTest, PartThatIsTooLongIsReplaced) {
  const Download file = serve("/one", "short");
  leave_part(file, "longer than it may be");
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), "short");
}

TEST_F(FetchTest, ServerThatIgnoresRangesIsReadFromItsFirstByte) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, content.substr(0, 1000));
  server_.set_fault("/one", {.kind = HttpFault::Kind::IgnoreRange});
  EXPECT_EQ(fetch({file}).bytes, content.size());
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(FetchTest, AnotherRangeThanAskedForIsNotAppended) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, content.substr(0, 1000));
  server_.set_fault("/one", {.kind = HttpFault::Kind::WrongRange});
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(ranges(), (Ranges{"bytes=1000-", ""}));
}

// Left by a process that ended between giving the bytes their name in the store and removing the old one.
TEST_F(FetchTest, PartThatSharesItsInodeWithTheStoreIsNeverWritten) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  leave_part(file, "precious");
  ASSERT_EQ(try_link_at(layout_.store(), "downloads/" + file.sha256 + ".part", layout_.root(), "other"),
            LinkResult::Linked);
  EXPECT_EQ(fetch({file}).fetched, 1U);
  EXPECT_EQ(stored(file), content);
  EXPECT_EQ(read_file_at(layout_.root(), "other", 100), "precious");
}

TEST_F(FetchTest, SymlinkInPlaceOfAPartIsNotFollowed) {
  const Download file = serve("/one", "one");
  const UniqueFd target = open_beneath(layout_.root(), "target", O_WRONLY | O_CREAT);
  write_all(target, "keep");
  ensure_directory_at(layout_.store(), "downloads");
  symlink_at(root_.path() + "/target", layout_.store(), "downloads/" + file.sha256 + ".part");
  EXPECT_THROW(fetch({file}), Error);
  EXPECT_EQ(read_file_at(layout_.root(), "target", 100), "keep");
  EXPECT_EQ(stored(file), "(missing)");
}

TEST_F(FetchTest, SecondProcessWaitsAndFindsTheFileDone) {
  const std::string content = some_bytes(kMiB);
  const Download file = serve("/one", content);
  const auto gate = server_.add_gate("/one");
  std::thread first([&] { EXPECT_EQ(fetch({file}).fetched, 1U); });
  ASSERT_TRUE(gate->wait_for_arrival());
  RecordingProgress waiting;
  std::thread second([&] {
    const FetchReport report = fetch({file}, waiting);
    EXPECT_EQ(report.fetched + report.skipped, 1U);
    EXPECT_EQ(report.bytes, 0U);
  });
  EXPECT_TRUE(waiting.wait_for_note());
  gate->open();
  first.join();
  second.join();
  EXPECT_EQ(server_.requests().size(), 1U);
  EXPECT_EQ(stored(file), content);
  EXPECT_FALSE(has_part(file));
}

TEST_F(FetchTest, CancelledDownloadKeepsItsPartAndIsContinued) {
  const std::string content = some_bytes(2 * kMiB);
  const Download file = serve("/one", content);
  const auto gate = server_.add_gate("/one");
  std::thread caller([&] { EXPECT_THROW(fetch({file}), Cancelled); });
  EXPECT_TRUE(progress_.wait_for_bytes(kMiB));
  CancelToken::process().request(SIGINT);
  caller.join();
  EXPECT_EQ(part_size(file), kMiB);

  CancelToken::process().reset();
  gate->open();
  EXPECT_EQ(fetch({file}).bytes, kMiB);
  EXPECT_EQ(stored(file), content);
}

}  // namespace

}  // namespace karapace::remote
