// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/xattr.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "at_path.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"

namespace karapace {
namespace {

// The kernel's own limits (XATTR_LIST_MAX, XATTR_SIZE_MAX): a buffer of this size is never too small.
constexpr std::size_t kMaxBytes = 65536;

/// There is no lgetxattrat: O_PATH is refused by fgetxattr, and opening a file to read its attributes could
/// block or have effects. The l-calls do not follow the last component, and all before it is this magic link
/// to `dir`.
std::string path_through_proc(const AtPath& at) {
  if (at.dir() == AT_FDCWD) return fmt::format("/proc/self/cwd/{}", at.name());
  return fmt::format("/proc/self/fd/{}/{}", at.dir(), at.name());
}

std::optional<std::string> get_value(const std::string& path, const std::string& key) {
  std::string value(256, '\0');
  ssize_t length = ::lgetxattr(path.c_str(), key.c_str(), value.data(), value.size());
  if (length < 0 && errno == ERANGE) {
    value.resize(kMaxBytes);
    length = ::lgetxattr(path.c_str(), key.c_str(), value.data(), value.size());
  }
  if (length < 0 && errno == ENODATA) return std::nullopt;  // deleted since it was listed
  if (length < 0) throw_errno(describe("read the attributes of", path));
  value.resize(static_cast<std::size_t>(length));
  return value;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> list_xattrs(FdRef dir, const std::string& name) {
  const AtPath at(dir, name);
  const std::string path = path_through_proc(at);
  std::vector<std::pair<std::string, std::string>> attributes;
  // Nearly all files have none: ask for the size first and allocate nothing.
  ssize_t length = ::llistxattr(path.c_str(), nullptr, 0);
  std::string names;
  if (length > 0) {
    names.resize(kMaxBytes);
    length = ::llistxattr(path.c_str(), names.data(), names.size());
  }
  if (length < 0 && errno == EOPNOTSUPP) return attributes;
  if (length < 0) throw_errno(describe("list the attributes of", name));
  for (std::string_view rest(names.data(), static_cast<std::size_t>(length)); !rest.empty();) {
    std::string key(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(std::min(key.size() + 1, rest.size()));
    if (auto value = get_value(path, key)) attributes.emplace_back(std::move(key), std::move(*value));
  }
  std::ranges::sort(attributes);
  return attributes;
}

void set_xattr(FdRef dir, const std::string& name, const std::string& key, const std::string& value) {
  const AtPath at(dir, name);
  const std::string path = path_through_proc(at);
  if (fault::injected("setxattr") ||
      ::lsetxattr(path.c_str(), c_path(key), value.data(), value.size(), 0) != 0)
    throw_errno(describe("set an attribute of", name));
}

bool remove_xattr(FdRef dir, const std::string& name, const std::string& key) {
  const AtPath at(dir, name);
  const std::string path = path_through_proc(at);
  if (!fault::injected("removexattr") && ::lremovexattr(path.c_str(), c_path(key)) == 0) return true;
  if (errno == ENODATA) return false;
  throw_errno(describe("remove an attribute of", name));
}

}  // namespace karapace
