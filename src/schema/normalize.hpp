// SPDX-License-Identifier: Apache-2.0
// What each manifest value must look like, and its normal form. Every function throws InvalidInput without a
// position; parsers add it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/schema/manifest.hpp"

namespace karapace {

/// Without leading and trailing code points that have the Unicode White_Space property. `text` is UTF-8.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

[[nodiscard]] std::string normalize_image(std::string_view raw);
/// The trimmed name, checked; empty if there is nothing to name. `list` is "system.packages" or "gui.apps".
[[nodiscard]] std::string normalize_package_name(std::string_view raw, std::string_view list);
[[nodiscard]] std::string normalize_backend(std::string_view raw);
/// From `label = "<host>:<container>[:ro|:rw]"`.
[[nodiscard]] Mount normalize_mount(std::string_view raw_label, std::string_view raw_value);
[[nodiscard]] Ownership parse_ownership(std::string_view raw);
[[nodiscard]] Home parse_home(std::string_view raw);
[[nodiscard]] MountAccess parse_mount_access(std::string_view raw);
[[nodiscard]] std::string_view to_string(MountAccess access) noexcept;

/// Bytewise order, no duplicates.
void sort_unique(std::vector<std::string>& names);

/// Checks that `mount` is in the form that normalize_mount gives.
void check_mount(const Mount& mount);

/// No label and no container path twice: later mounts would silently hide earlier ones.
class MountNames {
 public:
  void add(const Mount& mount);

 private:
  std::set<std::string> labels_;
  std::map<std::string, std::string> label_of_target_;
};

}  // namespace karapace
