// SPDX-License-Identifier: Apache-2.0
#include "worker/unpack.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "worker/checksum.hpp"
#include "worker/layer_rules.hpp"
#include "worker/tree_writer.hpp"

namespace karapace::worker {
namespace {

constexpr std::uint64_t kMaxEntries = 10'000'000;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;
// Of real files; xz and zstd do this with nothing but zeros, and a file with holes could be more.
constexpr std::uint64_t kMaxExpansion = 10'000;
constexpr std::uint64_t kReserveBytes = 16 * 1024 * 1024;
constexpr std::size_t kReadBytes = 1024 * 1024;
constexpr std::uint64_t kProgressEvery = 256;
constexpr std::size_t kMaxAttributes = 2048;  // twice what a layer has for a file

[[noreturn]] void refuse(std::string_view path, std::string_view reason) {
  throw Error(ErrorCode::InvalidInput, fmt::format("archive entry '{}': {}", printable(path, 4096), reason));
}

using Xattrs = std::vector<std::pair<std::string, std::string>>;

std::string escaped(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c > ' ' && c < 0x7f && c != '%' && c != '=') {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

/// libarchive writes each attribute under two keys, LIBARCHIVE.xattr and SCHILY.xattr, with its name escaped
/// in both, and reads what is escaped in the second as one more name.
void drop_escaped_doubles(Xattrs& xattrs) {
  std::ranges::sort(xattrs, {}, [](const auto& item) { return item.first.size(); });
  for (std::size_t index = 0; index < xattrs.size(); ++index) {
    std::string name = escaped(xattrs[index].first);
    if (name == xattrs[index].first) continue;
    const auto found = std::ranges::find(xattrs, std::pair(std::move(name), xattrs[index].second));
    if (found != xattrs.end()) xattrs.erase(found);
  }
}

/// The archive's bytes for libarchive, counted and summed as they pass.
struct Source {
  FdRef file;
  const CancelToken& cancel;
  std::vector<char> buffer = std::vector<char>(kReadBytes);
  Sha256 sum;
  std::uint64_t bytes = 0;
  std::exception_ptr failure;

  std::size_t read() {
    cancel.check();
    ssize_t count = 0;
    do {
      count = ::read(file.get(), buffer.data(), buffer.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) throw_errno("read the archive");
    sum.update(std::span(buffer).first(static_cast<std::size_t>(count)));
    bytes += static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
  }
};

la_ssize_t read_source(struct archive* /*unused*/, void* context, const void** bytes) noexcept {
  auto* source = static_cast<Source*>(context);
  try {
    const std::size_t count = source->read();
    *bytes = source->buffer.data();
    return static_cast<la_ssize_t>(count);
  } catch (...) {
    source->failure = std::current_exception();
    return ARCHIVE_FATAL;
  }
}

/// While it lives, libarchive leaves the names of pax headers as they are. In a UTF-8 locale it composes
/// characters (Unicode normalisation form C): two names of an archive would become one. From UTF-8 to ASCII
/// it warns and keeps the bytes.
class BytesLocale {
 public:
  BytesLocale() : locale_(::newlocale(LC_CTYPE_MASK, "C", nullptr)) {
    if (locale_ == nullptr) throw_errno("newlocale");
    before_ = ::uselocale(locale_);
  }
  BytesLocale(const BytesLocale&) = delete;
  BytesLocale& operator=(const BytesLocale&) = delete;
  ~BytesLocale() {
    ::uselocale(before_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t before_{};
};

class Unpacker {
 public:
  Unpacker(FdRef archive_file, FdRef target, const UnpackOptions& options, ProgressSink& progress,
           const CancelToken& cancel)
      : options_(options),
        target_(target),
        progress_(progress),
        source_{.file = archive_file, .cancel = cancel, .sum = Sha256(), .failure = nullptr},
        archive_(archive_read_new(), archive_read_free),
        writer_(target, options.owners) {
    if (options.image_layer) layer_.emplace(target);
    total_bytes_ = static_cast<std::uint64_t>(stat_fd(archive_file).st_size);
  }

  void run() {
    // Not all filters that libarchive has: some of them start programs.
    for (const auto support : {archive_read_support_filter_gzip, archive_read_support_filter_zstd,
                               archive_read_support_filter_xz, archive_read_support_filter_bzip2,
                               archive_read_support_filter_lzma, archive_read_support_filter_compress}) {
      check(support(archive_.get()));
    }
    archive_read_support_format_tar(archive_.get());
    archive_read_support_format_empty(archive_.get());
    check(archive_read_open(archive_.get(), &source_, nullptr, read_source, nullptr));
    struct archive_entry* entry = nullptr;
    std::uint64_t entries = 0;
    while (true) {
      const int result = archive_read_next_header(archive_.get(), &entry);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_WARN || !kept_a_name_as_it_was()) check(result);
      if (++entries > kMaxEntries) refuse(path_of(entry), fmt::format("more than {} entries", kMaxEntries));
      add(entry);
      if (entries % kProgressEvery == 0) progress_.advance(source_.bytes, total_bytes_, "bytes");
    }
    if (entries == 0 && !layer_) throw Error(ErrorCode::InvalidInput, "the archive is empty");
    writer_.finish();
    if (layer_) layer_->finish();
    verify_checksum();
  }

 private:
  static std::string path_of(struct archive_entry* entry) {
    const char* path = archive_entry_pathname(entry);
    return path == nullptr ? std::string() : std::string(path);
  }

  /// libarchive's warning that a name in the archive is not ASCII, which is all that BytesLocale can hold.
  [[nodiscard]] bool kept_a_name_as_it_was() const {
    const char* text = archive_error_string(archive_.get());
    return text != nullptr &&
           std::string_view(text).ends_with("can't be converted from UTF-8 to current locale.");
  }

  void check(int result) {
    if (source_.failure) std::rethrow_exception(source_.failure);
    // A warning means that libarchive skipped or guessed something; with a hostile archive both are wrong.
    if (result == ARCHIVE_OK) return;
    const char* text = archive_error_string(archive_.get());
    throw Error(ErrorCode::InvalidInput, fmt::format("not a usable tar archive: {}",
                                                     printable(text == nullptr ? "unreadable" : text)));
  }

  // "./a//b/" and "a/b" are one path; everything else that is not plain is refused.
  // In a layer "/a" is the same, because some programs write it so.
  [[nodiscard]] std::optional<RelPath> parse_path(std::string_view text) const {
    const std::string_view whole = text;
    if (text.starts_with('/') && !layer_) refuse(whole, "an absolute path");
    std::string clean;
    while (!text.empty()) {
      const auto end = std::min(text.find('/'), text.size());
      const auto component = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (component.empty() || component == ".") continue;
      if (component == "..") refuse(whole, "a path with '..'");
      if (!clean.empty()) clean += '/';
      clean += component;
    }
    if (clean.empty()) return std::nullopt;
    return RelPath::parse(clean);
  }

  static Attributes attributes_of(struct archive_entry* entry) {
    Attributes attributes;
    attributes.mode = archive_entry_perm(entry);
    const la_int64_t uid = archive_entry_uid(entry);
    const la_int64_t gid = archive_entry_gid(entry);
    constexpr la_int64_t kInvalidId = 0xffffffff;
    if (uid < 0 || uid >= kInvalidId || gid < 0 || gid >= kInvalidId)
      refuse(path_of(entry), "an impossible owner");
    attributes.uid = static_cast<std::uint32_t>(uid);
    attributes.gid = static_cast<std::uint32_t>(gid);
    attributes.mtime.tv_sec = archive_entry_mtime(entry);
    attributes.mtime.tv_nsec = archive_entry_mtime_nsec(entry);
    archive_entry_xattr_reset(entry);
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
      attributes.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
    }
    if (attributes.xattrs.size() > kMaxAttributes)
      refuse(path_of(entry), fmt::format("more than {} attributes", kMaxAttributes));
    drop_escaped_doubles(attributes.xattrs);
    return attributes;
  }

  void add(struct archive_entry* entry) {
    const std::string text = path_of(entry);
    try {
      add_checked(entry, text);
    } catch (SystemError& error) {
      const int number = error.error_number();
      if (number == ELOOP || number == ENOTDIR || number == EXDEV) {
        refuse(text, "its path leads through something that is no directory");
      }
      if (number == ENOTEMPTY) refuse(text, "it takes the place of a directory that has files in it");
      error.add_context(fmt::format("unpacking '{}'", printable(text, 4096)));
      throw;
    }
  }

  void add_checked(struct archive_entry* entry, const std::string& text) {
    auto path = parse_path(text);
    const Attributes attributes = attributes_of(entry);
    if (!path) {
      if (archive_entry_filetype(entry) != AE_IFDIR) refuse(text, "no name");
      writer_.root_attributes(attributes);
      return;
    }
    if (layer_) {
      if (layer_->apply_mark(*path)) return;
      path = layer_->resolve(*path);
    }
    if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
      auto target_path = parse_path(target);
      if (!target_path) refuse(text, "a hard link to the root");
      if (layer_) {
        target_path = layer_->resolve(*target_path);
        if (*path != *target_path) layer_->make_room(*path, false);
      }
      writer_.hard_link(*path, *target_path);
      return;
    }
    const auto type = archive_entry_filetype(entry);
    const bool is_device = type == AE_IFCHR || type == AE_IFBLK;
    if (layer_ && !is_device) layer_->make_room(*path, type == AE_IFDIR);
    switch (type) {
      case AE_IFREG:
        return add_file(*path, entry, attributes);
      case AE_IFDIR:
        return writer_.directory(*path, attributes);
      case AE_IFLNK: {
        const char* target = archive_entry_symlink(entry);
        if (target == nullptr || *target == '\0') refuse(text, "a symbolic link without a target");
        return writer_.symlink(*path, target, attributes);
      }
      case AE_IFIFO:
        return writer_.fifo(*path, attributes);
      case AE_IFCHR:
      case AE_IFBLK:
        if (path->str().starts_with("dev/")) return;  // every environment gets a /dev of its own
        refuse(text, "a device node outside of dev/");
      default:
        refuse(text, "neither file, directory, link nor fifo");
    }
  }

  /// What does not fit is either a large archive, or one that says so of itself only.
  void check_room(const RelPath& path, std::uint64_t size) const {
    if (size == 0 || size + kReserveBytes <= free_bytes(target_)) return;
    if (size > kMaxFileBytes || size / kMaxExpansion > total_bytes_) {
      refuse(path.str(),
             fmt::format("a file of {} bytes, which an archive of {} cannot mean", size, total_bytes_));
    }
    throw Error(ErrorCode::NoSpace, fmt::format("'{}' does not fit on the disk", printable(path.str(), 4096)),
                fmt::format("make {} MiB of room", size / (1024 * 1024) + 1));
  }

  void add_file(const RelPath& path, struct archive_entry* entry, const Attributes& attributes) {
    const la_int64_t size = archive_entry_size(entry);
    if (size < 0) refuse(path.str(), "a file of negative size");
    check_room(path, static_cast<std::uint64_t>(size));
    UniqueFd file = writer_.begin_file(path);
    const void* bytes = nullptr;
    std::size_t count = 0;
    la_int64_t offset = 0;
    while (true) {
      const int result = archive_read_data_block(archive_.get(), &bytes, &count, &offset);
      if (result == ARCHIVE_EOF) break;
      check(result);
      write_at(file, static_cast<const char*>(bytes), count, offset);
    }
    // A sparse file may end in a hole.
    if (fault::injected("truncate") || ::ftruncate(file.get(), size) != 0) throw_errno("set the size");
    writer_.finish_file(path, std::move(file), attributes);
  }

  static void write_at(FdRef file, const char* bytes, std::size_t count, la_int64_t offset) {
    while (count > 0) {
      if (fault::injected("write")) throw_errno("write");
      const ssize_t written = ::pwrite(file.get(), bytes, count, offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_errno("write");
      bytes += written;
      count -= static_cast<std::size_t>(written);
      offset += written;
    }
  }

  // What follows the tar's end belongs to the file, too, and so to its checksum.
  void verify_checksum() {
    while (source_.read() != 0) {
    }
    if (options_.expected_sha256.empty()) return;
    const std::string found = source_.sum.finish();
    if (found != options_.expected_sha256) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("the archive is not the one in the lock: sha256 {} expected, {} found",
                              options_.expected_sha256, found),
                  "if the new archive is wanted, run 'karapace build --update'");
    }
  }

  const UnpackOptions& options_;
  FdRef target_;
  ProgressSink& progress_;
  BytesLocale names_;
  Source source_;
  std::unique_ptr<struct archive, decltype(&archive_read_free)> archive_;
  TreeWriter writer_;
  std::optional<LayerRules> layer_;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace

void unpack_archive(FdRef archive, FdRef target, const UnpackOptions& options, ProgressSink& progress,
                    const CancelToken& cancel) {
  Unpacker(archive, target, options, progress, cancel).run();
}

}  // namespace karapace::worker
