// SPDX-License-Identifier: Apache-2.0
#include "worker/export_tree.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "worker/tree_writer.hpp"

namespace karapace::worker {
namespace {

using store::EntryType;
using store::IndexEntry;

constexpr std::int64_t kNanoseconds = 1'000'000'000;
constexpr std::size_t kBuffer = 256 * 1024;
constexpr std::uint64_t kProgressEvery = 256;
constexpr std::uint64_t kHoleUnit = 64 * 1024;
constexpr std::uint64_t kSmallestHole = 16 * kHoleUnit;
constexpr std::size_t kMaxExtents = 10'000;

timespec time_of(const IndexEntry& entry) {
  std::int64_t seconds = entry.mtime_ns / kNanoseconds;
  std::int64_t rest = entry.mtime_ns % kNanoseconds;
  if (rest < 0) {  // before 1970
    --seconds;
    rest += kNanoseconds;
  }
  return {static_cast<time_t>(seconds), static_cast<long>(rest)};
}

UniqueFd open_content(const ExportSource& source, const IndexEntry& entry) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  if (source.in_upper.contains(entry.path)) return open_beneath(*source.upper, entry.path, kFlags);
  return open_beneath(source.objects, entry.content.hex(), kFlags);
}

std::string_view read_at(FdRef file, std::uint64_t at, std::span<char> buffer) {
  ssize_t got = 0;
  do got = ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(at));
  while (got < 0 && errno == EINTR);
  if (got < 0) throw_errno("read");
  return {buffer.data(), static_cast<std::size_t>(got)};
}

/// Hands the bytes on in pieces; exactly as many as the entry says.
template <typename Sink>
void read_content(FdRef file, const IndexEntry& entry, const CancelToken& cancel, Sink&& sink) {
  std::string buffer(kBuffer, '\0');
  for (std::uint64_t at = 0; at < entry.size;) {
    cancel.check();
    const std::uint64_t want = std::min<std::uint64_t>(entry.size - at, buffer.size());
    const std::string_view bytes = read_at(file, at, std::span(buffer).first(want));
    if (bytes.empty())
      throw Error(ErrorCode::Conflict, "it became shorter while it was read", "Stop what writes to it.");
    sink(bytes);
    at += bytes.size();
  }
}

/// A piece of zeros becomes a hole, which has no part in what a file is.
void write_piece(FdRef file, std::string_view bytes) {
  if (bytes.find_first_not_of('\0') != std::string_view::npos) return write_all(file, bytes);
  if (::lseek(file.get(), static_cast<off_t>(bytes.size()), SEEK_CUR) < 0) throw_errno("leave a hole");
}

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
};

/// The first block of `file` at `at` or behind it that may hold something; its size if there is none.
std::uint64_t skip_hole(FdRef file, std::uint64_t at, std::uint64_t size) {
  const off_t data = ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? size : at;
  return static_cast<std::uint64_t>(data) / kHoleUnit * kHoleUnit;
}

/// What is not in long runs of zeros; nothing if there are none. The bytes decide and not the file system:
/// the same tree is the same archive.
std::vector<Extent> find_data(FdRef file, std::uint64_t size, const CancelToken& cancel) {
  if (size < kSmallestHole) return {};
  std::string block(kHoleUnit, '\0');
  std::vector<Extent> data;
  std::uint64_t begin = 0;  // of data
  std::uint64_t zeros = 0;  // where they begin, before `at`
  const auto close = [&](std::uint64_t at) {
    if (at - zeros < kSmallestHole) return false;
    if (zeros > begin) data.push_back({begin, zeros - begin});
    return true;
  };
  for (std::uint64_t at = 0; (at = skip_hole(file, at, size)) < size;) {
    cancel.check();
    const std::uint64_t end = std::min(at + kHoleUnit, size);
    if (read_at(file, at, std::span(block).first(end - at)).find_first_not_of('\0') !=
        std::string_view::npos) {
      if (close(at)) begin = at;
      zeros = end;
    }
    at = end;
  }
  if (begin == 0 && size - zeros < kSmallestHole) return {};
  if (close(size)) {
    if (data.empty()) data.push_back({size, 0});
  } else {
    data.push_back({begin, size - begin});
  }
  if (data.size() > kMaxExtents) data.clear();
  return data;
}

template <typename Write>
void for_each_entry(const ExportSource& source, ProgressSink& progress, const CancelToken& cancel,
                    Write&& write) {
  std::uint64_t done = 0;
  for (const IndexEntry& entry : source.entries) {
    cancel.check();
    with_context([&] { return fmt::format("writing \"{}\"", printable(entry.path)); }, [&] { write(entry); });
    if (++done % kProgressEvery == 0) progress.advance(done, source.entries.size(), "files");
  }
}

using Archive = std::unique_ptr<struct archive, int (*)(struct archive*)>;
using Entry = std::unique_ptr<struct archive_entry, void (*)(struct archive_entry*)>;

bool keeps_names_as_utf8(const std::vector<IndexEntry>& entries) {
  // libarchive converts from the locale's character set: from UTF-8 nothing changes.
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") return false;
  return std::ranges::all_of(entries, [](const IndexEntry& entry) {
    return is_utf8(entry.path.str()) && is_utf8(entry.link_target);
  });
}

class TarWriter {
 public:
  TarWriter(const ExportSource& source, FdRef file, const CancelToken& cancel)
      : source_(source), file_(file), cancel_(cancel), archive_(archive_write_new(), archive_write_free) {
    check(archive_write_set_format_pax(archive_.get()));
    check(archive_write_add_filter_none(archive_.get()));
    // Names are bytes. pax holds UTF-8 or says hdrcharset=BINARY, of which GNU tar warns at every entry.
    if (!keeps_names_as_utf8(source.entries))
      check(archive_write_set_format_option(archive_.get(), "pax", "hdrcharset", "BINARY"));
    // Of a file, the last block need not be filled up.
    check(archive_write_set_bytes_in_last_block(archive_.get(), 1));
    check(archive_write_open2(archive_.get(), this, nullptr, write_block, nullptr, nullptr));
  }

  void write(const IndexEntry& entry) {
    if (entry.path.empty()) return write_root(entry);
    if (entry.type == EntryType::Whiteout) {
      std::string mark = entry.path;
      const auto slash = mark.rfind('/');
      mark.insert(slash == std::string::npos ? 0 : slash + 1, ".wh.");
      return write_mark(mark);
    }
    const Entry header = make_header(entry, entry.path);
    if (entry.type == EntryType::HardLink) {
      archive_entry_copy_hardlink(header.get(), entry.link_target.c_str());
      archive_entry_unset_size(header.get());
    }
    const bool has_content = entry.type == EntryType::Regular && entry.size > 0;
    const UniqueFd content = has_content ? open_content(source_, entry) : UniqueFd();
    if (has_content) {
      for (const auto& [begin, length] : find_data(content, entry.size, cancel_))
        archive_entry_sparse_add_entry(header.get(), static_cast<la_int64_t>(begin),
                                       static_cast<la_int64_t>(length));
    }
    check(archive_write_header(archive_.get(), header.get()));
    if (has_content) write_content(content, entry);
    if (entry.opaque) write_mark(entry.path.str() + "/.wh..wh..opq");
  }

  void finish() { check(archive_write_close(archive_.get())); }

 private:
  static la_ssize_t write_block(struct archive* archive, void* self, const void* bytes,
                                std::size_t size) noexcept {
    const int file = static_cast<const TarWriter*>(self)->file_.get();
    ssize_t written = -1;
    do {
      written = fault::injected("write") ? -1 : ::write(file, bytes, size);
    } while (written < 0 && errno == EINTR);
    if (written < 0) archive_set_error(archive, errno, "%s", ::strerrordesc_np(errno));
    return written;
  }
  /// libarchive takes the bytes of holes, too, and leaves them out.
  void write_content(FdRef content, const IndexEntry& entry) const {
    read_content(content, entry, cancel_, [&](std::string_view bytes) {
      while (!bytes.empty()) {
        const la_ssize_t put = archive_write_data(archive_.get(), bytes.data(), bytes.size());
        if (put <= 0) fail();
        bytes.remove_prefix(static_cast<std::size_t>(put));
      }
    });
  }
  [[noreturn]] void fail() const {
    const char* text = archive_error_string(archive_.get());
    const int number = archive_errno(archive_.get());
    throw Error(number > 0 ? code_for_errno(number) : ErrorCode::External,
                fmt::format("cannot write the archive: {}", text == nullptr ? "unknown error" : text));
  }
  void check(int result) const {
    if (result != ARCHIVE_OK) fail();
  }

  [[nodiscard]] Entry make_header(const IndexEntry& entry, const std::string& path) const {
    Entry header(archive_entry_new(), archive_entry_free);
    archive_entry_copy_pathname(header.get(), path.c_str());
    archive_entry_set_mode(header.get(), static_cast<mode_t>(entry.mode) | type_bits(entry.type));
    archive_entry_set_uid(header.get(), entry.uid);
    archive_entry_set_gid(header.get(), entry.gid);
    const timespec time = time_of(entry);
    archive_entry_set_mtime(header.get(), time.tv_sec, time.tv_nsec);
    archive_entry_set_size(header.get(),
                           entry.type == EntryType::Regular ? static_cast<la_int64_t>(entry.size) : 0);
    if (entry.type == EntryType::Symlink) archive_entry_copy_symlink(header.get(), entry.link_target.c_str());
    for (const auto& [key, value] : entry.xattrs)
      archive_entry_xattr_add_entry(header.get(), key.c_str(), value.data(), value.size());
    return header;
  }

  static mode_t type_bits(EntryType type) {
    switch (type) {
      case EntryType::Directory:
        return S_IFDIR;
      case EntryType::Symlink:
        return S_IFLNK;
      case EntryType::Fifo:
        return S_IFIFO;
      case EntryType::Regular:
      case EntryType::HardLink:
      case EntryType::Whiteout:
        return S_IFREG;
    }
    return S_IFREG;
  }

  void write_root(const IndexEntry& entry) {
    const Entry header = make_header(entry, "./");
    check(archive_write_header(archive_.get(), header.get()));
  }

  void write_mark(const std::string& path) {
    IndexEntry mark;
    mark.mode = 0644;
    const Entry header = make_header(mark, path);
    check(archive_write_header(archive_.get(), header.get()));
  }

  const ExportSource& source_;
  FdRef file_;
  const CancelToken& cancel_;
  Archive archive_;
};

}  // namespace

void export_to_directory(const ExportSource& source, FdRef target, Owners owners, ProgressSink& progress,
                         const CancelToken& cancel) {
  TreeWriter writer(target, owners);
  for_each_entry(source, progress, cancel, [&](const IndexEntry& entry) {
    // In a flat tree all belongs to the user, so that setuid would be a right that nobody asked for.
    const Attributes attributes{store::mode_on_disk(entry.mode, owners == Owners::Flat), entry.uid, entry.gid,
                                time_of(entry), entry.xattrs};
    if (entry.path.empty()) return writer.root_attributes(attributes);
    const RelPath path = RelPath::parse(entry.path);
    switch (entry.type) {
      case EntryType::Directory:
        return writer.directory(path, attributes);
      case EntryType::Regular: {
        UniqueFd file = writer.begin_file(path);
        if (entry.size > 0)
          read_content(open_content(source, entry), entry, cancel,
                       [&](std::string_view bytes) { write_piece(file, bytes); });
        if (fault::injected("truncate") || ::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0)
          throw_errno("set the size");
        return writer.finish_file(path, std::move(file), attributes);
      }
      case EntryType::Symlink:
        return writer.symlink(path, entry.link_target, attributes);
      case EntryType::HardLink:
        return writer.hard_link(path, RelPath::parse(entry.link_target));
      case EntryType::Fifo:
        return writer.fifo(path, attributes);
      case EntryType::Whiteout:
        throw Error(ErrorCode::Unsupported, "a directory cannot hold a deletion", "Name a .tar file.");
    }
  });
  writer.finish();
}

void export_to_tar(const ExportSource& source, FdRef file, ProgressSink& progress,
                   const CancelToken& cancel) {
  TarWriter writer(source, file, cancel);
  for_each_entry(source, progress, cancel, [&](const IndexEntry& entry) { writer.write(entry); });
  writer.finish();
}

}  // namespace karapace::worker
