// SPDX-License-Identifier: Apache-2.0
// Rules worth having are rules a machine can check: each is one test over the whole repository, and a
// second test shows that the rule sees what it is for.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "rules.hpp"

namespace karapace::tidy {
namespace {

const std::vector<SourceFile>& repository() {
  static const std::vector<SourceFile> kFiles = load_tree(KARAPACE_SOURCE_DIR);
  return kFiles;
}

void report(const Findings& findings) {
  for (const Finding& finding : findings) {
    ADD_FAILURE() << finding.path << ":" << finding.line << ": " << finding.message;
  }
}

void holds_everywhere(const std::function<Findings(const SourceFile&)>& rule) {
  ASSERT_FALSE(repository().empty());
  for (const SourceFile& file : repository()) report(rule(file));
}

Findings cpp(const std::function<Findings(const SourceFile&)>& rule, const std::string& text,
             const std::string& path = "src/store/a.cpp") {
  return rule({path, text});
}

TEST(Tidy, EverySourceHasAnSpdxLine) { holds_everywhere(check_spdx_line); }
TEST(Tidy, NoSourceHasMoreThan500Lines) { holds_everywhere(check_length); }
TEST(Tidy, NoTrailingWhitespaceNoTabs) { holds_everywhere(check_whitespace); }
TEST(Tidy, OnlyLiteralsAndDocumentsGoBeyondAscii) { holds_everywhere(check_ascii); }
TEST(Tidy, NothingIsLeftForLater) { holds_everywhere(check_leftovers); }
TEST(Tidy, NoShellBetweenUsAndTheKernel) { holds_everywhere(check_no_shell); }
TEST(Tidy, RawSystemCallsAreInBaseAndInitOnly) { holds_everywhere(check_syscalls); }
TEST(Tidy, NobodySleeps) { holds_everywhere(check_no_sleep); }
TEST(Tidy, IncludesFollowTheModuleGraph) { holds_everywhere(check_includes); }
TEST(Tidy, EveryHeaderHasAPragmaOnce) { holds_everywhere(check_header_guard); }
TEST(Tidy, NoExceptionIsSwallowedWithoutAReason) { holds_everywhere(check_catch_all); }
TEST(Tidy, EverySkipCanBeMadeAFailure) { holds_everywhere(check_skips); }
TEST(Tidy, EverySourceIsBuilt) { report(check_nothing_forgotten(repository())); }
TEST(Tidy, TheVerificationTableNamesTestsThatExist) { report(check_verification_table(repository())); }
TEST(Tidy, EveryDocumentThatIsNamedExists) { report(check_document_links(repository())); }

TEST(Tidy, TheRepositoryIsReadAsAWhole) {
  const auto has = [](const std::string& path) {
    return std::ranges::any_of(repository(), [&](const SourceFile& file) { return file.path == path; });
  };
  EXPECT_TRUE(has("CMakeLists.txt"));
  EXPECT_TRUE(has("tests/tidy/tidy_test.cpp"));
  EXPECT_TRUE(has("src/base/include/karapace/base/error.hpp"));
}

TEST(TidyRules, CommentsAndLiteralsAreNotCode) {
  EXPECT_EQ(code_only("a/*b*/\"c\"'d'//e\nf"), "a" + std::string(14, ' ') + "\nf");
  EXPECT_EQ(code_only("x = R\"(\")\"; y"), "x = R     ; y");
  EXPECT_EQ(code_only("1'000 + \"\\\"z\" + 2"), "1'000 +       + 2");
  EXPECT_EQ(without_comments("a(\"b\"); // c"), "a(\"b\");     ");
}

TEST(TidyRules, RawCallsAreToldFromMembersAndDeclarations) {
  for (const char* call :
       {"int fd = open(p, 0);", "::rename(a, b);", "return unlink(p);", "if (x && mkdir(p, 0)) {}",
        "std::rename(a, b);", "return ::kill(pid, 9);", "f(fork())"}) {
    EXPECT_EQ(cpp(check_syscalls, call).size(), 1U) << call;
  }
  for (const char* other :
       {"file.open(p);", "store->rename(a);", "UniqueFd open(int);", "void Store::unlink(P p) {}",
        "layout::open(p);", "// open(p)", "log(\"open(p)\");", "UniqueFd& open(int);", "reopen(p);"}) {
    EXPECT_TRUE(cpp(check_syscalls, other).empty()) << other;
  }
  EXPECT_TRUE(cpp(check_syscalls, "void Store::open(P p) {}\nopen(p);").empty());
  EXPECT_EQ(cpp(check_syscalls, "void Store::open(P p) {}\n::open(p, 0);").size(), 1U);
  EXPECT_TRUE(cpp(check_syscalls, "open(p, 0);", "src/base/file_at.cpp").empty());
  EXPECT_TRUE(cpp(check_syscalls, "open(p, 0);", "src/store/tests/wal_test.cpp").empty());
}

TEST(TidyRules, ShellsAreFound) {
  EXPECT_EQ(cpp(check_no_shell, "system(\"ls\");").size(), 1U);
  EXPECT_EQ(cpp(check_no_shell, "FILE* f = popen(c, \"r\");").size(), 1U);
  EXPECT_EQ(cpp(check_no_shell, "run({\"sh\", \"-c\", line});").size(), 1U);
  EXPECT_EQ(cpp(check_no_shell, "run({\"/bin/sh\"});").size(), 1U);
  EXPECT_TRUE(cpp(check_no_shell, "manifest.system();").empty());
}

TEST(TidyRules, SleepsAreFoundInProgramsAndScripts) {
  EXPECT_EQ(cpp(check_no_sleep, "std::this_thread::sleep_for(1s);").size(), 1U);
  EXPECT_EQ(check_no_sleep({"scripts/x", "#!/bin/bash\nsleep 1\n"}).size(), 1U);
  EXPECT_EQ(check_no_sleep({"scripts/x", "#!/bin/bash\nwhile true; do sleep 0.1; done\n"}).size(), 1U);
  EXPECT_TRUE(check_no_sleep({"scripts/x", "#!/bin/bash\nkarapace exec dev -- sleep 100 &\n"}).empty());
}

TEST(TidyRules, IncludesUpwardsAreFound) {
  EXPECT_EQ(cpp(check_includes, "#include \"karapace/core/engine.hpp\"\n").size(), 1U);
  EXPECT_EQ(cpp(check_includes, "#include <karapace/schema/manifest.hpp>\n").size(), 1U);
  EXPECT_TRUE(cpp(check_includes, "#include \"karapace/base/error.hpp\"\n").empty());
  EXPECT_EQ(cpp(check_includes, "#include \"karapace/store/wal.hpp\"\n", "src/runtime/init/main.cpp").size(),
            1U);
  EXPECT_TRUE(
      cpp(check_includes, "#include \"karapace/runtime/plan/launch_plan.hpp\"\n", "src/runtime/init/main.cpp")
          .empty());
  EXPECT_EQ(cpp(check_includes, "int x;\n", "src/novelty/a.cpp").size(), 1U);
}

TEST(TidyRules, ForgottenFilesAreFound) {
  const SourceFile lists{"src/store/CMakeLists.txt", "karapace_module(store SOURCES a.cpp\n  # b.cpp\n)\n"};
  EXPECT_TRUE(check_nothing_forgotten({lists, {"src/store/a.cpp", ""}}).empty());
  EXPECT_EQ(check_nothing_forgotten({lists, {"src/store/b.cpp", ""}}).size(), 1U);
  EXPECT_EQ(check_nothing_forgotten({lists, {"src/store/tests/a.cpp", ""}}).size(), 1U);
  EXPECT_EQ(check_nothing_forgotten({lists, {"src/store/c.hpp", ""}}).size(), 1U);
  EXPECT_TRUE(
      check_nothing_forgotten({lists, {"src/store/a.cpp", "#include \"c.hpp\"\n"}, {"src/store/c.hpp", ""}})
          .empty());
}

TEST(TidyRules, TableRowsWithoutATestAreFound) {
  const SourceFile table{"docs/verification.md",
                         "| a | `Wal.Holds`, `real_debian.user.runs`, `images.runs` |\n"};
  const SourceFile cases{"src/store/tests/wal_test.cpp", "TEST_F(Wal, Holds) {}\n"};
  const SourceFile checks{"tests/functional/real_debian/checks.bash", "check_runs() { true; }\n"};
  EXPECT_EQ(check_verification_table({table}).size(), 3U);
  EXPECT_EQ(check_verification_table({table, cases}).size(), 2U);
  EXPECT_TRUE(check_verification_table({table, cases, checks}).empty());
}

TEST(TidyRules, LinksToMissingDocumentsAreFound) {
  const SourceFile readme{"README.md", "see docs/a.md\n"};
  EXPECT_EQ(check_document_links({readme}).size(), 1U);
  EXPECT_TRUE(check_document_links({readme, {"docs/a.md", ""}}).empty());
}

TEST(TidyRules, TextRulesSeeWhatTheyAreFor) {
  EXPECT_EQ(cpp(check_spdx_line, "int x;\n").size(), 1U);
  EXPECT_EQ(cpp(check_length, std::string(501, '\n')).size(), 1U);
  EXPECT_EQ(cpp(check_whitespace, "int x; \n").size(), 1U);
  EXPECT_EQ(cpp(check_whitespace, "int x;").size(), 1U);
  EXPECT_EQ(cpp(check_ascii, "// \xc3\xa4\n").size(), 1U);
  EXPECT_TRUE(cpp(check_ascii, "f(\"\xc3\xa4\");\n").empty());
  EXPECT_EQ(cpp(check_leftovers,
                "// TO"
                "DO: later\n")
                .size(),
            1U);
  EXPECT_TRUE(cpp(check_leftovers,
                  "\"karapace.XXXX"
                  "XX\"\n")
                  .empty());
  EXPECT_EQ(cpp(check_catch_all,
                "try { f(); } catch (...) {"
                "}\n")
                .size(),
            1U);
  EXPECT_EQ(cpp(check_header_guard, "int x;\n", "src/store/a.hpp").size(), 1U);
  EXPECT_EQ(cpp(check_skips,
                "GTEST_"
                "SKIP();")
                .size(),
            1U);
}

}  // namespace
}  // namespace karapace::tidy
