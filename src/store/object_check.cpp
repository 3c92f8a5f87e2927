// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "object_table.hpp"
#include "on_threads.hpp"
#include "tree_io.hpp"

namespace karapace::store {
namespace {

constexpr unsigned kMaxThreads = 8;

enum class Verdict { Good, Bad, Denied, Gone };

/// Fills in `object`, which has its name and inode.
Verdict look_at(FdRef objects, SeenObject& object, std::string& problem) {
  try {
    const std::optional<UniqueFd> file = tree_io::try_open_entry(objects, object.digest.hex());
    if (!file) return Verdict::Gone;  // collected since it was listed
    const struct stat info = stat_fd(*file);
    object.size = static_cast<std::uint64_t>(info.st_size);
    object.mode = tree_io::permissions(info.st_mode);
    // Another inode than the directory has: something is mounted there.
    object.is_plain = info.st_ino == object.inode && !tree_io::has_recorded_xattrs(*file);
    if (!S_ISREG(info.st_mode)) {
      problem = "it is not a regular file";
    } else if (const Digest found = hash_file(*file, object.size); found != object.digest) {
      problem = "object hash mismatch: got " + found.hex();
    }
  } catch (const Error& error) {
    if (is_shortage(error)) throw;
    if (error.code() == ErrorCode::PermissionDenied) return Verdict::Denied;
    problem = fmt::format("object read error: {}", error.message());
  }
  return problem.empty() ? Verdict::Good : Verdict::Bad;
}

}  // namespace

ObjectTable::ObjectTable(FdRef objects, std::vector<std::string>& strange_names)
    : device_(stat_fd(objects).st_dev) {
  for_each_name(objects, [&](std::string_view name, unsigned char, std::uint64_t inode) {
    if (name.starts_with(kTemporaryPrefix)) return;
    if (Digest::is_valid(name)) {
      objects_.push_back({.digest = Digest::parse(name), .inode = inode});
    } else {
      strange_names.emplace_back(name);
    }
  });
  std::ranges::sort(objects_, {}, &SeenObject::digest);
}

const SeenObject* ObjectTable::find(const Digest& digest) const noexcept {
  const auto found = std::ranges::lower_bound(objects_, digest, {}, &SeenObject::digest);
  return found != objects_.end() && found->digest == digest ? &*found : nullptr;
}

ObjectCheck::ObjectCheck(FdRef objects, ProgressSink& progress, const CancelToken& cancel)
    : table(objects, strange_names) {
  // In the order in which a disk most likely has them.
  std::ranges::sort(table.objects_, {}, &SeenObject::inode);
  std::mutex mutex;  // protects the members
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMaxThreads);
  for_each_index(table.objects_.size(), threads, [&](std::size_t index, bool reports) {
    cancel.check();
    SeenObject& object = table.objects_[index];
    std::string problem;
    const Verdict verdict = look_at(objects, object, problem);
    if (reports) progress.advance(index + 1, table.objects_.size(), "objects");
    if (verdict == Verdict::Good) return;
    object.is_plain = false;
    const std::lock_guard guard(mutex);
    if (verdict == Verdict::Bad) bad.emplace(object.digest, std::move(problem));
    if (verdict == Verdict::Denied) denied.push_back(object.digest);
    if (verdict == Verdict::Gone) ++gone;
  });
  checked = table.objects_.size() - denied.size() - gone;
  std::ranges::sort(table.objects_, {}, &SeenObject::digest);
  std::ranges::sort(denied);
}

}  // namespace karapace::store
