// SPDX-License-Identifier: Apache-2.0
#include "package_diff.hpp"

#include <algorithm>

namespace karapace {
namespace {

using Group = std::vector<const LockedPackage*>;

bool same_file(const LockedPackage& a, const LockedPackage& b) {
  return a.version == b.version && a.arch == b.arch && a.sha256 == b.sha256;
}

bool same_place(const LockedPackage& a, const LockedPackage& b) {
  return a.repository == b.repository && a.path == b.path;
}

/// Takes every pair that `fits` out of both groups.
template <typename Fits>
void pair_up(Group& from, Group& to, std::vector<PackagePair>& pairs, Fits fits) {
  for (auto left = from.begin(); left != from.end();) {
    const auto right =
        std::ranges::find_if(to, [&](const LockedPackage* package) { return fits(**left, *package); });
    if (right == to.end()) {
      ++left;
      continue;
    }
    const bool same = same_file(**left, **right) && same_place(**left, **right);
    if (!same || (*left)->requested != (*right)->requested) pairs.push_back({*left, *right});
    to.erase(right);
    left = from.erase(left);
  }
}

/// Several packages may have one name: of other architectures, or (rpm) of other versions.
void compare_group(Group from, Group to, std::vector<PackagePair>& pairs) {
  pair_up(from, to, pairs, same_file);
  pair_up(from, to, pairs, [](const LockedPackage& a, const LockedPackage& b) { return a.arch == b.arch; });
  pair_up(from, to, pairs, [](const LockedPackage&, const LockedPackage&) { return true; });
  for (const LockedPackage* package : from) pairs.push_back({package, nullptr});
  for (const LockedPackage* package : to) pairs.push_back({nullptr, package});
}

Group take_group(const std::vector<LockedPackage>& packages, std::size_t& at, const std::string& name) {
  Group group;
  for (; at < packages.size() && packages[at].name == name; ++at) group.push_back(&packages[at]);
  return group;
}

}  // namespace

std::vector<PackagePair> package_differences(const std::vector<LockedPackage>& a,
                                             const std::vector<LockedPackage>& b) {
  std::vector<PackagePair> pairs;
  std::size_t left = 0;
  std::size_t right = 0;
  while (left < a.size() || right < b.size()) {
    const bool take_left = right == b.size() || (left < a.size() && a[left].name <= b[right].name);
    const std::string name = take_left ? a[left].name : b[right].name;
    Group from = take_group(a, left, name);
    Group to = take_group(b, right, name);
    compare_group(std::move(from), std::move(to), pairs);
  }
  return pairs;
}

bool differs_in_request_only(const PackagePair& pair) {
  if (pair.from == nullptr || pair.to == nullptr) return false;
  return same_file(*pair.from, *pair.to) && same_place(*pair.from, *pair.to);
}

InputChange describe(const PackagePair& pair, std::string_view what) {
  InputChange change;
  change.what = what;
  change.name = pair.any().name;
  const auto differs = [&](std::string_view field, const std::string& from, const std::string& to) {
    if (from != to) change.fields.push_back({std::string(field), from, to});
  };
  if (pair.from == nullptr || pair.to == nullptr) {
    change.sign = pair.from == nullptr ? ChangeSign::Added : ChangeSign::Removed;
    static const LockedPackage kNone;
    differs("version", (pair.from ? *pair.from : kNone).version, (pair.to ? *pair.to : kNone).version);
    return change;
  }
  differs("version", pair.from->version, pair.to->version);
  differs("arch", pair.from->arch, pair.to->arch);
  // Another version or architecture is another file, and lies elsewhere.
  if (change.fields.empty()) differs("sha256", pair.from->sha256, pair.to->sha256);
  const bool same_bytes = change.fields.empty();
  differs("repository", pair.from->repository, pair.to->repository);
  if (change.fields.empty()) differs("path", pair.from->path, pair.to->path);
  const bool asked_otherwise = pair.from->requested != pair.to->requested;
  const auto flag = [](const LockedPackage& package) { return package.requested ? "true" : "false"; };
  if (asked_otherwise) differs("requested", flag(*pair.from), flag(*pair.to));
  change.identity = !same_bytes || asked_otherwise;
  return change;
}

}  // namespace karapace
