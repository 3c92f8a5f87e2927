// SPDX-License-Identifier: Apache-2.0
#include "normalize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "karapace/base/text.hpp"

namespace karapace {
namespace {

constexpr std::size_t kMaxImageBytes = 4096;
constexpr std::size_t kMaxPathBytes = 4095;
constexpr std::size_t kMaxLabelBytes = 256;

// Code points with White_Space in UTF-8 (Unicode 15, PropList.txt).
constexpr std::array<std::string_view, 25> kWhiteSpace = {
    "\t",           "\n",           "\v",           "\f",           "\r",           " ",
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82",
    "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88",
    "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F",
    "\xE3\x80\x80"};

[[noreturn]] void refuse(std::string message, std::string fix = {}) {
  throw Error(ErrorCode::InvalidInput, std::move(message), std::move(fix));
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::vector<std::string_view> components_of(std::string_view path) {
  std::vector<std::string_view> components;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) components.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return components;
}

void check_path(const std::string& label, std::string_view side, std::string_view path) {
  if (path.size() > kMaxPathBytes)
    refuse(fmt::format("mount '{}': the {} path is too long", printable(label), side));
  if (has_control_character(path)) {
    refuse(fmt::format("mount '{}': the {} path '{}' contains a control character", printable(label), side,
                       printable(path)));
  }
  for (const std::string_view component : components_of(path)) {
    if (component == "..") {
      refuse(
          fmt::format("mount '{}': the {} path '{}' contains '..'", printable(label), side, printable(path)),
          "Write the path without '..'.");
    }
  }
}

void check_host_path(const std::string& label, const std::string& path) {
  check_path(label, "host", path);
  const bool anchored =
      path.starts_with('/') || path == "~" || path.starts_with("~/") || path == "." || path.starts_with("./");
  if (!anchored) {
    refuse(fmt::format("mount '{}': the host path '{}' must begin with '/', '~/' or './'", printable(label),
                       printable(path)),
           "'./' is the directory of the manifest, '~/' is your home.");
  }
}

void check_container_path(const std::string& label, const std::string& path) {
  check_path(label, "container", path);
  if (!path.starts_with('/')) {
    refuse(fmt::format("mount '{}': the container path '{}' must be absolute", printable(label),
                       printable(path)));
  }
  const std::vector<std::string_view> components = components_of(path);
  if (components.empty())
    refuse(fmt::format("mount '{}': the container path must not be '/'", printable(label)));
  // These are the environment's own and never the host's.
  for (const std::string_view reserved : {"proc", "sys", "dev"}) {
    if (components.front() == reserved) {
      refuse(fmt::format("mount '{}': the container path '{}' is in /{}, which belongs to the environment",
                         printable(label), printable(path), reserved));
    }
  }
}

std::string normal_container_path(std::string_view path) {
  if (!path.starts_with('/')) return std::string(path);
  std::string result;
  for (const std::string_view component : components_of(path)) {
    if (component != ".") result.append("/").append(component);
  }
  return result.empty() ? "/" : result;
}

/// Removes ":ro" or ":rw" from the end. A path with a colon is legal, so anything else after a colon must at
/// least look like a path; otherwise ":or" would silently become part of a name.
MountAccess take_access(std::string_view& container, std::string_view label) {
  const std::size_t colon = container.rfind(':');
  if (colon == std::string_view::npos) return MountAccess::ReadWrite;
  const std::string_view option = trim(container.substr(colon + 1));
  if (option.find('/') != std::string_view::npos) return MountAccess::ReadWrite;
  if (option != "ro" && option != "rw") {
    refuse(fmt::format("mount '{}': unknown option '{}', expected 'ro' or 'rw'", printable(label),
                       printable(option)));
  }
  container = trim(container.substr(0, colon));
  return parse_mount_access(option);
}

template <typename Value>
Value parse_choice(std::string_view raw, std::string_view key,
                   const std::vector<std::pair<std::string_view, Value>>& choices) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : choices) {
    if (name == raw) return value;
    names.push_back(name);
  }
  const std::string nearest = nearest_name(raw, names);
  const std::string hint = nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest);
  refuse(fmt::format("unknown {} '{}', expected one of {}{}", key, printable(raw), fmt::join(names, ", "),
                     hint));
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  const auto strip_one = [&text](bool front) {
    for (const std::string_view space : kWhiteSpace) {
      if (front && text.starts_with(space)) {
        text.remove_prefix(space.size());
        return true;
      }
      if (!front && text.ends_with(space)) {
        text.remove_suffix(space.size());
        return true;
      }
    }
    return false;
  };
  while (strip_one(true)) {
  }
  while (strip_one(false)) {
  }
  return text;
}

std::string normalize_image(std::string_view raw) {
  const std::string_view image = trim(raw);
  if (image.empty())
    refuse("base.image must not be empty", "Name an image, for example image = \"debian/12\".");
  if (image.size() > kMaxImageBytes) refuse("base.image is too long");
  if (has_control_character(image)) {
    refuse(fmt::format("base.image '{}' contains a control character", printable(image)));
  }
  return std::string(image);
}

std::string normalize_package_name(std::string_view raw, std::string_view list) {
  // A line break is never a slip of the keyboard, so it is not trimmed away either.
  const bool line_break = raw.find_first_of("\n\r") != std::string_view::npos;
  const std::string_view name = trim(raw);
  if (name.empty() && !line_break) return {};
  if (line_break || !is_package_name(name)) {
    refuse(fmt::format(
        "'{}' in {} is not a package name: it must begin with a letter or digit, go on with letters, "
        "digits and + . _ : ~ ^ / @ = -, and have at most 256 characters",
        printable(line_break ? raw : name), list));
  }
  return std::string(name);
}

std::string normalize_backend(std::string_view raw) {
  std::string backend(trim(raw));
  // Every legal name is ASCII.
  std::transform(backend.begin(), backend.end(), backend.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::string(parse_choice<std::string_view>(
      backend, "runtime.backend", {{"namespace", "namespace"}, {"oci", "oci"}, {"mock", "mock"}}));
}

Mount normalize_mount(std::string_view raw_label, std::string_view raw_value) {
  Mount mount;
  mount.label = trim(raw_label);
  if (mount.label.empty()) refuse("mount label must not be empty");
  const std::size_t colon = raw_value.find(':');
  const std::string_view host = trim(raw_value.substr(0, colon));
  std::string_view container = colon == std::string_view::npos ? "" : trim(raw_value.substr(colon + 1));
  if (host.empty() || container.empty()) {
    refuse(fmt::format("invalid mount declaration for '{}': '{}', expected '<host>:<container>'",
                       printable(raw_label), printable(raw_value)));
  }
  mount.access = take_access(container, mount.label);
  mount.host_path = host;
  // Before the normal form, which would hide nothing but should not have to be trusted with "..".
  check_container_path(mount.label, std::string(container));
  mount.container_path = normal_container_path(container);
  check_mount(mount);
  return mount;
}

Ownership parse_ownership(std::string_view raw) {
  return parse_choice<Ownership>(raw, "system.ownership",
                                 {{"flat", Ownership::Flat}, {"mapped", Ownership::Mapped}});
}

Home parse_home(std::string_view raw) {
  return parse_choice<Home>(raw, "runtime.home", {{"private", Home::Private}, {"shared", Home::Shared}});
}

MountAccess parse_mount_access(std::string_view raw) {
  return parse_choice<MountAccess>(raw, "mount access",
                                   {{"ro", MountAccess::ReadOnly}, {"rw", MountAccess::ReadWrite}});
}

std::string_view to_string(MountAccess access) noexcept {
  return access == MountAccess::ReadOnly ? "ro" : "rw";
}

void sort_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

void check_mount(const Mount& mount) {
  if (mount.label.empty() || trim(mount.label) != mount.label) refuse("mount label must not be empty");
  if (mount.label.size() > kMaxLabelBytes || has_control_character(mount.label)) {
    refuse(
        fmt::format("mount label '{}' is too long or contains a control character", printable(mount.label)));
  }
  check_host_path(mount.label, mount.host_path);
  check_container_path(mount.label, mount.container_path);
  if (normal_container_path(mount.container_path) != mount.container_path) {
    refuse(fmt::format("mount '{}': the container path '{}' is not in its shortest form",
                       printable(mount.label), printable(mount.container_path)));
  }
}

void MountNames::add(const Mount& mount) {
  if (!labels_.insert(mount.label).second) {
    refuse(fmt::format("mount label '{}' is given twice (blanks around it do not count)",
                       printable(mount.label)));
  }
  const auto [other, added] = label_of_target_.emplace(mount.container_path, mount.label);
  if (!added) {
    refuse(fmt::format("mounts '{}' and '{}' both go to '{}'", printable(other->second),
                       printable(mount.label), printable(mount.container_path)));
  }
}

}  // namespace karapace
