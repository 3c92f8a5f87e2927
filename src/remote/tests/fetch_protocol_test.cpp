// SPDX-License-Identifier: Apache-2.0
#include "fetch_protocol.hpp"

#include <gtest/gtest.h>

namespace karapace::remote::protocol {

namespace {

template <typename Alternative>
Alternative round_trip(const Alternative& message) {
  const std::string line = encode(Message(message));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  return std::get<Alternative>(parse_message(line.substr(0, line.size() - 1)));
}

TEST(FetchProtocol, RequestArrivesAsItWasSent) {
  Request request;
  request.options = {.parallel = 3,
                     .retries = 2,
                     .connect_timeout = std::chrono::milliseconds(4),
                     .stall_timeout = std::chrono::milliseconds(5),
                     .slow_timeout = std::chrono::milliseconds(9),
                     .retry_delay = std::chrono::milliseconds(6),
                     .max_retry_delay = std::chrono::milliseconds(7),
                     .grace_after_failure = std::chrono::milliseconds(8)};
  request.files.push_back({.label = "g++ \"4:12\"",
                           .url = "http://h/g%2b%2b",
                           .sha256 = "ab",
                           .size = 1ULL << 60,
                           .accept = "a/b",
                           .authorization = "Bearer x"});
  const Request got = parse_request(encode(request));
  EXPECT_EQ(got.options.parallel, 3U);
  EXPECT_EQ(got.options.retries, 2U);
  EXPECT_EQ(got.options.connect_timeout.count(), 4);
  EXPECT_EQ(got.options.stall_timeout.count(), 5);
  EXPECT_EQ(got.options.slow_timeout.count(), 9);
  EXPECT_EQ(got.options.retry_delay.count(), 6);
  EXPECT_EQ(got.options.max_retry_delay.count(), 7);
  EXPECT_EQ(got.options.grace_after_failure.count(), 8);
  ASSERT_EQ(got.files.size(), 1U);
  EXPECT_EQ(got.files[0].label, request.files[0].label);
  EXPECT_EQ(got.files[0].url, request.files[0].url);
  EXPECT_EQ(got.files[0].sha256, "ab");
  EXPECT_EQ(got.files[0].size, 1ULL << 60);
  EXPECT_EQ(got.files[0].accept, "a/b");
  EXPECT_EQ(got.files[0].authorization, "Bearer x");
}

TEST(FetchProtocol, MessagesArriveAsTheyWereSent) {
  EXPECT_EQ(round_trip(Note{"line\nbreak"}).text, "line\nbreak");
  EXPECT_EQ(round_trip(Verified{"aa"}).sha256, "aa");
  EXPECT_EQ(round_trip(Present{"bb"}).sha256, "bb");
  const Progress progress =
      round_trip(Progress{.bytes = 1, .total = 2, .files_done = 3, .files_total = 4, .rate = 5});
  EXPECT_EQ(progress.bytes, 1U);
  EXPECT_EQ(progress.total, 2U);
  EXPECT_EQ(progress.files_done, 3U);
  EXPECT_EQ(progress.files_total, 4U);
  EXPECT_EQ(progress.rate, 5U);
  const Result result = round_trip(
      Result{.received = 7, .failure = Failure{.code = ErrorCode::NoSpace, .message = "m", .fix = "f"}});
  EXPECT_EQ(result.received, 7U);
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(result.failure->code, ErrorCode::NoSpace);
  EXPECT_EQ(result.failure->message, "m");
  EXPECT_EQ(result.failure->fix, "f");
}

TEST(FetchProtocol, WhatIsNotTheProtocolIsRefused) {
  for (const char* line : {"", "{}", "[]", "{\"bytes\":-1}", "{\"verified\":1}", "{\"result\":{}}", "x"}) {
    EXPECT_THROW(static_cast<void>(parse_message(line)), Error) << line;
  }
  EXPECT_THROW(static_cast<void>(parse_request("{\"files\":[]}")), Error);
}

}  // namespace

}  // namespace karapace::remote::protocol
