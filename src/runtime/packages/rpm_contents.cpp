// SPDX-License-Identifier: Apache-2.0
#include "packages/rpm_contents.hpp"

#include <array>
#include <cstdint>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/read_range.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kLeadMagic = "\xed\xab\xee\xdb";
constexpr std::string_view kHeaderMagic = "\x8e\xad\xe8\x01";
constexpr std::size_t kLead = 96;
constexpr std::size_t kIntro = 16;  // magic, 4 reserved, number of entries, size of what they point to
constexpr std::size_t kEntry = 16;  // tag, type, offset, count
constexpr std::uint32_t kMaxEntries = 65535;
constexpr std::uint32_t kMaxStore = 64 * 1024 * 1024;
constexpr std::uint32_t kMaxCount = 1'000'000;
constexpr std::size_t kMaxPaths = 256UL * 1024 * 1024;  // bytes of all

enum Tag : std::uint32_t { DirIndexes = 1116, BaseNames = 1117, DirNames = 1118 };
enum Type : std::uint32_t { Int32 = 4, String = 6, StringArray = 8 };
// %pre %post %preun %postun %pretrans %posttrans, and triggers
constexpr std::array<std::uint32_t, 7> kScripts = {1023, 1024, 1025, 1026, 1151, 1152, 1065};

[[noreturn]] void refuse() { throw Error(ErrorCode::InvalidInput, "not the header of an rpm package"); }

std::uint32_t number_at(std::string_view bytes, std::size_t offset) {
  if (bytes.size() < 4 || offset > bytes.size() - 4) refuse();
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return number;
}

struct Sizes {
  std::size_t index = 0;
  std::size_t store = 0;
};

Sizes read_intro(std::string_view intro) {
  if (!intro.starts_with(kHeaderMagic)) refuse();
  const std::uint32_t entries = number_at(intro, 8);
  const std::uint32_t store = number_at(intro, 12);
  if (entries > kMaxEntries || store > kMaxStore) refuse();
  return {entries * kEntry, store};
}

class Header {
 public:
  explicit Header(std::string_view bytes) {
    const Sizes sizes = read_intro(bytes);
    if (bytes.size() - kIntro < sizes.index + sizes.store) refuse();
    index_ = bytes.substr(kIntro, sizes.index);
    store_ = bytes.substr(kIntro + sizes.index, sizes.store);
  }

  /// Of a string, or of an array of them; none if the tag is not there.
  [[nodiscard]] std::vector<std::string_view> strings(std::uint32_t tag) const {
    std::vector<std::string_view> found;
    const auto entry = find(tag);
    if (!entry) return found;
    if (entry->type != String && entry->type != StringArray) refuse();
    std::string_view rest = store_.substr(entry->offset);
    for (std::uint32_t i = 0; i < entry->count; ++i) {
      const auto end = rest.find('\0');
      if (end == std::string_view::npos) refuse();
      found.push_back(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    return found;
  }

  [[nodiscard]] std::vector<std::uint32_t> numbers(std::uint32_t tag) const {
    std::vector<std::uint32_t> found;
    const auto entry = find(tag);
    if (!entry) return found;
    if (entry->type != Int32) refuse();
    for (std::size_t i = 0; i < entry->count; ++i) found.push_back(number_at(store_, entry->offset + 4 * i));
    return found;
  }

 private:
  struct Entry {
    std::uint32_t type = 0, offset = 0, count = 0;
  };

  [[nodiscard]] std::optional<Entry> find(std::uint32_t tag) const {
    for (std::size_t at = 0; at < index_.size(); at += kEntry) {
      if (number_at(index_, at) != tag) continue;
      const Entry entry{number_at(index_, at + 4), number_at(index_, at + 8), number_at(index_, at + 12)};
      if (entry.offset > store_.size() || entry.count > kMaxCount) refuse();
      return entry;
    }
    return std::nullopt;
  }

  std::string_view index_;
  std::string_view store_;
};

std::string read_piece(FdRef file, std::size_t offset, std::size_t size) {
  std::string piece = read_range(file, offset, size);
  if (piece.size() != size) refuse();
  return piece;
}

}  // namespace

RpmContents parse_rpm_header(std::string_view text) {
  const Header header(text);
  const auto directories = header.strings(DirNames);
  const auto names = header.strings(BaseNames);
  const auto places = header.numbers(DirIndexes);
  if (places.size() != names.size()) refuse();
  RpmContents contents;
  contents.paths.reserve(names.size());
  std::size_t bytes_of_paths = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (places[i] >= directories.size()) refuse();
    std::string_view directory = directories[places[i]];
    if (directory.starts_with('/')) directory.remove_prefix(1);
    bytes_of_paths += directory.size() + names[i].size();
    if (bytes_of_paths > kMaxPaths) refuse();
    contents.paths.push_back(std::string(directory) + std::string(names[i]));
  }
  for (const std::uint32_t tag : kScripts) {
    for (const std::string_view script : header.strings(tag)) contents.scripts.emplace_back(script);
  }
  return contents;
}

RpmContents read_rpm_contents(FdRef file) {
  if (!read_piece(file, 0, kLead).starts_with(kLeadMagic)) refuse();
  const Sizes signatures = read_intro(read_piece(file, kLead, kIntro));
  constexpr std::size_t kPadding = 8;
  const std::size_t end = kLead + kIntro + signatures.index + signatures.store;
  const std::size_t begin = (end + kPadding - 1) / kPadding * kPadding;
  const Sizes sizes = read_intro(read_piece(file, begin, kIntro));
  return parse_rpm_header(read_piece(file, begin, kIntro + sizes.index + sizes.store));
}

}  // namespace karapace::runtime
