// SPDX-License-Identifier: Apache-2.0
// new, build, list, inspect, rename, stop, destroy, verify-store on the mock backend.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli_support.hpp"

namespace karapace::test {
namespace {

using CliLifecycle = CliTest;

std::set<std::string> keys(const Json& object) {
  std::set<std::string> result;
  for (const auto& [key, value] : object.items()) result.insert(key);
  return result;
}

bool has_keys(const Json& object, const std::set<std::string>& wanted) {
  return std::ranges::includes(keys(object), wanted);
}

TEST_F(CliLifecycle, NewWritesATemplateWordForWordAndNamesTheNextCommand) {
  const RunResult result = karapace_ok({"new", "dev", "--template", "debian-dev"});
  EXPECT_NE(result.out.find("karapace build --name dev"), std::string::npos);
  const std::string text = read("karapace.toml");
  EXPECT_TRUE(text.starts_with("# ")) << "comments stay";
  EXPECT_NE(text.find("image = \"debian/12\""), std::string::npos);
}

TEST_F(CliLifecycle, NewNeverReplacesAFileWithoutForce) {
  write("karapace.toml", "mine");
  const Json error = karapace_json({"new", "dev", "--template", "minimal"}, 1);
  EXPECT_EQ(error.at("error").at("code"), "already_exists");
  EXPECT_EQ(read("karapace.toml"), "mine");
  const Json done = karapace_json({"new", "dev", "--template", "minimal", "--force"});
  EXPECT_EQ(done.at("name"), "dev");
  EXPECT_EQ(done.at("path"), "./karapace.toml");
  EXPECT_EQ(done.at("status"), "written");
  EXPECT_EQ(done.at("template"), "minimal");
  EXPECT_NE(read("karapace.toml"), "mine");
}

TEST_F(CliLifecycle, NewWithoutTemplateAndTerminalAsksNobodyAndWritesNothing) {
  EXPECT_EQ(karapace({"new", "dev"}).status, 2);
  EXPECT_EQ(karapace({"new", "dev", "--template", "nonsense"}).status, 2);
  EXPECT_EQ(karapace({"new", "bad name", "--template", "minimal"}).status, 2);
  EXPECT_FALSE(exists("karapace.toml"));
}

TEST_F(CliLifecycle, BuildReportsWhatItBuilt) {
  write_mock_manifest("'git', 'curl'");
  const Json built = karapace_json({"build", "--name", "dev", "--timings"});
  EXPECT_TRUE(has_keys(built, {"env_id", "name", "short_id", "status", "up_to_date", "lock", "timings"}));
  EXPECT_EQ(built.at("status"), "built");
  EXPECT_EQ(built.at("name"), "dev");
  EXPECT_EQ(built.at("env_id").get<std::string>().substr(0, 12), built.at("short_id"));
  std::int64_t sum = 0;
  std::vector<std::string> steps;
  for (const Json& step : built.at("timings")) {
    sum += step.at("milliseconds").get<std::int64_t>();
    steps.push_back((step.at("part").is_null() ? "" : step.at("part").get<std::string>() + " ") +
                    step.at("step").get<std::string>());
  }
  EXPECT_EQ(built.at("total_milliseconds").get<std::int64_t>(), sum);
  EXPECT_EQ(steps, (std::vector<std::string>{"prepare", "base bootstrap", "base seal", "base publish",
                                             "packages resolve", "packages install", "packages seal",
                                             "packages publish", "publish", "clean up"}));
  EXPECT_TRUE(exists("karapace.lock"));
}

TEST_F(CliLifecycle, BuildForPeopleNamesTheEnvironmentOnStandardOutputAndStepsOnStandardError) {
  write_mock_manifest("'git'");
  const RunResult built = karapace_ok({"build", "--name", "dev"});
  EXPECT_TRUE(built.out.starts_with("built dev (")) << built.out;
  EXPECT_NE(built.out.find("\nenv_id: "), std::string::npos);
  EXPECT_NE(built.err.find("karapace: resolve"), std::string::npos) << built.err;
  EXPECT_EQ(built.err.find('\x1b'), std::string::npos) << "no drawing where no terminal is";
}

TEST_F(CliLifecycle, ASecondBuildIsUpToDate) {
  const std::string id = build_mock("dev", "'git'");
  const Json again = karapace_json({"build"});
  EXPECT_TRUE(again.at("up_to_date").get<bool>());
  EXPECT_EQ(again.at("env_id"), id);
  EXPECT_EQ(again.at("name"), "dev") << "the name stays without --name";
}

TEST_F(CliLifecycle, LockedRefusesAChangeAndUpdateContradictsIt) {
  build_mock("dev", "'git'");
  write_mock_manifest("'git', 'curl'");
  const std::string lock = read("karapace.lock");
  EXPECT_EQ(karapace({"build", "--locked"}).status, 2);
  EXPECT_EQ(karapace({"build", "--locked", "--update"}).status, 2);
  EXPECT_EQ(read("karapace.lock"), lock);
  EXPECT_EQ(karapace({"build"}).status, 0);
  EXPECT_NE(read("karapace.lock"), lock);
  EXPECT_EQ(karapace({"build", "--locked"}).status, 0);
}

TEST_F(CliLifecycle, AUmaskThatTakesEverythingDoesNotSpoilTheStore) {
  write_mock_manifest("'git'");
  const mode_t before = ::umask(0777);
  const RunResult built = karapace({"build", "--name", "dev"});
  ::umask(before);
  EXPECT_EQ(built.status, 0) << built.err;
  // Root could go on without the rights; everybody else could not even destroy what is there.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store())) {
    if (entry.is_symlink()) continue;
    EXPECT_NE(entry.status().permissions() & std::filesystem::perms::owner_read, std::filesystem::perms::none)
        << entry.path();
  }
  EXPECT_EQ(karapace({"destroy", "dev", "--yes"}).status, 0);
}

TEST_F(CliLifecycle, UpdateOfPackagesIsWrittenWithAnEqualsSign) {
  build_mock("dev", "'git'");
  EXPECT_EQ(karapace({"build", "--update=git"}).status, 0);
  const RunResult mistake = karapace({"build", "--update", "git"});
  EXPECT_EQ(mistake.status, 2);
  EXPECT_NE(mistake.err.find("--update=git"), std::string::npos) << mistake.err;
  EXPECT_EQ(karapace({"build", "--update=-oFoo"}).status, 2);
  // "--update=$PACKAGE" with an unset variable.
  EXPECT_EQ(karapace({"build", "--update="}).status, 2);
}

TEST_F(CliLifecycle, ListAndInspectShowTheRecordInItsDocumentedOrder) {
  const std::string id = build_mock("dev", "'git'");
  const RunResult list = karapace_ok({"--json", "list"});
  const OrderedJson records = OrderedJson::parse(list.out);
  ASSERT_EQ(records.size(), 1U);
  std::vector<std::string> order;
  for (const auto& [key, value] : records[0].items()) order.push_back(key);
  order.resize(11);
  EXPECT_EQ(order, (std::vector<std::string>{"env_id", "short_id", "name", "state", "manifest_hash",
                                             "base_layer", "dependency_layers", "policy_layer", "created_at",
                                             "updated_at", "ref_count"}));
  EXPECT_EQ(records[0].at("state"), "Built");
  for (const std::string& reference : {std::string("dev"), id, id.substr(0, 12), id.substr(0, 4)}) {
    EXPECT_EQ(karapace_json({"inspect", reference}).at("env_id"), id);
  }
  EXPECT_EQ(karapace_json({"inspect"}).at("env_id"), id) << "the manifest in the current directory";
  const std::string text = karapace_ok({"inspect", "dev"}).out;
  for (const std::string label : {"env_id:", "short_id:", "name:", "state:", "base_layer:", "deps:",
                                  "ref_count:", "created_at:", "updated_at:"}) {
    EXPECT_NE(text.find(label), std::string::npos) << label;
  }
}

TEST_F(CliLifecycle, ListForPeopleAlignsItsColumns) {
  const std::string empty = karapace_ok({"list"}).out;
  EXPECT_NE(empty.find("no environments"), std::string::npos);
  const std::string id = build_mock("dev");
  EXPECT_EQ(karapace_ok({"list"}).out,
            fmt::format("{:<14}{:<16}{:<10}ENV_ID\n{:<14}{:<16}{:<10}{}\n", "SHORT_ID", "NAME", "STATE",
                        id.substr(0, 12), "dev", "built", id));
}

TEST_F(CliLifecycle, UnknownEnvironmentsGetSuggestions) {
  build_mock("development");
  const RunResult result = karapace({"inspect", "develop"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("development"), std::string::npos) << result.err;
  EXPECT_EQ(karapace_json({"inspect", "develop"}, 1).at("error").at("code"), "not_found");
}

TEST_F(CliLifecycle, RenameChangesTheNameAndRefusesBadOnes) {
  const std::string id = build_mock("dev");
  const Json renamed = karapace_json({"rename", "dev", "work"});
  EXPECT_EQ(renamed.at("env_id"), id);
  EXPECT_EQ(renamed.at("name"), "work");
  EXPECT_EQ(renamed.at("old_name"), "dev");
  EXPECT_EQ(karapace({"inspect", "dev"}).status, 1);
  EXPECT_EQ(karapace({"rename", "work", "two words"}).status, 2);
  EXPECT_EQ(karapace_ok({"rename", "work", "again"}).out, id.substr(0, 12) + " → 'again'\n");
}

TEST_F(CliLifecycle, StopOfAnEnvironmentThatDoesNotRunSaysSo) {
  build_mock("dev");
  const Json error = karapace_json({"stop", "dev"}, 1);
  EXPECT_EQ(error.at("error").at("code"), "conflict");
  EXPECT_EQ(karapace({"stop", "dev", "--grace", "soon"}).status, 2);
  EXPECT_EQ(karapace({"stop", "dev", "--grace=-1"}).status, 2);
}

TEST_F(CliLifecycle, DestroyInAScriptDoesNotAsk) {
  const std::string id = build_mock("dev");
  const Json destroyed = karapace_json({"destroy", "dev"});
  EXPECT_EQ(keys(destroyed), (std::set<std::string>{"env_id", "name", "short_id", "status"}));
  EXPECT_EQ(destroyed.at("env_id"), id);
  EXPECT_EQ(destroyed.at("status"), "destroyed");
  EXPECT_EQ(karapace_json({"list"}), Json::array());
}

TEST_F(CliLifecycle, RebuildKeepsTheName) {
  build_mock("dev", "'git'");
  write_mock_manifest("'git', 'curl'");
  const Json rebuilt = karapace_json({"rebuild"});
  EXPECT_EQ(rebuilt.at("status"), "rebuilt");
  EXPECT_EQ(rebuilt.at("name"), "dev");
  EXPECT_EQ(karapace_json({"list"}).size(), 1U);
}

TEST_F(CliLifecycle, VerifyStorePassesAndFindsDamage) {
  build_mock("dev", "'git'");
  const Json good = karapace_json({"verify-store"});
  EXPECT_EQ(good.at("failed"), 0);
  EXPECT_EQ(good.at("checked"), good.at("passed"));
  const auto object = std::filesystem::directory_iterator(store() + "/store/objects")->path();
  std::filesystem::permissions(object, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::ofstream(object, std::ios::binary) << "damaged";
  const Json bad = karapace_json({"verify-store"}, 3);
  EXPECT_GE(bad.at("failed").get<int>(), 1);
  EXPECT_EQ(bad.at("failures").size(), bad.at("failed").get<std::size_t>());
  const RunResult text = karapace({"verify-store"});
  EXPECT_EQ(text.status, 3);
  EXPECT_NE(text.out.find("FAIL "), std::string::npos);
}

TEST_F(CliLifecycle, VerifyStoreOfWhatIsNoStoreIsAnErrorThatNamesItWithAFix) {
  write("file", "of somebody");
  for (const auto& [words, told] :
       {std::pair{std::vector<std::string>{"verify-store"}, "there is no store at " + store()},
        std::pair{std::vector<std::string>{"verify-store", "--repair"}, "there is no store at " + store()},
        std::pair{std::vector<std::string>{"verify-store", "--store", project()},
                  project() + " is not a Karapace store"}}) {
    const RunResult result = karapace(words);
    EXPECT_EQ(result.status, 1) << result.out;
    EXPECT_NE(result.err.find(told), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("  fix: "), std::string::npos) << result.err;
  }
  // Nobody named it, and nothing has been built.
  std::erase_if(environment_, [](const auto& variable) { return variable.first == "KARAPACE_STORE"; });
  const RunResult none = karapace_ok({"verify-store"});
  EXPECT_NE(none.out.find("there is no store yet at "), std::string::npos) << none.out;
  EXPECT_EQ(karapace_json({"verify-store"}).at("checked"), 0);
}

TEST_F(CliLifecycle, AStoreThatLostItsVersionIsDamaged) {
  build_mock("dev");
  std::filesystem::remove(store() + "/store/version");
  const Json error = karapace_json({"verify-store"}, 3).at("error");
  EXPECT_NE(error.at("message").get<std::string>().find(store() + "/store/version"), std::string::npos);
  EXPECT_NE(error.at("fix").get<std::string>().find("write that into the file"), std::string::npos);
  std::ofstream(store() + "/store/version") << "{\"format_version\": 2}";
  EXPECT_EQ(karapace_json({"verify-store"}).at("failed"), 0);
}

TEST_F(CliLifecycle, AStoreOfAnotherFormatIsLeftAloneWithStatusThree) {
  build_mock("dev");
  for (const std::string version : {"1", "99"}) {
    std::ofstream(store() + "/store/version") << "{\"format_version\": " << version << "}";
    const std::vector<std::string> before = snapshot();
    const Json error = karapace_json({"build"}, 3).at("error");
    EXPECT_EQ(error.at("found").dump(), version);
    EXPECT_EQ(error.at("supported"), 2);
    EXPECT_EQ(karapace({"list"}).status, 3);
    EXPECT_EQ(karapace({"exec", "dev", "--", "true"}).status, 125);
    EXPECT_EQ(snapshot(), before);
  }
}

TEST_F(CliLifecycle, EnvironmentsAreOfferedForCompletion) {
  build_mock("dev");
  EXPECT_EQ(karapace_ok({"__complete-envs"}).out, "dev\n");
}

TEST_F(CliLifecycle, ExplainPrintsThePlanAndStartsNothing) {
  build_mock("dev");
  const RunResult result = karapace({"exec", "--explain", "dev", "--", "some-program", "argument"});
  ASSERT_EQ(result.status, 0) << result.err;
  const Json plan = parse_json(result.out, "plan");
  EXPECT_NE(plan.dump().find("some-program"), std::string::npos);
  EXPECT_EQ(karapace_json({"inspect", "dev"}).at("state"), "Built");
}

}  // namespace
}  // namespace karapace::test
