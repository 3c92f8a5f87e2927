// SPDX-License-Identifier: Apache-2.0
// Which ids inside are which outside. Flat: root inside is the caller, and there is nobody else. Mapped: ids
// 0 to 65535, the caller's own at its own number, all others subordinate ids in order. As the host's root:
// the identity.
#include "id_maps.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/session.hpp"

namespace karapace::runtime {
namespace {

constexpr std::uint32_t kIdsInside = 65536;
constexpr std::size_t kMaxSubidFile = 4 * 1024 * 1024;
constexpr const char* kFlatInstead = "or use `ownership = \"flat\"` in [system] of the manifest";

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string read_subid_file(const char* path) {
  try {
    return read_all(open_path(path, O_RDONLY), kMaxSubidFile);
  } catch (const SystemError&) {
    return {};  // no such file: nobody has ranges
  }
}

void require_helper(const char* name) {
  if (find_program(name)) return;
  throw Error(ErrorCode::Unsupported, fmt::format("mapped ownership needs {}, which is not installed", name),
              fmt::format("Install the package \"uidmap\", {}.", kFlatInstead));
}

std::vector<IdExtent> mapped_extents(const char* file, const HostUser& user, std::uint32_t own) {
  const auto ranges = parse_subid_ranges(read_subid_file(file), user.name, user.uid);
  auto extents = make_mapped_extents(ranges, own);
  if (extents) return *std::move(extents);
  std::uint64_t have = 0;
  for (const SubidRange& range : ranges) have += range.count;
  throw Error(
      ErrorCode::Unsupported,
      fmt::format("mapped ownership needs 65536 subordinate ids for {}, and {} grants {}", user.name, file,
                  have),
      fmt::format("Run `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {}`, {}.",
                  user.name, kFlatInstead));
}

}  // namespace

std::vector<SubidRange> parse_subid_ranges(std::string_view text, std::string_view name, std::uint32_t uid) {
  std::vector<SubidRange> ranges;
  const std::string number = std::to_string(uid);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view owner = line.substr(0, first);
    if (owner != name && owner != number) continue;
    const auto start = parse_id(line.substr(first + 1, second - first - 1));
    const auto count = parse_id(line.substr(second + 1));
    // Beyond 32 bits or around their end: not ids.
    if (!start || !count || *count == 0 || *start > UINT32_MAX - *count) continue;
    ranges.push_back(SubidRange{*start, *count});
  }
  return ranges;
}

std::optional<std::vector<IdExtent>> make_mapped_extents(const std::vector<SubidRange>& ranges,
                                                         std::uint32_t own) {
  std::vector<IdExtent> extents;
  std::uint32_t inside = 0;
  for (const SubidRange& range : ranges) {
    SubidRange rest = range;
    while (rest.count > 0 && inside < kIdsInside) {
      if (inside == own) {
        extents.push_back(IdExtent{own, own, 1});
        ++inside;
        continue;
      }
      const std::uint32_t limit = own > inside ? std::min(own, kIdsInside) : kIdsInside;
      const std::uint32_t count = std::min(rest.count, limit - inside);
      extents.push_back(IdExtent{inside, rest.start, count});
      inside += count;
      rest.start += count;
      rest.count -= count;
    }
  }
  if (inside == own && inside + 1 == kIdsInside) extents.push_back(IdExtent{own, own, 1}), ++inside;
  if (inside < kIdsInside) return std::nullopt;
  if (own >= kIdsInside) extents.push_back(IdExtent{own, own, 1});
  return extents;
}

IdMaps make_id_maps(Ownership ownership) {
  const HostUser user = current_user();
  IdMaps maps;
  if (ownership == Ownership::Flat) {
    maps.uids = {IdExtent{0, user.uid, 1}};
    maps.gids = {IdExtent{0, user.gid, 1}};
    return maps;
  }
  if (user.uid == 0) {
    maps.uids = {IdExtent{0, 0, kIdsInside}};
    maps.gids = {IdExtent{0, 0, kIdsInside}};
    return maps;
  }
  require_helper("newuidmap");
  require_helper("newgidmap");
  maps.uids = mapped_extents("/etc/subuid", user, user.uid);
  maps.gids = mapped_extents("/etc/subgid", user, user.gid);
  maps.use_helpers = true;
  return maps;
}

}  // namespace karapace::runtime
