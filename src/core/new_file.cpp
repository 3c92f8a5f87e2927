// SPDX-License-Identifier: Apache-2.0
#include "new_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "impl.hpp"
#include "karapace/base/clock.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxShownPath = 4096;

void write_whole_file(const std::string& path, const std::function<void(FdRef)>& fill) {
  const UniqueFd parent = open_parent(path);
  const std::string name = path.substr(path.rfind('/') + 1);
  const auto fill_and_sync = [&](FdRef file) {
    fill(file);
    sync_file(file);
  };
  bool is_named = false;
  // Known now and not after gigabytes.
  if (exists_at(parent, name))
    throw Error(ErrorCode::AlreadyExists, path + " is there already", "Name another file.");
  if (const auto file = try_make_unnamed_file(parent, 0644)) {
    fill_and_sync(*file);
    const LinkResult named = try_name_file_at(*file, parent, name);
    if (named == LinkResult::NotPossible)
      throw Error(ErrorCode::Unsupported, "cannot give it the name " + path);
    is_named = named == LinkResult::Linked;
  } else {
    const std::string temporary = std::string(kTemporaryPrefix) + random_hex(8);
    try {
      fill_and_sync(open_beneath(parent, temporary, O_WRONLY | O_CREAT | O_EXCL, 0644));
      is_named = rename_at(parent, temporary, parent, name, Replace::No);
    } catch (...) {
      try_unlink_at(parent, temporary);
      throw;
    }
    if (!is_named) try_unlink_at(parent, temporary);
  }
  if (!is_named) throw Error(ErrorCode::AlreadyExists, path + " is there already", "Name another file.");
  sync_directory(parent);
}

}  // namespace

void tell_full_disk(Error& error, const std::string& path) {
  const std::string context = "writing " + printable(path, kMaxShownPath);
  if (!error.message().starts_with(context)) error.add_context(context);
  error.set_fix(fmt::format("Make space on the file system of {}, or write to another one.",
                            printable(directory_of(path), kMaxShownPath)));
}

UniqueFd open_parent(const std::string& path) {
  try {
    return open_path(directory_of(path), O_RDONLY | O_DIRECTORY);
  } catch (Error& error) {
    if (error.code() == ErrorCode::NotFound || error.code() == ErrorCode::InvalidInput)
      error.set_fix("Make that directory first, or name another place.");
    throw;
  }
}

void write_new_file(const std::string& path, const std::function<void(FdRef)>& fill) {
  writing_to(path, [&] { write_whole_file(path, fill); });
}

}  // namespace karapace::core
