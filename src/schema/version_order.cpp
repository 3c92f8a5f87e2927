// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/version_order.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace karapace {
namespace {

using Text = std::string_view;

// Of ASCII only, whatever the locale.
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_separator(char c) noexcept { return !is_digit(c) && !is_letter(c); }

template <typename Is>
Text take(Text& text, Is&& is) noexcept {
  const auto length = static_cast<std::size_t>(std::ranges::find_if_not(text, is) - text.begin());
  const Text taken = text.substr(0, length);
  text.remove_prefix(length);
  return taken;
}

/// By value: no number is too long.
std::weak_ordering compare_numbers(Text left, Text right) noexcept {
  const auto is_zero = [](char c) { return c == '0'; };
  take(left, is_zero);
  take(right, is_zero);
  if (left.size() != right.size()) return left.size() <=> right.size();
  return left <=> right;
}

struct Parts {
  Text epoch;
  Text version;
  Text release;
  bool has_release = false;
};

/// "[epoch:]version[-release]": only the last dash is one of these.
Parts split(Text text) noexcept {
  Parts parts;
  const auto colon = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  if (text.substr(colon).starts_with(':')) {
    parts.epoch = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (const auto dash = text.rfind('-'); dash != Text::npos) {
    parts.release = text.substr(dash + 1);
    parts.has_release = true;
    text = text.substr(0, dash);
  }
  parts.version = text;
  return parts;
}

/// deb-version(7): '~' before the end, the end before letters, letters before everything else.
int deb_weight(Text text) noexcept {
  if (text.empty() || is_digit(text.front())) return 0;
  const char c = text.front();
  if (c == '~') return -1;
  const int value = static_cast<unsigned char>(c);
  return is_letter(c) ? value : value + 256;
}

std::weak_ordering compare_deb(Text left, Text right) noexcept {
  while (!left.empty() || !right.empty()) {
    while ((!left.empty() && !is_digit(left.front())) || (!right.empty() && !is_digit(right.front()))) {
      const int left_weight = deb_weight(left);
      const int right_weight = deb_weight(right);
      if (left_weight != right_weight) return left_weight <=> right_weight;
      left.remove_prefix(1);
      right.remove_prefix(1);
    }
    const auto order = compare_numbers(take(left, is_digit), take(right, is_digit));
    if (std::is_neq(order)) return order;
  }
  return std::weak_ordering::equivalent;
}

/// A run of digits or of letters of each, of the kind that `left` begins with; a number is newer than
/// letters.
std::weak_ordering compare_runs(Text& left, Text& right) noexcept {
  const bool is_number = is_digit(left.front());
  const auto same_kind = [&](char c) { return is_number ? is_digit(c) : is_letter(c); };
  const Text left_run = take(left, same_kind);
  const Text right_run = take(right, same_kind);
  if (right_run.empty()) return is_number ? std::weak_ordering::greater : std::weak_ordering::less;
  return is_number ? compare_numbers(left_run, right_run) : std::weak_ordering(left_run <=> right_run);
}

/// rpm-version(7): '~' sorts before the end, '^' behind it and before everything else.
std::weak_ordering compare_rpm(Text left, Text right) noexcept {
  const auto is_ignored = [](char c) { return is_separator(c) && c != '~' && c != '^'; };
  for (;;) {
    take(left, is_ignored);
    take(right, is_ignored);
    const bool left_tilde = left.starts_with('~');
    if (const bool right_tilde = right.starts_with('~'); left_tilde || right_tilde) {
      if (left_tilde != right_tilde)
        return left_tilde ? std::weak_ordering::less : std::weak_ordering::greater;
    } else if (const bool left_caret = left.starts_with('^'); left_caret || right.starts_with('^')) {
      if (left.empty()) return std::weak_ordering::less;
      if (right.empty()) return std::weak_ordering::greater;
      if (left_caret != right.starts_with('^'))
        return left_caret ? std::weak_ordering::less : std::weak_ordering::greater;
    } else {
      if (left.empty() || right.empty()) return left.size() <=> right.size();
      if (const auto order = compare_runs(left, right); std::is_neq(order)) return order;
      continue;
    }
    left.remove_prefix(1);
    right.remove_prefix(1);
  }
}

/// vercmp(8): letters that remain are older than the end ("1.0rc" < "1.0"), unless a separator is between.
std::weak_ordering compare_alpm(Text left, Text right) noexcept {
  while (!left.empty() && !right.empty()) {
    const auto left_gap = take(left, is_separator).size();
    const auto right_gap = take(right, is_separator).size();
    if (left.empty() || right.empty()) break;
    if (left_gap != right_gap) return left_gap <=> right_gap;
    if (const auto order = compare_runs(left, right); std::is_neq(order)) return order;
  }
  if (left.empty() && right.empty()) return std::weak_ordering::equivalent;
  const bool left_is_older = left.empty() ? !is_letter(right.front()) : is_letter(left.front());
  return left_is_older ? std::weak_ordering::less : std::weak_ordering::greater;
}

std::weak_ordering compare_part(Text left, Text right, VersionOrder order) noexcept {
  if (order == VersionOrder::Deb) return compare_deb(left, right);
  return order == VersionOrder::Rpm ? compare_rpm(left, right) : compare_alpm(left, right);
}

}  // namespace

std::optional<VersionOrder> version_order_of(const LockedPackage& package) noexcept {
  const Text path = package.path;
  if (path.ends_with(".deb")) return VersionOrder::Deb;
  if (path.ends_with(".rpm")) return VersionOrder::Rpm;
  if (path.contains(".pkg.tar")) return VersionOrder::Alpm;
  return std::nullopt;
}

std::weak_ordering compare_versions(std::string_view left, std::string_view right,
                                    VersionOrder order) noexcept {
  const Parts a = split(left);
  const Parts b = split(right);
  if (const auto epochs = compare_numbers(a.epoch, b.epoch); std::is_neq(epochs)) return epochs;
  if (const auto versions = compare_part(a.version, b.version, order); std::is_neq(versions)) return versions;
  // Without a release an rpm or pacman's package stands for all of them.
  if (order != VersionOrder::Deb && (!a.has_release || !b.has_release)) return std::weak_ordering::equivalent;
  return compare_part(a.release, b.release, order);
}

std::vector<OlderPackage> find_older(const std::vector<LockedPackage>& before,
                                     const std::vector<LockedPackage>& now) {
  // Of some packages, such as kernels, several versions can be there at once.
  using Key = std::pair<Text, Text>;
  const auto newest = [](const std::vector<LockedPackage>& packages) {
    std::map<Key, const LockedPackage*> found;
    for (const LockedPackage& package : packages) {
      const auto order = version_order_of(package);
      if (!order) continue;
      const LockedPackage*& best = found[{package.name, package.arch}];
      if (best == nullptr || std::is_lt(compare_versions(best->version, package.version, *order)))
        best = &package;
    }
    return found;
  };
  const auto old = newest(before);
  std::vector<OlderPackage> older;
  for (const auto& [key, package] : newest(now)) {
    const auto was = old.find(key);
    if (was == old.end()) continue;
    if (std::is_lt(compare_versions(package->version, was->second->version, *version_order_of(*package))))
      older.push_back({package->name, was->second->version, package->version});
  }
  return older;
}

}  // namespace karapace
