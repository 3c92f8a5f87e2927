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
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <unordered_set>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/index_stream.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {
namespace {

constexpr std::string_view kMagic("KPLI\x01\0\0\0", 8);
constexpr std::uint64_t kMaxEntries = std::uint64_t{1} << 24;
constexpr std::size_t kMaxTargetBytes = 4095;
constexpr std::size_t kMaxXattrName = 255;
constexpr std::size_t kMaxXattrValue = 65536;
constexpr std::size_t kMaxXattrs = 1024;
constexpr std::size_t kPiece = 256 * 1024;
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

/// The bytes of a text, or of a file through a window.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : window_(bytes), left_(bytes.size()) {}
  explicit Reader(FdRef file) : file_(file), left_(static_cast<std::uint64_t>(stat_fd(file).st_size)) {}

  [[nodiscard]] bool at_end() const noexcept { return left_ == 0; }
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }

  /// Valid until the next call.
  std::string_view take(std::uint64_t count) {
    if (count > left_) corrupt("an end in the middle of an entry");
    if (count > window_.size()) fill(static_cast<std::size_t>(count));
    const std::string_view result = window_.substr(0, static_cast<std::size_t>(count));
    window_.remove_prefix(result.size());
    left_ -= count;
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
  void fill(std::size_t count) {
    constexpr std::size_t kWindow = 128 * 1024;
    std::string next(std::max(count, kWindow), '\0');
    window_.copy(next.data(), window_.size());
    std::size_t have = window_.size();
    while (have < count) {
      const ssize_t got = ::pread(file_->get(), next.data() + have, next.size() - have, offset_);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_errno("read the index of a layer");
      if (got == 0) corrupt("an end in the middle of an entry");
      have += static_cast<std::size_t>(got);
      offset_ += got;
    }
    buffer_ = std::move(next);
    window_ = std::string_view(buffer_).substr(0, have);
  }

  std::optional<FdRef> file_;
  off_t offset_ = 0;
  std::string buffer_;
  std::string_view window_;
  std::uint64_t left_;
};

void read_attributes(Reader& reader, IndexEntry& entry) {
  entry.mode = reader.small();
  entry.uid = reader.small();
  entry.gid = reader.small();
  const std::uint64_t count = reader.varint();
  if (count > kMaxXattrs) corrupt("too many attributes of one file");
  Xattrs xattrs;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name(reader.bytes(kMaxXattrName));
    std::string value(reader.bytes(kMaxXattrValue));
    xattrs.emplace_back(std::move(name), std::move(value));
  }
  entry.xattrs = std::move(xattrs);
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

bool is_linkable(EntryType type) {
  return type == EntryType::Regular || type == EntryType::Symlink || type == EntryType::Fifo;
}
constexpr const char* kBadLink = "a hard link to nothing before it";

/// What makes a sequence of entries a tree, but for the targets of hard links. The same rules before writing
/// and after reading.
class TreeRules {
 public:
  /// Nothing if the entry may follow those before it, else what is wrong.
  const char* problem_with(const IndexEntry& entry) {
    if (const char* problem = problem_with_place(entry)) return problem;
    if (const char* problem = problem_with_values(entry)) return problem;
    last_ = entry.path.view();
    first_ = false;
    if (entry.type == EntryType::Directory) directories_.insert(last_);
    return nullptr;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };

  const char* problem_with_place(const IndexEntry& entry) {
    const std::string_view path = entry.path;
    if (first_)
      return path.empty() && entry.type == EntryType::Directory ? nullptr : "no root directory at the begin";
    if (path <= last_) return "paths that are not in order";
    const auto slash = path.rfind('/');
    // Its parent would look like the root's name.
    if (slash == 0) return "an absolute path";
    const std::string_view parent = slash == std::string_view::npos ? "" : path.substr(0, slash);
    if (parent != parent_) {
      if (!directories_.contains(parent)) return "an entry that is in no directory";
      parent_ = parent;
    }
    // The parent was checked, so only the last component is new.
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (!is_path_component(name)) return "a name that cannot be";
    if (path.size() > RelPath::kMaxLength) return "a path that is too long";
    const auto depth = static_cast<std::size_t>(std::ranges::count(path, '/')) + 1;
    return depth > RelPath::kMaxDepth ? "a path that is too deep" : nullptr;
  }

  static const char* problem_with_values(const IndexEntry& entry) {
    if ((entry.mode & ~kPermissionBits) != 0) return "a mode with other bits than permissions";
    if (entry.uid == kNobody || entry.gid == kNobody) return "an owner that is none";
    if (const char* problem = problem_with_xattrs(entry)) return problem;
    if (entry.type == EntryType::Regular && entry.size == 0 && entry.content != kEmpty)
      return "an empty file with content";
    const std::string_view target = entry.link_target;
    if (entry.type == EntryType::Symlink &&
        (target.empty() || target.size() > kMaxTargetBytes || target.find('\0') != std::string_view::npos ||
         entry.mode != 0777)) {
      return "a symlink that cannot be";
    }
    return entry.type == EntryType::HardLink && target >= entry.path.view() ? kBadLink : nullptr;
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
  bool first_ = true;
  std::string last_;
  std::string parent_;  // of the last entry; the root at first
  std::unordered_set<std::string, Hash, std::equal_to<>> directories_;
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

[[noreturn]] void refuse(const char* problem, const IndexEntry& entry) {
  throw Error(ErrorCode::InvalidInput,
              fmt::format("not a tree: {} at \"{}\"", problem, printable(entry.path)));
}

void put_entry(std::string& out, const IndexEntry& entry) {
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

void put_time(std::string& out, const IndexEntry& entry) {
  auto value = static_cast<std::uint64_t>(entry.mtime_ns);
  for (std::size_t i = 0; i < sizeof value; ++i, value >>= 8) out += static_cast<char>(value & 0xFFU);
}

/// Gives the encoded index to `sink` in pieces.
template <typename Sink>
void emit_index(const std::vector<IndexEntry>& entries, Sink&& sink) {
  if (entries.empty() || entries.size() > kMaxEntries)
    throw Error(ErrorCode::InvalidInput, fmt::format("a tree cannot have {} entries", entries.size()));
  std::string out(kMagic);
  put_varint(out, entries.size());
  TreeRules rules;
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    if (!has_only_its_own(*entry)) refuse("an entry with values of another type", *entry);
    if (const char* problem = rules.problem_with(*entry)) refuse(problem, *entry);
    if (entry->type == EntryType::HardLink) {
      const auto target =
          std::lower_bound(entries.begin(), entry, entry->link_target.view(),
                           [](const IndexEntry& e, std::string_view p) { return e.path.view() < p; });
      if (target == entry || !(target->path == entry->link_target) || !is_linkable(target->type))
        refuse(kBadLink, *entry);
    }
    put_entry(out, *entry);
    if (out.size() >= kPiece) {
      sink(std::string_view(out));
      out.clear();
    }
  }
  sink(std::string_view(out));
}

template <typename Sink>
void emit_times(const std::vector<IndexEntry>& entries, Sink&& sink) {
  std::string out;
  for (const IndexEntry& entry : entries) {
    put_time(out, entry);
    if (out.size() >= kPiece) {
      sink(std::string_view(out));
      out.clear();
    }
  }
  sink(std::string_view(out));
}

template <typename IndexSink, typename TimesSink>
IndexSummary emit(const std::vector<IndexEntry>& entries, IndexSink&& index, TimesSink&& times) {
  Hasher index_hash;
  Hasher times_hash;
  emit_index(entries, [&](std::string_view piece) {
    index_hash.update(piece);
    index(piece);
  });
  emit_times(entries, [&](std::string_view piece) {
    times_hash.update(piece);
    times(piece);
  });
  IndexSummary summary{index_hash.finish(), times_hash.finish(), entries.size(), 0};
  for (const IndexEntry& entry : entries) summary.bytes += entry.size;
  return summary;
}

}  // namespace

std::string encode_index(const std::vector<IndexEntry>& entries) {
  std::string out;
  emit_index(entries, [&](std::string_view piece) { out += piece; });
  return out;
}

IndexSummary write_index(const std::vector<IndexEntry>& entries, FdRef index, FdRef mtimes) {
  return emit(
      entries, [&](std::string_view piece) { write_all(index, piece); },
      [&](std::string_view piece) { write_all(mtimes, piece); });
}

IndexSummary summarise(const std::vector<IndexEntry>& entries) {
  const auto nowhere = [](std::string_view) {};
  return emit(entries, nowhere, nowhere);
}

struct IndexReader::State {
  Reader reader;
  Reader again;  // the same from the start
  std::uint64_t count = 0;
  std::uint64_t done = 0;
  TreeRules rules;
  std::vector<std::string> link_targets;

  void begin() {
    begin(reader);
    count = reader.varint();
    // The shortest entry has three bytes; so the claim of a small file cannot make us allocate much.
    if (count == 0 || count > kMaxEntries || count > reader.left() / 2)
      corrupt("an impossible number of entries");
  }
  static void begin(Reader& bytes) {
    if (bytes.left() < kMagic.size() || bytes.take(kMagic.size()) != kMagic)
      corrupt("another file type or version");
  }

  void end() {
    if (!reader.at_end()) corrupt("bytes after the last entry");
    if (!link_targets.empty()) check_links();
  }

  void check_links() {
    std::ranges::sort(link_targets);
    link_targets.erase(std::unique(link_targets.begin(), link_targets.end()), link_targets.end());
    begin(again);
    static_cast<void>(again.varint());
    auto wanted = link_targets.begin();
    for (std::uint64_t i = 0; i < count && wanted != link_targets.end(); ++i) {
      const IndexEntry entry = read_entry(again);
      if (entry.path.view() > *wanted) corrupt(kBadLink);
      if (entry.path.view() != *wanted) continue;
      if (!is_linkable(entry.type)) corrupt(kBadLink);
      ++wanted;
    }
    if (wanted != link_targets.end()) corrupt(kBadLink);
  }
};

IndexReader::IndexReader(std::string_view bytes)
    : state_(new State{Reader(bytes), Reader(bytes), 0, 0, {}, {}}) {
  state_->begin();
}
IndexReader::IndexReader(FdRef file) : state_(new State{Reader(file), Reader(file), 0, 0, {}, {}}) {
  state_->begin();
}
IndexReader::IndexReader(IndexReader&&) noexcept = default;
IndexReader::~IndexReader() = default;

std::uint64_t IndexReader::count() const noexcept { return state_->count; }

bool IndexReader::next(IndexEntry& entry) {
  State& state = *state_;
  if (state.done == state.count) return false;
  entry = read_entry(state.reader);
  if (const char* problem = state.rules.problem_with(entry)) corrupt(problem);
  if (entry.type == EntryType::HardLink) state.link_targets.emplace_back(entry.link_target.view());
  if (++state.done == state.count) state.end();
  return true;
}

namespace {

std::uint64_t plausible_count(const IndexReader& reader, std::uint64_t bytes) {
  constexpr std::uint64_t kUsualBytes = 16;
  return std::min(reader.count(), bytes / kUsualBytes + 1);
}

std::vector<IndexEntry> read_all(IndexReader reader, std::uint64_t capacity) {
  std::vector<IndexEntry> entries;
  entries.reserve(static_cast<std::size_t>(capacity));
  for (IndexEntry entry; reader.next(entry);) entries.push_back(std::move(entry));
  return entries;
}

}  // namespace

std::vector<IndexEntry> decode_index(std::string_view bytes) {
  IndexReader reader(bytes);
  const std::uint64_t count = plausible_count(reader, bytes.size());
  return read_all(std::move(reader), count);
}

std::uint64_t plausible_count(FdRef file) {
  return plausible_count(IndexReader(file), static_cast<std::uint64_t>(stat_fd(file).st_size));
}

std::vector<IndexEntry> read_index(FdRef file, std::uint64_t room) {
  return read_all(IndexReader(file), plausible_count(file) + room);
}

std::string encode_mtimes(const std::vector<IndexEntry>& entries) {
  std::string out;
  out.reserve(entries.size() * sizeof(std::uint64_t));
  emit_times(entries, [&](std::string_view piece) { out += piece; });
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
