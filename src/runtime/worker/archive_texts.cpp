// SPDX-License-Identifier: Apache-2.0
#include "worker/archive_texts.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>
#include <set>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace::worker {
namespace {

constexpr std::size_t kMaxText = 16 * 1024 * 1024;
constexpr std::size_t kMaxDescriptions = 64 * 1024 * 1024;

using Archive = std::unique_ptr<struct archive, decltype(&archive_read_free)>;

void check(struct archive* reader, int result) {
  if (result == ARCHIVE_OK) return;
  const char* text = archive_error_string(reader);
  throw Error(ErrorCode::InvalidInput,
              fmt::format("not an archive: {}", printable(text == nullptr ? "unreadable" : text)));
}

Archive make_reader() {
  Archive reader(archive_read_new(), archive_read_free);
  for (const auto support : {archive_read_support_filter_gzip, archive_read_support_filter_zstd,
                             archive_read_support_filter_xz, archive_read_support_filter_bzip2}) {
    check(reader.get(), support(reader.get()));
  }
  return reader;
}

std::string read_text(struct archive* reader) {
  std::string content;
  std::string buffer(64 * 1024, '\0');
  while (true) {
    const la_ssize_t count = archive_read_data(reader, buffer.data(), buffer.size());
    if (count < 0) check(reader, ARCHIVE_FATAL);
    if (count == 0) return content;
    content.append(buffer, 0, static_cast<std::size_t>(count));
    if (content.size() > kMaxText) throw Error(ErrorCode::InvalidInput, "a text in the archive is huge");
  }
}

/// What is between the first `begin` and the `end` after it.
std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const auto start = text.find(begin);
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start + begin.size());
  return text.substr(0, text.find(end));
}

/// Takes the complete elements off the front of `text`.
void take_packages(std::string& text, const std::set<std::string_view>& names, std::string& found) {
  constexpr std::string_view kEnd = "</package>";
  std::size_t done = 0;
  for (auto end = text.find(kEnd); end != std::string::npos; end = text.find(kEnd, done)) {
    end += kEnd.size();
    const std::string_view element = std::string_view(text).substr(done, end - done);
    const auto start = element.find("<package ");
    if (start != std::string_view::npos && names.contains(between(element, "<name>", "</name>")))
      found += element.substr(start);
    done = end;
  }
  text.erase(0, done);
}

}  // namespace

std::map<std::string, std::string> read_archive_texts(FdRef archive, const std::vector<std::string>& wanted) {
  const Archive reader = make_reader();
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  check(reader.get(), archive_read_open_fd(reader.get(), archive.get(), 64 * 1024));
  std::set<std::string_view> missing(wanted.begin(), wanted.end());
  std::map<std::string, std::string> texts;
  struct archive_entry* entry = nullptr;
  while (!missing.empty()) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    check(reader.get(), result);
    const char* path = archive_entry_pathname(entry);
    std::string_view name = path == nullptr ? std::string_view() : std::string_view(path);
    if (name.starts_with("./")) name.remove_prefix(2);
    if (archive_entry_filetype(entry) != AE_IFREG || missing.erase(name) == 0) continue;
    std::string key(name);
    texts.emplace(std::move(key), read_text(reader.get()));
  }
  return texts;
}

std::string read_rpm_descriptions(FdRef index, const std::vector<std::string>& names) {
  const Archive reader = make_reader();
  archive_read_support_format_raw(reader.get());
  archive_read_support_format_empty(reader.get());
  check(reader.get(), archive_read_open_fd(reader.get(), index.get(), 64 * 1024));
  struct archive_entry* entry = nullptr;
  const int result = archive_read_next_header(reader.get(), &entry);
  if (result == ARCHIVE_EOF) return {};
  check(reader.get(), result);
  const std::set<std::string_view> wanted(names.begin(), names.end());
  std::string found;
  std::string pending;
  std::string buffer(1024 * 1024, '\0');
  while (true) {
    const la_ssize_t count = archive_read_data(reader.get(), buffer.data(), buffer.size());
    if (count < 0) check(reader.get(), ARCHIVE_FATAL);
    if (count == 0) return found;
    pending.append(buffer, 0, static_cast<std::size_t>(count));
    take_packages(pending, wanted, found);
    if (pending.size() > kMaxText || found.size() > kMaxDescriptions)
      throw Error(ErrorCode::InvalidInput, "a text in the index is huge");
  }
}

}  // namespace karapace::worker
