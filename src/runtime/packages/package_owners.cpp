// SPDX-License-Identifier: Apache-2.0
// The lists are read once, whatever is asked: there may be two thousand of them, and few paths.
#include "karapace/runtime/package_owners.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string_view>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/text.hpp"
#include "packages/rpm_contents.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kDpkgInfo = "var/lib/dpkg/info";
constexpr std::string_view kPacmanLocal = "var/lib/pacman/local";
constexpr std::size_t kMaxList = 64 * 1024 * 1024;
constexpr std::array<std::string_view, 5> kScripts = {"config", "postinst", "preinst", "prerm", "triggers"};

template <typename Function>
void for_each_line(std::string_view text, Function&& found) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    found(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? std::string_view() : path.substr(0, slash));
}

/// "usr/lib/python3/x/__pycache__/y.cpython-311.pyc" -> "usr/lib/python3/x/y.py".
std::optional<std::string> python_source(std::string_view path) {
  constexpr std::string_view kCache = "/__pycache__/";
  const auto cache = path.rfind(kCache);
  if (cache == std::string_view::npos || !path.ends_with(".pyc")) return std::nullopt;
  const auto name = path.substr(cache + kCache.size());
  return std::string(path.substr(0, cache)) + "/" + std::string(name.substr(0, name.find('.'))) + ".py";
}

/// "var/lib/dpkg/info/libc6:amd64.list" -> "libc6".
std::optional<std::string> package_of_dpkg_file(std::string_view path) {
  if (!path.starts_with(kDpkgInfo) || path.size() <= kDpkgInfo.size()) return std::nullopt;
  const auto name = path.substr(kDpkgInfo.size() + 1);
  const auto stem = name.substr(0, name.rfind('.'));
  return std::string(stem.substr(0, stem.find(':')));
}

/// What is looked for, and who was found.
class Search {
 public:
  explicit Search(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (auto package = package_of_dpkg_file(path)) {
        owners_[path].insert(std::move(*package));
        continue;
      }
      want(path, path);
      if (const auto source = python_source(path)) want(*source, path);
      for (std::string directory = parent_of(path); !directory.empty(); directory = parent_of(directory))
        directories_.try_emplace(directory);
      named_.push_back(path);
    }
  }

  /// `path` as the database has it, without its first slash.
  void listed(std::string_view path, const std::string& package) {
    if (const auto found = wanted_.find(path); found != wanted_.end()) {
      for (const std::string& asked : found->second) owners_[asked].insert(package);
    }
    if (const auto found = directories_.find(path); found != directories_.end())
      found->second.listing.insert(package);
    if (const auto found = directories_.find(parent_of(path)); found != directories_.end())
      found->second.inside.insert(package);
  }

  void script(std::string_view text, const std::string& package) {
    for (const std::string& path : named_) {
      if (text.find("/" + path) != std::string_view::npos) makers_[path].insert(package);
    }
  }

  [[nodiscard]] std::map<std::string, Owner> result() const {
    std::map<std::string, Owner> result;
    // A file that several packages have (diverted, or the same) is told with the first; of makers and
    // neighbours only one can be meant.
    for (const std::string& path : named_)
      if (auto package = neighbour(path)) result[path] = {std::move(*package), OwnedBy::Directory};
    for (const auto& [path, packages] : makers_)
      if (packages.size() == 1) result[path] = {*packages.begin(), OwnedBy::Script};
    for (const auto& [path, packages] : owners_) result[path] = {*packages.begin(), OwnedBy::List};
    return result;
  }

 private:
  using Packages = std::map<std::string, std::set<std::string>>;
  struct Directory {
    std::set<std::string> listing;  // who lists it
    std::set<std::string> inside;   // who lists something directly in it
  };
  using Asked = std::map<std::string, std::vector<std::string>, std::less<>>;

  /// Of the nearest directory that anybody lists.
  [[nodiscard]] std::optional<std::string> neighbour(const std::string& path) const {
    for (std::string directory = parent_of(path); !directory.empty(); directory = parent_of(directory)) {
      const Directory& known = directories_.at(directory);
      if (known.listing.size() == 1) return *known.listing.begin();
      if (known.inside.size() == 1) return *known.inside.begin();
      if (!known.listing.empty() || !known.inside.empty()) return std::nullopt;
    }
    return std::nullopt;
  }

  /// Also as it was called before /bin and its like became links.
  void want(const std::string& path, const std::string& asked) {
    wanted_[path].push_back(asked);
    constexpr std::string_view kUsr = "usr/";
    if (path.starts_with(kUsr)) wanted_[path.substr(kUsr.size())].push_back(asked);
  }

  Asked wanted_;
  std::map<std::string, Directory, std::less<>> directories_;
  std::vector<std::string> named_;
  Packages owners_;
  Packages makers_;
};

std::string read_list(FdRef directory, const std::string& name) {
  try {
    return try_read_file_at(directory, name, kMaxList).value_or("");
  } catch (const Error& error) {
    // A directory of that name, a file that is closed to us: then nobody is known.
    log::debug("{} tells no owners: {}", name, error.what());
    return {};
  }
}

/// Nothing for what is a link, a file, or closed to us, too.
std::optional<UniqueFd> find_directory(FdRef tree, std::string_view path) {
  try {
    return try_open_beneath(tree, std::string(path), O_RDONLY | O_DIRECTORY);
  } catch (const Error& error) {
    log::debug("{} tells no owners: {}", path, error.what());
    return std::nullopt;
  }
}

void ask_dpkg(FdRef tree, Search& search) {
  const auto info = find_directory(tree, kDpkgInfo);
  if (!info) return;
  for (const DirectoryEntry& entry : list_directory(*info)) {
    const std::string_view name = entry.name;
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos) continue;
    const std::string package(name.substr(0, std::min(dot, name.find(':'))));
    const auto kind = name.substr(dot + 1);
    if (kind == "list") {
      for_each_line(read_list(*info, entry.name), [&](std::string_view line) {
        if (line.starts_with('/')) search.listed(line.substr(1), package);
      });
    } else if (std::ranges::find(kScripts, kind) != kScripts.end()) {
      search.script(read_list(*info, entry.name), package);
    }
  }
}

/// "glibc-2.40-1" -> "glibc".
std::string pacman_name(std::string_view directory) {
  for (int part = 0; part < 2; ++part) directory = directory.substr(0, directory.rfind('-'));
  return std::string(directory);
}

void ask_pacman(FdRef tree, Search& search) {
  const auto local = find_directory(tree, kPacmanLocal);
  if (!local) return;
  for (const DirectoryEntry& entry : list_directory(*local)) {
    const std::string package = pacman_name(entry.name);
    for_each_line(read_list(*local, entry.name + "/files"), [&](std::string_view line) {
      if (line.ends_with('/')) line.remove_suffix(1);
      search.listed(line, package);
    });
    search.script(read_list(*local, entry.name + "/install"), package);
  }
}

void ask_rpm(const RpmFile& rpm, Search& search) {
  try {
    const auto file = rpm.open();
    if (!file) return;
    const RpmContents contents = read_rpm_contents(*file);
    for (const std::string& path : contents.paths) search.listed(path, rpm.package);
    for (const std::string& script : contents.scripts) search.script(script, rpm.package);
  } catch (const Error& error) {
    log::debug("{} tells no owners: {}", rpm.package, error.what());
  }
}

}  // namespace

std::string describe(const Owner& owner) {
  return (owner.by == OwnedBy::Directory ? "in a directory of package " : "package ") +
         printable(owner.package);
}

std::map<std::string, Owner> find_owners(const std::vector<UniqueFd>& trees, const std::vector<RpmFile>& rpms,
                                         const std::vector<std::string>& paths) {
  Search search(paths);
  for (const RpmFile& rpm : rpms) ask_rpm(rpm, search);
  for (const UniqueFd& tree : trees) {
    ask_dpkg(tree, search);
    ask_pacman(tree, search);
  }
  return search.result();
}

}  // namespace karapace::runtime
