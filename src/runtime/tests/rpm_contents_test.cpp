// SPDX-License-Identifier: Apache-2.0
#include "packages/rpm_contents.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/package_owners.hpp"
#include "temporary_directory.hpp"

namespace karapace::runtime {
namespace {

using namespace std::string_literals;

std::string big_endian(std::uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
  return bytes;
}

/// Puts headers together as rpm writes them, or as nobody should.
class HeaderMaker {
 public:
  void add(std::uint32_t tag, std::uint32_t type, std::uint32_t count, const std::string& value) {
    entry(tag, type, static_cast<std::uint32_t>(store_.size()), count);
    store_ += value;
  }
  void entry(std::uint32_t tag, std::uint32_t type, std::uint32_t offset, std::uint32_t count) {
    index_ += big_endian(tag) + big_endian(type) + big_endian(offset) + big_endian(count);
    ++entries_;
  }
  [[nodiscard]] std::string text() const {
    return "\x8e\xad\xe8\x01\0\0\0\0"s + big_endian(entries_) +
           big_endian(static_cast<std::uint32_t>(store_.size())) + index_ + store_;
  }

 private:
  std::string index_;
  std::string store_;
  std::uint32_t entries_ = 0;
};

HeaderMaker two_files() {
  HeaderMaker header;
  header.add(1116, 4, 2, big_endian(1) + big_endian(0));
  header.add(1117, 8, 2, "tool\0notes\0"s);
  header.add(1118, 8, 2, "/usr/share/doc/\0/usr/bin/\0"s);
  header.add(1024, 6, 1, "touch /etc/made\0"s);
  return header;
}

bool is_refused(const std::string& header) {
  try {
    static_cast<void>(parse_rpm_header(header));
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::InvalidInput;
  }
}

TEST(RpmContents, FilesAreADirectoryAndAName) {
  const RpmContents contents = parse_rpm_header(two_files().text());
  EXPECT_EQ(contents.paths, (std::vector<std::string>{"usr/bin/tool", "usr/share/doc/notes"}));
  EXPECT_EQ(contents.scripts, std::vector<std::string>{"touch /etc/made"});
}

TEST(RpmContents, PackageWithoutFilesHasNone) {
  EXPECT_TRUE(parse_rpm_header(HeaderMaker().text()).paths.empty());
}

TEST(RpmContents, EveryCutIsRefused) {
  const std::string whole = two_files().text();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_TRUE(is_refused(whole.substr(0, size))) << size << " bytes";
}

TEST(RpmContents, WhatPointsOutOfTheHeaderIsRefused) {
  const auto with = [](std::uint32_t type, std::uint32_t offset, std::uint32_t count) {
    HeaderMaker header;
    header.add(1, 8, 1, "text\0"s);
    header.entry(1117, type, offset, count);
    return header.text();
  };
  EXPECT_TRUE(is_refused(with(8, 6, 1))) << "behind the end";
  EXPECT_TRUE(is_refused(with(8, 0xffffffff, 1)));
  EXPECT_TRUE(is_refused(with(8, 0, 2))) << "more strings than there are";
  EXPECT_TRUE(is_refused(with(8, 0, 0xffffffff)));
  EXPECT_TRUE(is_refused(with(4, 0, 1))) << "another type";
  EXPECT_TRUE(is_refused(with(8, 0, 1))) << "names without directories";
  HeaderMaker header;
  header.add(1116, 4, 1, big_endian(1));
  header.add(1117, 8, 1, "tool\0"s);
  header.add(1118, 8, 1, "/usr/bin/\0"s);
  EXPECT_TRUE(is_refused(header.text())) << "the second of one directory";
}

TEST(RpmContents, ManyLongPathsOfFewBytesAreRefused) {
  constexpr std::uint32_t kNames = 1000;
  HeaderMaker header;
  std::string places;
  for (std::uint32_t i = 0; i < kNames; ++i) places += big_endian(0);
  header.add(1116, 4, kNames, places);
  header.add(1117, 8, kNames, std::string(kNames, '\0'));
  header.add(1118, 8, 1, "/" + std::string(1024 * 1024, 'd') + '\0');
  EXPECT_TRUE(is_refused(header.text()));
}

TEST(RpmContents, OwnersAreFoundInPackages) {
  const test::TemporaryDirectory directory;
  const auto path = std::filesystem::path(directory.path()) / "package";
  const std::string signatures = HeaderMaker().text();  // 16 bytes: nothing to pad
  std::ofstream(path, std::ios::binary)
      << "\xed\xab\xee\xdb" << std::string(92, '\0') << signatures << two_files().text() << "payload";
  const RpmFile good{"tools", [&] { return open_path(path.string(), O_RDONLY); }};
  const RpmFile gone{"gone", [] { return std::optional<UniqueFd>(); }};
  const RpmFile damaged{"damaged", [] { return open_path("/proc/self/cmdline", O_RDONLY); }};
  const auto owners = find_owners({}, {gone, damaged, good}, {"usr/bin/tool", "etc/made", "etc/other"});
  EXPECT_EQ(owners, (std::map<std::string, Owner>{{"usr/bin/tool", {"tools", OwnedBy::List}},
                                                  {"etc/made", {"tools", OwnedBy::Script}}}));
}

}  // namespace
}  // namespace karapace::runtime
