// SPDX-License-Identifier: Apache-2.0
// What is wrong with the machine, the store or a file in an environment: told with what to do about it, and
// with the status that says whose matter it is.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli_support.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::test {
namespace {

namespace fs = std::filesystem;

class CliTrouble : public CliTest {
 protected:
  /// The error of a command that must fail with this status; it must have a fix that names `fix`.
  Json expect_fix(const std::vector<std::string>& words, int status, const std::string& fix) {
    const Json error = karapace_json(words, status).at("error");
    EXPECT_NE(error.at("fix").get<std::string>().find(fix), std::string::npos) << error.dump(2);
    return error;
  }
  static void expect_message(const Json& error, const std::string& part) {
    EXPECT_NE(error.at("message").get<std::string>().find(part), std::string::npos) << error.dump(2);
  }
  [[nodiscard]] std::string upper(const std::string& id) const { return store() + "/env/" + id + "/upper"; }
};

TEST_F(CliTrouble, TooFewOpenFilesAreToldAsThat) {
  const std::string id = build_mock("dev");
  std::ofstream(upper(id) + "/drift") << "work";
  const RunResult result =
      run_program("bash", {"-c", "ulimit -n 20; " + karapace_binary() + " export dev -o out.tar"});
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_NE(result.err.find("ulimit -n 1024"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace karapace::test
