// SPDX-License-Identifier: Apache-2.0
#include "worker/deb_control.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::worker {
namespace {

constexpr std::size_t kMaxControlTar = 16 * 1024 * 1024;
constexpr std::size_t kMaxControl = 1024 * 1024;

using Archive = std::unique_ptr<struct archive, decltype(&archive_read_free)>;

Archive make_reader() { return Archive(archive_read_new(), archive_read_free); }

void check(struct archive* reader, int result) {
  if (result == ARCHIVE_OK) return;
  const char* text = archive_error_string(reader);
  throw Error(ErrorCode::InvalidInput,
              fmt::format("not a Debian package: {}", printable(text == nullptr ? "unreadable" : text)));
}

std::string read_entry(struct archive* reader, std::size_t limit) {
  std::string content;
  std::string buffer(64 * 1024, '\0');
  while (true) {
    const la_ssize_t count = archive_read_data(reader, buffer.data(), buffer.size());
    if (count < 0) check(reader, ARCHIVE_FATAL);
    if (count == 0) return content;
    content.append(buffer, 0, static_cast<std::size_t>(count));
    if (content.size() > limit)
      throw Error(ErrorCode::InvalidInput, "not a Debian package: its control part is huge");
  }
}

/// The content of the first entry whose name, without "./" in front, fulfils `wanted`.
template <typename Wanted>
std::string find_entry(struct archive* reader, std::size_t limit, std::string_view what, Wanted wanted) {
  struct archive_entry* entry = nullptr;
  while (true) {
    const int result = archive_read_next_header(reader, &entry);
    if (result == ARCHIVE_EOF) break;
    check(reader, result);
    const char* text = archive_entry_pathname(entry);
    std::string_view name = text == nullptr ? std::string_view() : std::string_view(text);
    if (name.starts_with("./")) name.remove_prefix(2);
    if (wanted(name)) return read_entry(reader, limit);
  }
  throw Error(ErrorCode::InvalidInput, fmt::format("not a Debian package: it has no {}", what));
}

}  // namespace

std::string read_deb_control(FdRef deb) {
  const Archive outer = make_reader();
  archive_read_support_format_ar(outer.get());
  check(outer.get(), archive_read_open_fd(outer.get(), deb.get(), 64 * 1024));
  const std::string control_tar =
      find_entry(outer.get(), kMaxControlTar, "control.tar",
                 [](std::string_view name) { return name.starts_with("control.tar"); });
  const Archive inner = make_reader();
  archive_read_support_filter_all(inner.get());
  archive_read_support_format_tar(inner.get());
  check(inner.get(), archive_read_open_memory(inner.get(), control_tar.data(), control_tar.size()));
  return find_entry(inner.get(), kMaxControl, "control file",
                    [](std::string_view name) { return name == "control"; });
}

}  // namespace karapace::worker
