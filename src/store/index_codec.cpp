// SPDX-License-Identifier: Apache-2.0
// The canonical index: one encoding per tree, because the layer's name is the digest of these bytes.
//
//   "KPLI" | u32 LE version | varint number of entries | entries in bytewise order of their paths, the root
//   "" first entry: u8 type | bytes path | by type:
//     Regular   attributes | varint size | 32 bytes digest          Symlink  attributes | bytes target
//     Directory attributes | u8 opaque                              HardLink bytes path of the first name of
//     the group Fifo      attributes                                          Whiteout nothing
//   attributes: varint mode, uid, gid | varint number of xattrs, each: bytes name | bytes value, in order of
//   names bytes: varint length, then so many bytes.   varint: LEB128, shortest form.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "karapace/base/error.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {
namespace {

constexpr std::string_view kMagic("KPLI\x01\0\0\0", 8);
constexpr std::uint64_t kMaxEntries = std::uint64_t{1} << 24;
constexpr std::size_t kMaxTargetBytes = 4095;
constexpr std::size_t kMaxXattrName = 255;
constexpr std::size_t kMaxXattrValue = 65536;
constexpr std::size_t kMaxXattrs = 1024;
constexpr std::uint32_t kPermissionBits = 07777;
/// (uid_t)-1 is no user: chown takes it for "leave as it is".
constexpr std::uint32_t kNobody = UINT32_MAX;

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80U) {
    out += static_cast<char>((value & 0x7FU) | 0x80U);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out += bytes;
}

void put_attributes(std::string& out, const IndexEntry& entry) {
  put_varint(out, entry.mode);
  put_varint(out, entry.uid);
  put_varint(out, entry.gid);
  put_varint(out, entry.xattrs.size());
  for (const auto& [name, value] : entry.xattrs) {
    put_bytes(out, name);
    put_bytes(out, value);
  }
}

[[noreturn]] void corrupt(std::string found) {
  throw CorruptError("layer index", "its canonical form", std::move(found));
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }

  std::string_view take(std::uint64_t count) {
    if (count > rest_.size()) corrupt("an end in the middle of an entry");
    const std::string_view result = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(result.size());
    return result;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1).front()); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t part = byte();
      const std::uint64_t bits = part & 0x7FU;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if ((part & 0x80U) != 0) continue;
      if (bits == 0 && shift != 0) break;  // a longer form of a shorter number
      return value;
    }
    corrupt("a number that is too long");
  }
  std::uint32_t small() {
    const std::uint64_t value = varint();
    if (value > UINT32_MAX) corrupt("a number that is too large");
    return static_cast<std::uint32_t>(value);
  }
  std::string_view bytes(std::size_t limit) {
    const std::uint64_t length = varint();
    if (length > limit) corrupt("a text that is too long");
    return take(length);
  }

 private:
  std::string_view rest_;
};

void read_attributes(Reader& reader, IndexEntry& entry) {
  entry.mode = reader.small();
  entry.uid = reader.small();
  entry.gid = reader.small();
  const std::uint64_t count = reader.varint();
  if (count > kMaxXattrs) corrupt("too many attributes of one file");
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name(reader.bytes(kMaxXattrName));
    std::string value(reader.bytes(kMaxXattrValue));
    entry.xattrs.emplace_back(std::move(name), std::move(value));
  }
}

Digest read_digest(Reader& reader) {
  std::array<std::uint8_t, Digest::kSize> bytes{};
  const std::string_view text = reader.take(bytes.size());
  std::ranges::transform(text, bytes.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  return Digest(bytes);
}

IndexEntry read_entry(Reader& reader) {
  IndexEntry entry;
  const std::uint8_t type = reader.byte();
  if (type > static_cast<std::uint8_t>(EntryType::Whiteout)) corrupt("an unknown type of entry");
  entry.type = static_cast<EntryType>(type);
  entry.path = reader.bytes(RelPath::kMaxLength);
  const bool has_attributes = entry.type != EntryType::HardLink && entry.type != EntryType::Whiteout;
  if (has_attributes) read_attributes(reader, entry);
  switch (entry.type) {
    case EntryType::Regular:
      entry.size = reader.varint();
      entry.content = read_digest(reader);
      break;
    case EntryType::Directory: {
      const std::uint8_t opaque = reader.byte();
      if (opaque > 1) corrupt("an opaque mark that is neither yes nor no");
      entry.opaque = opaque == 1;
      break;
    }
    case EntryType::Symlink:
    case EntryType::HardLink:
      entry.link_target = reader.bytes(kMaxTargetBytes);
      break;
    case EntryType::Fifo:
    case EntryType::Whiteout:
      break;
  }
  return entry;
}

/// What makes a list of entries a tree. The same rules before writing and after reading.
class TreeRules {
 public:
  /// Nothing if the entry may follow those before it, else what is wrong. `entry` must live as long as this
  /// object.
  const char* problem_with(const IndexEntry& entry) {
    if (const char* problem = problem_with_place(entry)) return problem;
    if (const char* problem = problem_with_values(entry)) return problem;
    last_ = &entry;
    types_.emplace(entry.path, entry.type);
    return nullptr;
  }

 private:
  const char* problem_with_place(const IndexEntry& entry) const {
    if (last_ == nullptr) {
      return entry.path.empty() && entry.type == EntryType::Directory ? nullptr
                                                                      : "no root directory at the begin";
    }
    if (entry.path <= last_->path) return "paths that are not in order";
    const auto slash = entry.path.rfind('/');
    // Its parent would look like the root's name.
    if (slash == 0) return "an absolute path";
    const std::string_view parent =
        slash == std::string::npos ? "" : std::string_view(entry.path).substr(0, slash);
    const auto found = types_.find(parent);
    if (found == types_.end() || found->second != EntryType::Directory)
      return "an entry that is in no directory";
    // The parent was checked, so only the last component is new.
    const std::string_view name =
        slash == std::string::npos ? entry.path : std::string_view(entry.path).substr(slash + 1);
    if (!is_path_component(name)) return "a name that cannot be";
    if (entry.path.size() > RelPath::kMaxLength) return "a path that is too long";
    const auto depth = static_cast<std::size_t>(std::ranges::count(entry.path, '/')) + 1;
    return depth > RelPath::kMaxDepth ? "a path that is too deep" : nullptr;
  }

  const char* problem_with_values(const IndexEntry& entry) const {
    if ((entry.mode & ~kPermissionBits) != 0) return "a mode with other bits than permissions";
    if (entry.uid == kNobody || entry.gid == kNobody) return "an owner that is none";
    if (const char* problem = problem_with_xattrs(entry)) return problem;
    if (entry.type == EntryType::Regular && entry.size == 0 && entry.content != kEmpty)
      return "an empty file with content";
    if (entry.type == EntryType::Symlink &&
        (entry.link_target.empty() || entry.link_target.size() > kMaxTargetBytes ||
         entry.link_target.find('\0') != std::string::npos || entry.mode != 0777)) {
      return "a symlink that cannot be";
    }
    if (entry.type == EntryType::HardLink) {
      const auto target = types_.find(entry.link_target);
      const bool linkable = target != types_.end() &&
                            (target->second == EntryType::Regular || target->second == EntryType::Symlink ||
                             target->second == EntryType::Fifo);
      if (!linkable) return "a hard link to nothing before it";
    }
    return nullptr;
  }

  static const char* problem_with_xattrs(const IndexEntry& entry) {
    if (entry.xattrs.size() > kMaxXattrs) return "too many attributes of one file";
    const std::string* last = nullptr;
    for (const auto& [name, value] : entry.xattrs) {
      if (name.empty() || name.size() > kMaxXattrName || name.find('\0') != std::string::npos ||
          value.size() > kMaxXattrValue) {
        return "an attribute that cannot be";
      }
      if (last != nullptr && name <= *last) return "attributes that are not in order";
      last = &name;
    }
    return nullptr;
  }

  inline static const Digest kEmpty = hash_bytes("");
  const IndexEntry* last_ = nullptr;
  std::unordered_map<std::string_view, EntryType> types_;
};

/// What an entry of this type does not have must be as it was made: otherwise two values would have one
/// encoding.
bool has_only_its_own(const IndexEntry& entry) {
  const bool regular = entry.type == EntryType::Regular;
  const bool bare = entry.type == EntryType::HardLink || entry.type == EntryType::Whiteout;
  const bool linking = entry.type == EntryType::Symlink || entry.type == EntryType::HardLink;
  return (regular || (entry.size == 0 && entry.content == Digest())) &&
         (linking || entry.link_target.empty()) && (entry.type == EntryType::Directory || !entry.opaque) &&
         (!bare || (entry.mode == 0 && entry.uid == 0 && entry.gid == 0 && entry.xattrs.empty()));
}

}  // namespace

std::string encode_index(const std::vector<IndexEntry>& entries) {
  std::string out(kMagic);
  put_varint(out, entries.size());
  TreeRules rules;
  for (const IndexEntry& entry : entries) {
    const char* problem =
        has_only_its_own(entry) ? rules.problem_with(entry) : "an entry with values of another type";
    if (problem != nullptr) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("not a tree: {} at \"{}\"", problem, printable(entry.path)));
    }
    out += static_cast<char>(entry.type);
    put_bytes(out, entry.path);
    if (entry.type != EntryType::HardLink && entry.type != EntryType::Whiteout) put_attributes(out, entry);
    if (entry.type == EntryType::Regular) {
      put_varint(out, entry.size);
      for (const std::uint8_t byte : entry.content.bytes()) out += static_cast<char>(byte);
    }
    if (entry.type == EntryType::Directory) out += static_cast<char>(entry.opaque ? 1 : 0);
    if (entry.type == EntryType::Symlink || entry.type == EntryType::HardLink)
      put_bytes(out, entry.link_target);
  }
  if (entries.empty() || entries.size() > kMaxEntries) {
    throw Error(ErrorCode::InvalidInput, fmt::format("a tree cannot have {} entries", entries.size()));
  }
  return out;
}

std::vector<IndexEntry> decode_index(std::string_view bytes) {
  Reader reader(bytes);
  if (!bytes.starts_with(kMagic)) corrupt("another file type or version");
  reader.take(kMagic.size());
  const std::uint64_t count = reader.varint();
  // The shortest entry has three bytes; so the claim of a small file cannot make us allocate much.
  if (count == 0 || count > kMaxEntries || count > reader.left() / 2)
    corrupt("an impossible number of entries");
  std::vector<IndexEntry> entries;
  entries.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(count, reader.left() / 16 + 1)));
  for (std::uint64_t i = 0; i < count; ++i) entries.push_back(read_entry(reader));
  if (!reader.at_end()) corrupt("bytes after the last entry");
  // Only now: the rules keep pointers into the entries, which must not move any more.
  TreeRules rules;
  for (const IndexEntry& entry : entries) {
    if (const char* problem = rules.problem_with(entry)) corrupt(problem);
  }
  return entries;
}

std::string encode_mtimes(const std::vector<IndexEntry>& entries) {
  std::string out;
  out.reserve(entries.size() * sizeof(std::uint64_t));
  for (const IndexEntry& entry : entries) {
    auto value = static_cast<std::uint64_t>(entry.mtime_ns);
    for (std::size_t i = 0; i < sizeof value; ++i, value >>= 8) out += static_cast<char>(value & 0xFFU);
  }
  return out;
}

void apply_mtimes(std::vector<IndexEntry>& entries, std::string_view bytes) {
  if (bytes.size() != entries.size() * sizeof(std::uint64_t)) {
    throw CorruptError("times of a layer", fmt::format("{} of them", entries.size()),
                       fmt::format("{} bytes", bytes.size()));
  }
  for (IndexEntry& entry : entries) {
    std::uint64_t value = 0;
    for (std::size_t i = sizeof value; i-- > 0;) value = (value << 8) | static_cast<std::uint8_t>(bytes[i]);
    bytes.remove_prefix(sizeof value);
    entry.mtime_ns = static_cast<std::int64_t>(value);
  }
}

}  // namespace karapace::store
