// SPDX-License-Identifier: Apache-2.0
#include "karapace/runtime/plan/launch_plan.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include <fstream>
#include <random>

#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"
#include "karapace/runtime/plan/holder_record.hpp"

namespace karapace::runtime {
namespace {

class RandomPlan {
 public:
  explicit RandomPlan(unsigned seed) : engine_(seed) {}

  LaunchPlan make() {
    LaunchPlan plan;
    plan.mode = static_cast<LaunchMode>(number(2));
    plan.env_id = text();
    fill(plan.environment);
    fill(plan.process);
    for (int* fd : {&plan.store_root_fd, &plan.sessions_lock_fd, &plan.start_lock_fd, &plan.run_dir_fd,
                    &plan.holder_pidfd, &plan.status_fd})
      *fd = static_cast<int>(number(200)) - 1;
    return plan;
  }

 private:
  std::uint32_t number(std::uint32_t most) {
    return std::uniform_int_distribution<std::uint32_t>(0, most)(engine_);
  }
  bool flag() { return number(1) == 1; }
  std::string text() {
    std::string result(number(40), '\0');
    for (char& c : result) c = static_cast<char>(number(255));
    return result;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> result(number(4));
    for (std::string& item : result) item = text();
    return result;
  }
  void fill(std::vector<IdExtent>& extents) {
    extents.resize(number(3));
    for (IdExtent& extent : extents)
      extent = IdExtent{number(UINT32_MAX), number(UINT32_MAX), number(UINT32_MAX)};
  }
  void fill(EnvironmentPlan& environment) {
    fill(environment.ids.uids);
    fill(environment.ids.gids);
    environment.ids.use_helpers = flag();
    if (flag()) environment.nested_user = NestedUser{number(9), number(9)};
    environment.isolate_network = flag();
    environment.hostname = text();
    if (flag()) environment.root = OverlayRoot{texts(), text(), text(), text(), text()};
    environment.mounts.resize(number(5));
    for (MountStep& step : environment.mounts) fill(step);
  }
  void fill(MountStep& step) {
    step.kind = static_cast<MountKind>(number(8));
    step.source = text();
    step.target = text();
    for (bool* value : {&step.read_only, &step.recursive, &step.no_exec, &step.allow_devices,
                        &step.create_target, &step.optional})
      *value = flag();
    step.mode = number(07777);
    step.options = text();
    step.uid = number(70000);
    step.gid = number(70000);
    step.source_fd = static_cast<int>(number(9)) - 1;
  }
  void fill(ProcessPlan& process) {
    process.argv = texts();
    process.login_shells = texts();
    for (const std::string& name : texts()) process.environment.emplace_back(name, text());
    process.working_directories = texts();
    process.uid = number(70000);
    process.gid = number(70000);
    for (bool* value : {&process.nested_user_namespace, &process.drop_all_capabilities,
                        &process.no_new_privileges, &process.emulate_ownership})
      *value = flag();
    for (std::uint32_t i = number(16); i > 0; --i)
      process.seccomp_filter.push_back(static_cast<std::uint8_t>(number(255)));
    process.terminal = static_cast<TerminalMode>(number(1));
    process.terminal_prologue = text();
    process.terminal_epilogue = text();
    process.umask = number(0777);
    for (const std::string& name : texts()) process.limits_reserved.emplace_back(name, text());
    for (std::uint32_t i = number(3); i > 0; --i) process.keep_fds.push_back(static_cast<int>(number(99)));
  }

  std::mt19937 engine_;
};

TEST(LaunchPlan, WhatIsEncodedDecodesEqual) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const LaunchPlan plan = RandomPlan(seed).make();
    ASSERT_EQ(decode_plan(encode_plan(plan)), plan);
  }
}

TEST(LaunchPlan, EveryCutOffPlanIsRefused) {
  const std::string bytes = encode_plan(RandomPlan(7).make());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE(length);
    ASSERT_THROW(static_cast<void>(decode_plan(std::string_view(bytes).substr(0, length))), Error);
  }
}

TEST(LaunchPlan, SomethingAfterItsEndIsRefused) {
  EXPECT_THROW(static_cast<void>(decode_plan(encode_plan(LaunchPlan{}) + '\0')), Error);
}

TEST(LaunchPlan, ADamagedByteIsRefusedOrDecodesToExactlyThoseBytes) {
  const std::string bytes = encode_plan(RandomPlan(11).make());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    SCOPED_TRACE(at);
    try {
      ASSERT_EQ(encode_plan(decode_plan(damaged)), damaged);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::InvalidInput);
    }
  }
}

TEST(LaunchPlan, ACountBeyondThePlanAllocatesNothing) {
  // Four billion id extents, announced by a plan of a few bytes.
  std::string bytes = encode_plan(LaunchPlan{}).substr(0, 8);
  bytes += std::string(1 + 4, '\0');  // mode and an empty env_id
  bytes += "\xff\xff\xff\xff";
  EXPECT_THROW(static_cast<void>(decode_plan(bytes)), Error);
}

TEST(LaunchPlan, CorpusOfTheFuzzerIsUpToDate) {
  // A corpus that no longer decodes would test nothing but the version mark.
  std::ifstream file(std::string(KARAPACE_SOURCE_DIR) + "/src/runtime/fuzz/corpus/launch_plan/session.bin",
                     std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const LaunchPlan plan = decode_plan(bytes);
  EXPECT_EQ(plan.mode, LaunchMode::Start);
  EXPECT_FALSE(plan.environment.mounts.empty());
}

TEST(LaunchPlan, IsExplainedAsJsonEvenWithBytesThatAreNoText) {
  LaunchPlan plan = RandomPlan(3).make();
  plan.process.argv = {"\xff\xfe"};
  const Json json = parse_json(explain_plan(plan), "explanation");
  EXPECT_EQ(json.at("process").at("command").at(0), "\\xff\\xfe");
}

TEST(HolderRecord, ComesBackAsItWasWritten) {
  const HolderRecord record{4711, 98765432100, "0b4a7d0e-1c2d-4e3f-8a9b-0123456789ab"};
  EXPECT_EQ(parse_holder_record(format_holder_record(record)), record);
}

TEST(HolderRecord, AProcessThatIsAboutToGoIsNone) {
  std::array<char, 16> before{};
  ASSERT_EQ(::prctl(PR_GET_NAME, before.data()), 0);
  ASSERT_TRUE(observe_process(::getpid()));
  ::prctl(PR_SET_NAME, kLeavingName);
  EXPECT_FALSE(observe_process(::getpid()));
  ::prctl(PR_SET_NAME, before.data());
  EXPECT_TRUE(observe_process(::getpid()));
}

TEST(HolderRecord, HalfOfOneIsNone) {
  const std::string text = format_holder_record({1, 2, "0b4a7d0e-1c2d-4e3f-8a9b-0123456789ab"});
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_holder_record(std::string_view(text).substr(0, length))) << length;
  EXPECT_FALSE(parse_holder_record(
      "{\"pid\":-5,\"start_time\":2,\"boot_id\":\"0b4a7d0e-1c2d-4e3f-8a9b-0123456789ab\"}\n"));
}

TEST(HolderRecord, NamesThisProcessAndNoneThatEnded) {
  const auto self = observe_process(::getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(self->pid, ::getpid());
  EXPECT_GT(self->start_time, 0U);
  EXPECT_FALSE(observe_process(0x3fffffff));
}

}  // namespace
}  // namespace karapace::runtime
