// SPDX-License-Identifier: Apache-2.0
// migrate on the real binary: a store of format 1 made of one of format 2.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliMigrate : public CliTest {
 protected:
  void put(const std::string& path, std::string_view text) {
    std::ofstream(store() + "/" + path, std::ios::binary) << text;
  }
  std::string get(const std::string& path) {
    std::ifstream file(store() + "/" + path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// Two environments whose records have no checksum.
  void make_old_store() {
    ids = {build_mock("one", "'git'")};
    fs::remove(project() + "/karapace.lock");
    ids.push_back(build_mock("two", "'curl'"));
    for (const std::string& id : ids) {
      OrderedJson record = OrderedJson::parse(get("store/metadata/" + id));
      record.erase("checksum");
      put("store/metadata/" + id, record.dump(2));
    }
    put("store/version", "{\n  \"format_version\": 1\n}");
  }
  void expect_migrated() {
    EXPECT_EQ(karapace_json({"list"}).size(), 2U);
    EXPECT_EQ(karapace_json({"inspect", "one"}).at("env_id"), ids[0]);
    EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
    karapace_ok({"exec", "two", "--", "true"});
  }

  std::vector<std::string> ids;
};

TEST_F(CliMigrate, ReportsWhatItDid) {
  EXPECT_EQ(karapace_json({"migrate"}).at("status"), "no_store");
  EXPECT_FALSE(fs::exists(store()));
  make_old_store();
  const RunResult refused = karapace({"list"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_NE(refused.err.find("karapace migrate"), std::string::npos) << refused.err;
  const Json migrated = karapace_json({"migrate"});
  EXPECT_EQ(migrated.at("status"), "migrated");
  EXPECT_EQ(migrated.at("from"), 1);
  EXPECT_EQ(migrated.at("to"), 2);
  EXPECT_EQ(migrated.at("environments"), 2);
  EXPECT_NE(get(migrated.at("backup")).find("1"), std::string::npos);
  expect_migrated();
  const Json again = karapace_json({"migrate"});
  EXPECT_EQ(again.at("status"), "current");
  EXPECT_EQ(again.at("format_version"), 2);
}

TEST_F(CliMigrate, RefusesWhatItDoesNotKnow) {
  make_old_store();
  put("store/version", "{\"format_version\": 99}");
  auto before = snapshot();
  const Json newer = karapace_json({"migrate"}, 1);
  EXPECT_EQ(newer.at("status"), "newer");
  EXPECT_EQ(newer.at("found"), 99);
  EXPECT_EQ(newer.at("supported"), 2);
  put("store/version", "not \"JSON\"");
  before = snapshot();
  EXPECT_EQ(karapace_json({"migrate"}, 3).at("status"), "error");
  EXPECT_EQ(snapshot(), before);
  fs::remove(store() + "/store/version");
  EXPECT_EQ(karapace_json({"migrate"}, 1).at("status"), "error");
}

TEST_F(CliMigrate, MayFailOrDieAtEveryStep) {
  make_old_store();
  const std::string saved = project() + "/saved";
  ASSERT_EQ(run_program("cp", {"-a", store(), saved}).status, 0);
  const auto with_fault = [&](const std::string& fault) {
    fs::remove_all(store());
    EXPECT_EQ(run_program("cp", {"-a", saved, store()}).status, 0);
    environment_.emplace_back("KARAPACE_FAULT", fault);
    const RunResult result = karapace({"migrate"});
    environment_.pop_back();
    return result;
  };
  ASSERT_EQ(with_fault("count:" + project() + "/count").status, 0);
  const int calls = std::stoi(read("count"));
  ASSERT_GT(calls, 10);
  for (const std::string kind : {"ENOSPC", "kill"}) {
    for (int n = 1; n <= calls && !HasFailure(); ++n) {
      SCOPED_TRACE(fmt::format("fault {}:{}", n, kind));
      const RunResult broken = with_fault(fmt::format("{}:{}", n, kind));
      const bool done = get("store/version").find("2") != std::string::npos;
      if (broken.status == 0) {
        EXPECT_TRUE(done);
      }
      const Json again = karapace_json({"migrate"});
      EXPECT_EQ(again.at("status"), done ? "current" : "migrated");
      expect_migrated();
    }
  }
}

}  // namespace
}  // namespace karapace::test
