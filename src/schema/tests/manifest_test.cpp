// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/manifest.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "karapace/schema/identity.hpp"

namespace karapace {
namespace {

constexpr std::string_view kMinimal = "manifest_version = 1\n[base]\nimage = \"debian/12\"\n";

Manifest parse(std::string_view text) { return parse_manifest(text, "karapace.toml"); }

Manifest parse_with(std::string_view more) { return parse(fmt::format("{}{}", kMinimal, more)); }

ManifestError error_of(std::string_view text) {
  try {
    static_cast<void>(parse(text));
  } catch (const ManifestError& error) {
    return error;
  }
  ADD_FAILURE() << "was accepted: " << text.substr(0, 200);
  return {"", 0, 0, "", ""};
}

ManifestError error_with(std::string_view more) { return error_of(fmt::format("{}{}", kMinimal, more)); }

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

#define EXPECT_SAYS(error, part) EXPECT_TRUE(contains((error).what(), part)) << (error).what()

std::string repeat(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(Manifest, SmallestFileHasTheDefaults) {
  const Manifest manifest = parse(kMinimal);
  Manifest expected;
  expected.base_image = "debian/12";
  EXPECT_EQ(manifest, expected);
  EXPECT_EQ(manifest.runtime_backend, "namespace");
  EXPECT_EQ(manifest.ownership, Ownership::Flat);
  EXPECT_EQ(manifest.home, Home::Private);
}

TEST(Manifest, EveryFieldIsRead) {
  const Manifest manifest = parse_with(R"(
[system]
packages = ["git", "curl"]
ownership = "mapped"
[gui]
apps = ["firefox"]
[hardware]
gpu = true
audio = true
[mounts]
work = "./:/work:ro"
[runtime]
backend = " OCI "
network_isolation = true
home = "shared"
[runtime.resource_limits]
cpu_shares = 0
memory_limit_mb = 4096
)");
  EXPECT_EQ(manifest.system_packages, (std::vector<std::string>{"curl", "git"}));
  EXPECT_EQ(manifest.gui_apps, std::vector<std::string>{"firefox"});
  EXPECT_TRUE(manifest.hardware_gpu && manifest.hardware_audio && manifest.network_isolation);
  ASSERT_EQ(manifest.mounts.size(), 1U);
  EXPECT_EQ(manifest.mounts[0], (Mount{"work", "./", "/work", MountAccess::ReadOnly}));
  EXPECT_EQ(manifest.runtime_backend, "oci");
  EXPECT_EQ(manifest.home, Home::Shared);
  EXPECT_EQ(manifest.ownership, Ownership::Mapped);
  EXPECT_EQ(manifest.cpu_shares, 0U);
  EXPECT_EQ(manifest.memory_limit_mb, 4096U);
}

TEST(Manifest, ByteOrderMarkCrlfInlineTablesAndHexAreAccepted) {
  const Manifest manifest =
      parse("\xEF\xBB\xBFmanifest_version = 0x1\r\nbase = { image = \"a\" }\r\nhardware.gpu = true\r\n");
  EXPECT_EQ(manifest.base_image, "a");
  EXPECT_TRUE(manifest.hardware_gpu);
}

TEST(Manifest, BlanksAreTrimmedByUnicodeAndNamesAreSortedOnce) {
  const Manifest manifest = parse(
      "manifest_version = 1\n[base]\nimage = \"\u3000 debian/12\u00A0\"\n"
      "[system]\npackages = [\"git\", \" cmake\", \"git\\t\", \"\", \"\u2003\", \"Zlib\"]\n");
  EXPECT_EQ(manifest.base_image, "debian/12");
  EXPECT_EQ(manifest.system_packages, (std::vector<std::string>{"Zlib", "cmake", "git"}));
}

TEST(Manifest, UnknownKeyNamesPlaceAndNearestKey) {
  const ManifestError error = error_with("[system]\npakages = []\n");
  EXPECT_STREQ(error.what(),
               "karapace.toml:5:1: unknown key 'pakages' in [system], did you mean 'packages'?");
  EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
  EXPECT_EQ(error.line(), 5U);
  EXPECT_EQ(error.column(), 1U);
  EXPECT_EQ(error.key(), "system.pakages");
  EXPECT_EQ(error.file(), "karapace.toml");
}

TEST(Manifest, UnknownKeyIsRefusedInEverySection) {
  EXPECT_SAYS(error_with("[sytem]\n"), "4:2: unknown key 'sytem', did you mean 'system'?");
  EXPECT_SAYS(error_with("x = 1\n"), "unknown key 'x' in [base]; known keys: image");
  EXPECT_SAYS(error_with("[gui]\napp = []\n"), "did you mean 'apps'?");
  EXPECT_SAYS(error_with("[hardware]\ngup = true\n"), "did you mean 'gpu'?");
  EXPECT_SAYS(error_with("[runtime]\nbakend = \"oci\"\n"), "did you mean 'backend'?");
  EXPECT_SAYS(error_with("[runtime.resource_limits]\ncpu_share = 1\n"), "did you mean 'cpu_shares'?");
}

TEST(Manifest, MisplacedKeyNamesItsSection) {
  EXPECT_SAYS(error_of("manifest_version = 1\npackages = []\n"),
              "unknown key 'packages', did you mean 'system.packages'?");
  EXPECT_SAYS(error_with("[system]\ngpu = true\n"),
              "unknown key 'gpu' in [system], did you mean 'hardware.gpu'?");
  EXPECT_SAYS(error_with("[runtime]\nmemory_limit_mb = 1\n"),
              "did you mean 'runtime.resource_limits.memory_limit_mb'?");
}

TEST(Manifest, ColumnsCountBytes) {
  // Two characters of three bytes each stand before the value.
  EXPECT_EQ(error_with("[mounts]\n\"日本\" = 5\n").column(), 12U);
}

TEST(Manifest, WrongTypesNameWhatWasExpectedAndFound) {
  EXPECT_SAYS(error_with("[system]\npackages = \"git\"\n"),
              "5:12: 'system.packages' must be an array of strings, found a string");
  EXPECT_SAYS(error_with("[system]\npackages = [\"git\", 5]\n"),
              "5:20: 'system.packages[1]' must be a string, found an integer");
  EXPECT_SAYS(error_with("[hardware]\ngpu = \"yes\"\n"),
              "'hardware.gpu' must be a boolean (true or false), found a string");
  EXPECT_SAYS(error_with("[hardware]\ngpu = 1979-05-27\n"), "found a date or time");
  EXPECT_SAYS(error_with("[runtime]\nbackend = 1.5\n"), "found a floating point number");
  EXPECT_SAYS(error_with("[runtime.resource_limits]\ncpu_shares = true\n"),
              "must be an integer, found a boolean");
  EXPECT_SAYS(error_with("[mounts.a]\nb = \"/x:/y\"\n"), "'mounts.a' must be a string, found a table");
  EXPECT_SAYS(error_of("manifest_version = \"1\"\n"),
              "'manifest_version' must be an integer, found a string");
  EXPECT_SAYS(error_of("manifest_version = 1.0\n"), "found a floating point number");
}

TEST(Manifest, ArraysInPlaceOfTablesAreRefused) {
  EXPECT_SAYS(error_of("manifest_version = 1\nbase = [\"rolling\"]\n"),
              "2:8: 'base' must be a table ([base]), found an array");
  EXPECT_SAYS(error_of("manifest_version = 1\n[[base]]\nimage = \"a\"\n"), "'base' must be a table");
  EXPECT_SAYS(error_with("[[system]]\npackages = []\n"), "'system' must be a table");
  EXPECT_SAYS(error_with("[[mounts]]\na = \"/x:/y\"\n"), "'mounts' must be a table");
  EXPECT_SAYS(error_with("[runtime]\nresource_limits = [1]\n"), "'runtime.resource_limits' must be a table");
}

TEST(Manifest, MissingKeysAreNamed) {
  EXPECT_SAYS(error_of(""), "karapace.toml: missing key 'manifest_version'");
  EXPECT_SAYS(error_of("manifest_version = 1\n"), "missing key 'base'");
  EXPECT_SAYS(error_of("manifest_version = 1\n[base]\n"), "karapace.toml:2:1: missing key 'base.image'");
}

TEST(Manifest, OtherVersionsAreRefusedBeforeTheirKeys) {
  EXPECT_SAYS(error_of("manifest_version = 2\nshiny = true\n"),
              "1:20: unsupported manifest_version: 2, expected 1");
  EXPECT_SAYS(error_of("manifest_version = -1\n"), "unsupported manifest_version: -1");
  EXPECT_SAYS(error_of("manifest_version = 4294967297\n"), "unsupported manifest_version: 4294967297");
}

TEST(Manifest, DuplicateKeyPointsAtTheSecondOne) {
  EXPECT_SAYS(error_with("[system]\npackages = []\npackages = [\"a\"]\n"), "6:1: duplicate key 'packages'");
  EXPECT_SAYS(error_with("[base]\nimage = \"b\"\n"), "4:2: duplicate key 'base'");
  EXPECT_SAYS(error_of("manifest_version = 1\nbase = { image = \"a\", image = \"b\" }\n"),
              "duplicate key 'image'");
}

TEST(Manifest, SyntaxErrorsHaveAPosition) {
  const ManifestError error = error_of("manifest_version = \n");
  EXPECT_EQ(error.line(), 1U);
  EXPECT_SAYS(error, "not valid TOML");
  EXPECT_SAYS(error_of("manifest_version = 1\nbase = \"unterminated\n"), ":2:");
}

TEST(Manifest, BadTableNamesHaveAPosition) {
  EXPECT_SAYS(error_of("manifest_version = 1\n [^a]\n"), "2:3: not valid TOML: expected the name of a table");
  EXPECT_SAYS(error_of("[[ =a]]\n"), "1:4: not valid TOML: expected the name of a table");
  EXPECT_SAYS(error_of("[]\n"), ":1:2: not valid TOML");
  EXPECT_SAYS(error_of("["), ":1:");
  EXPECT_SAYS(error_of("[a.^]"), ":1:");
  EXPECT_SAYS(error_of(repeat("[", 10'000)), "1:3: not valid TOML: expected the name of a table");
}

TEST(Manifest, OnlyStringsAndCommentsHoldMoreThanAscii) {
  EXPECT_SAYS(error_of("a = 1\n  \u00E1 = 2\n"),
              "2:3: not valid TOML: a character outside ASCII that is not in quotes");
  EXPECT_SAYS(error_of("a\u00A0= 1\n"), "1:2: not valid TOML: a character outside ASCII");
  EXPECT_SAYS(error_of("a = 1\n\uFEFF"), "2:1: not valid TOML: a character outside ASCII");
  EXPECT_SAYS(error_of("\uFEFF\uFEFFa = 1\n"), "a character outside ASCII");
  EXPECT_SAYS(error_with("[system]\npackages = [\u201Cgit\u201D]\n"),
              "5:13: not valid TOML: a character outside ASCII");
}

TEST(Manifest, EmptyImageIsRefused) {
  EXPECT_SAYS(error_of("manifest_version = 1\n[base]\nimage = \"\"\n"), "3:9: base.image must not be empty");
  EXPECT_SAYS(error_of("manifest_version = 1\n[base]\nimage = \" \u3000\"\n"),
              "base.image must not be empty");
  EXPECT_SAYS(error_of("manifest_version = 1\n[base]\nimage = \"a\\nb\"\n"), "control character");
}

TEST(Manifest, NamesThatCouldBeOptionsOrCommandsAreRefused) {
  for (const std::string_view name : {"-oFoo", "--help", "a b", "a\\nb", "git\\n", "\\n", "/etc/x", "./a.deb",
                                      "é", "a;b", "$x", "a\\u0000b", "a'b", "=a"}) {
    const ManifestError error = error_with(fmt::format("[system]\npackages = [\"ok\", \"{}\"]\n", name));
    EXPECT_SAYS(error, "5:19: '");
    EXPECT_SAYS(error, "in system.packages is not a package name");
    EXPECT_EQ(error.key(), "system.packages[1]");
  }
  EXPECT_SAYS(error_with("[gui]\napps = [\"-x\"]\n"), "'-x' in gui.apps is not a package name");
  EXPECT_SAYS(error_with("[system]\npackages = [\"a\\nb\"]\n"), "'a\\x0ab'");
}

TEST(Manifest, NamesThatPackageManagersUseAreAccepted) {
  for (const std::string_view name :
       {"git", "libstdc++-12-dev", "g++", "libc6:i386", "git=1:2.39.5-0+deb12u2", "foo/bookworm-backports",
        "0ad", "glibc.x86_64", "@development", "python3~x^1"}) {
    EXPECT_EQ(is_package_name(name), name != "@development") << name;
  }
  EXPECT_TRUE(is_package_name(std::string(256, 'a')));
  EXPECT_FALSE(is_package_name(std::string(257, 'a')));
  EXPECT_FALSE(is_package_name(""));
}

TEST(Manifest, MountsAreSplitAtTheFirstColon) {
  const Manifest manifest = parse_with(R"([mounts]
" b " = " ~/x : /data/ "
a = "/h:/c:d/e"
c = ".:/ro:ro"
d = "~:/rw:rw"
e = "/h:/x//y/./z/"
)");
  const std::vector<Mount> expected = {{"a", "/h", "/c:d/e"},
                                       {"b", "~/x", "/data"},
                                       {"c", ".", "/ro", MountAccess::ReadOnly},
                                       {"d", "~", "/rw"},
                                       {"e", "/h", "/x/y/z"}};
  EXPECT_EQ(manifest.mounts, expected);
}

TEST(Manifest, MountsThatCannotBeMeantAreRefused) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {"a = \"x\"", "invalid mount declaration for 'a': 'x', expected '<host>:<container>'"},
      {"a = \":/x\"", "invalid mount declaration"},
      {"a = \"/x:\"", "invalid mount declaration"},
      {"\" \" = \"/x:/y\"", "mount label must not be empty"},
      {"a = \"/x/../y:/y\"", "the host path '/x/../y' contains '..'"},
      {"a = \"./..:/y\"", "contains '..'"},
      {"a = \"../x:/y\"", "contains '..'"},
      {"a = \"/x:/y/../z\"", "the container path '/y/../z' contains '..'"},
      {"a = \"x:/y\"", "the host path 'x' must begin with '/', '~/' or './'"},
      {"a = \"~root/x:/y\"", "must begin with"},
      {"a = \"/x:y/z\"", "the container path 'y/z' must be absolute"},
      {"a = \"/x:/\"", "must not be '/'"},
      {"a = \"/x://.//\"", "must not be '/'"},
      {"a = \"/x:/proc\"", "is in /proc"},
      {"a = \"/x:/sys/fs\"", "is in /sys"},
      {"a = \"/x:/./dev//shm\"", "is in /dev"},
      {"a = \"/x:/y:RO\"", "unknown option 'RO', expected 'ro' or 'rw'"},
      {"a = \"/x:/y\\u0001\"", "contains a control character"},
      {"a = \"/x:/y\"\n\"a \" = \"/x:/z\"", "mount label 'a' is given twice"},
      {"a = \"/x:/y\"\nb = \"/z:/y/\"", "mounts 'a' and 'b' both go to '/y'"},
  };
  for (const auto& [text, message] : cases) {
    const ManifestError error = error_with(fmt::format("[mounts]\n{}\n", text));
    EXPECT_SAYS(error, message);
    EXPECT_GE(error.line(), 5U) << error.what();
  }
  EXPECT_EQ(
      parse_with("[mounts]\na = \"/x:/procedures\"\nb = \"/x:/device\"\nc = \"/x..:/..y\"\n").mounts.size(),
      3U);
}

TEST(Manifest, ChoicesSuggestTheNearestName) {
  EXPECT_SAYS(error_with("[runtime]\nbackend = \"namespac\"\n"),
              "5:11: unknown runtime.backend 'namespac', expected one of namespace, oci, mock, did you mean "
              "'namespace'?");
  EXPECT_SAYS(error_with("[runtime]\nbackend = \"\"\n"), "unknown runtime.backend ''");
  EXPECT_SAYS(error_with("[runtime]\nhome = \"Shared\"\n"), "did you mean 'shared'?");
  EXPECT_SAYS(error_with("[system]\nownership = \"maped\"\n"), "did you mean 'mapped'?");
}

TEST(Manifest, LimitsHaveARange) {
  const std::string section = "[runtime.resource_limits]\nmemory_limit_mb = ";
  EXPECT_EQ(parse_with(section + "9007199254740991\n").memory_limit_mb, 9007199254740991U);
  EXPECT_SAYS(error_with(section + "9007199254740992\n"),
              "5:19: 'runtime.resource_limits.memory_limit_mb' is out of range");
  EXPECT_SAYS(error_with(section + "-1\n"), "-1 is not between 0 and 9007199254740991");
  EXPECT_SAYS(error_with(section + "9223372036854775808\n"), "not valid TOML");
}

TEST(Manifest, BytesThatAreNoTextAreRefusedWithTheirPlace) {
  EXPECT_SAYS(error_of(std::string_view("a = 1\nb\0", 8)), "2:2: the file contains a NUL byte");
  EXPECT_SAYS(error_of("# é\n# x\xff\n"), "2:4: the file is not valid UTF-8: byte 0xff");
  EXPECT_SAYS(error_of("# \xed\xa0\x80\n"), "1:3: the file is not valid UTF-8");
  EXPECT_SAYS(error_of("# cut \xe6\x97"), "1:7: the file is not valid UTF-8");
}

TEST(Manifest, MessagesNeverCarryControlCharacters) {
  for (const std::string_view text :
       {"\"\\u001b[31mred\" = 1\n", "x = \"\\q\x1b\"\n", "[\"a\\nb\"]\n", "\"a\\nb\" = 1\n\"a\\nb\" = 2\n",
        "[mounts]\n\"\\u0007\" = \"\\u001b\"\n"}) {
    const ManifestError error = error_with(text);
    for (const char c : std::string(error.what()) + error.key()) {
      EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << error.what();
    }
  }
  EXPECT_LT(std::string_view(error_with(std::string(100'000, 'x') + " = 1\n").what()).size(), 4096U);
}

TEST(Manifest, TooMuchTextIsRefusedBeforeParsing) {
  const ManifestError error = error_of(std::string(kMaxManifestBytes + 1, '['));
  EXPECT_SAYS(error, "the file is too large: 1048577 bytes, at most 1048576 are allowed");
}

TEST(Manifest, DeepNestingIsAnErrorInEveryForm) {
  const std::size_t deep = 10'000;
  const std::string dotted = "a" + repeat(".a", deep);
  const std::vector<std::string> texts = {
      "x = " + repeat("[", deep),
      "x = " + repeat("[", deep) + repeat("]", deep),
      "x = " + repeat("[\n", deep),
      "x = " + repeat("{a=", deep) + "1" + repeat("}", deep),
      "x = " + repeat("[{a=", deep),
      dotted + " = 1",
      "[" + dotted + "]",
      "[[" + dotted + "]]",
      "x = {" + dotted + " = 1}",
      "a" + repeat(" . \"b\"", deep) + " = 1",
      "x = \"\"\"\"\"\"\"\ny = " + repeat("[", deep),
  };
  for (const std::string& text : texts) {
    const ManifestError error = error_of(text + "\n");
    EXPECT_TRUE(contains(error.what(), "nested too deeply") || contains(error.what(), "too many parts"))
        << error.what();
    EXPECT_GE(error.line(), 1U);
  }
}

TEST(Manifest, BracketsAndDotsInStringsAndCommentsDoNotNest) {
  const std::string many = repeat("[{.", 100);
  EXPECT_SAYS(error_with(fmt::format("# {0}\n[mounts]\na = \"{0}\"\n", many)), "invalid mount declaration");
  EXPECT_SAYS(error_with(fmt::format("[mounts]\na = '{}'\n", many)), "invalid mount declaration");
  EXPECT_SAYS(error_with(fmt::format("[mounts]\na = '''\n{}'\n'''''\n", many)), "invalid mount declaration");
  EXPECT_SAYS(error_with(fmt::format("[mounts]\na = \"\"\"\\\"\"\"x{}\"\"\"\"\n", many)),
              "invalid mount declaration");
}

TEST(Manifest, TooManyValuesOrDottedKeysAreRefused) {
  EXPECT_SAYS(error_of("x = [" + repeat("0,", 400'001) + "]"), "too many values");
  std::string headers;
  for (int i = 0; i < 10'001; ++i) headers += fmt::format("[a.b{}]\n", i);
  EXPECT_SAYS(error_of(headers), "too many dotted keys");
}

TEST(Manifest, NearestNameWantsAThirdAtMost) {
  const std::vector<std::string_view> names = {"packages", "gpu", "audio"};
  EXPECT_EQ(nearest_name("pakcages", names), "packages");
  EXPECT_EQ(nearest_name("gup", names), "gpu");
  EXPECT_EQ(nearest_name("video", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), names), "");
}

TEST(ManifestJson, ReadsBackWhatItWrote) {
  const Manifest manifest = parse_with(
      "[system]\npackages = [\"git\"]\nownership = \"mapped\"\n[mounts]\na = \"/x "
      "\\\"é\\\\:/y:ro\"\n[runtime]\nhome = \"shared\"\n"
      "[runtime.resource_limits]\ncpu_shares = 9007199254740991\n");
  EXPECT_EQ(parse_manifest_canonical_json(manifest_canonical_json(manifest)), manifest);
}

TEST(ManifestJson, OlderAndNewerObjectsAreRead) {
  const Manifest manifest = parse_manifest_canonical_json(
      R"({"manifest_version":1,"base_image":"rolling","system_packages":[],"gui_apps":[],"hardware_gpu":false,"hardware_audio":false,"mounts":[{"label":"a","host_path":"/x","container_path":"/y"}],"runtime_backend":"namespace","network_isolation":false,"later":1})");
  EXPECT_EQ(manifest.mounts.at(0).access, MountAccess::ReadWrite);
  EXPECT_FALSE(manifest.cpu_shares.has_value());
}

TEST(ManifestJson, DamageIsCorrupt) {
  const std::string good =
      manifest_canonical_json(parse_with("[system]\npackages = [\"a\", \"b\"]\n[mounts]\nm = \"/x:/y\"\n"));
  const auto damaged = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::vector<std::string> texts = {"",
                                          "[]",
                                          good.substr(0, good.size() - 1),
                                          damaged("\"a\",\"b\"", "\"b\",\"a\""),
                                          damaged("\"a\"", "\"-a\""),
                                          damaged("\"/y\"", "\"/../y\""),
                                          damaged("\"manifest_version\":1", "\"manifest_version\":2"),
                                          damaged("\"hardware_gpu\":false", "\"hardware_gpu\":0"),
                                          damaged("\"base_image\"", "\"base_imag\"")};
  for (const std::string& text : texts) {
    try {
      static_cast<void>(parse_manifest_canonical_json(text));
      ADD_FAILURE() << "was accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Corrupt) << error.what();
    }
  }
}

class ManifestFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "manifest-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(std::string_view name) const { return directory_ + "/" + std::string(name); }
  ManifestError load_error(std::string_view name) const {
    try {
      static_cast<void>(load_manifest(path(name)));
    } catch (const ManifestError& error) {
      return error;
    }
    ADD_FAILURE() << "was accepted";
    return {"", 0, 0, "", ""};
  }

  std::string directory_;
};

TEST_F(ManifestFile, IsReadAndNamedInErrors) {
  std::ofstream(path("a.toml")) << kMinimal;
  EXPECT_EQ(load_manifest(path("a.toml")), parse(kMinimal));
  std::ofstream(path("b.toml")) << "x = 1\n";
  EXPECT_EQ(load_error("b.toml").file(), path("b.toml"));
}

TEST_F(ManifestFile, MissingFileTellsHowToWriteOne) {
  const ManifestError error = load_error("none.toml");
  EXPECT_SAYS(error, "there is no such file");
  EXPECT_TRUE(contains(error.fix(), "karapace new")) << error.fix();
  EXPECT_EQ(error.code(), ErrorCode::InvalidInput);
}

TEST_F(ManifestFile, HundredMebibytesAreNotRead) {
  std::ofstream(path("big.toml")) << "x";
  ASSERT_EQ(truncate(path("big.toml").c_str(), 100 * 1024 * 1024), 0);
  EXPECT_SAYS(load_error("big.toml"), "the file is too large: 104857600 bytes");
}

TEST_F(ManifestFile, OnlyRegularFilesAreRead) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_SAYS(load_error("fifo"), "is not a regular file");
  EXPECT_SAYS(load_error(""), "is a directory");
}

}  // namespace
}  // namespace karapace
