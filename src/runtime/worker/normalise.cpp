// SPDX-License-Identifier: Apache-2.0
#include "worker/normalise.hpp"

#include <dirent.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/file_at.hpp"
#include "karapace/base/xattr.hpp"
#include "karapace/store/layer.hpp"
#include "worker/generated_files.hpp"
#include "worker/known_files.hpp"

namespace karapace::worker {
namespace {

constexpr std::string_view kOpaque = "user.overlay.opaque";

using Visit = std::function<void(const std::string& name, const std::string& path)>;

void for_each_entry(const WorkTree& tree, const std::string& directory, const Visit& visit) {
  const auto info = tree.find(directory);
  if (!info || !S_ISDIR(info->st_mode)) return;
  const UniqueFd opened = open_directory(tree.fd(), directory);
  for (const DirectoryEntry& entry : list_directory(opened)) visit(entry.name, directory + "/" + entry.name);
}

// "etc/ssl/certs/<hash>.0" beside the certificate it points to.
void remove_links_to(const WorkTree& tree, const std::string& directory, std::string_view target) {
  for_each_entry(tree, directory, [&](const std::string&, const std::string& path) {
    const auto info = tree.find(path);
    if (info && S_ISLNK(info->st_mode) && read_link_at(tree.fd(), path) == target) tree.remove(path);
  });
}

// The base's file shows again where it has one; without one the file stays, without its content.
void reveal_or_truncate(const WorkTree& tree, const std::string& path) {
  const auto info = tree.find(path);
  if (!info || !S_ISREG(info->st_mode)) return;
  const auto below = tree.find_below(path);
  if (below && S_ISREG(below->st_mode)) {
    tree.remove(path);
  } else {
    tree.truncate(path);
  }
}

// Daemons expect their log files with owner and mode, so these stay, empty.
void quiet_logs(const WorkTree& tree) {
  std::vector<std::string> pending = {"var/log"};
  while (!pending.empty()) {
    const std::string directory = std::move(pending.back());
    pending.pop_back();
    for_each_entry(tree, directory, [&](const std::string&, const std::string& path) {
      const auto info = tree.find(path);
      if (info && S_ISDIR(info->st_mode)) {
        pending.push_back(path);
      } else {
        reveal_or_truncate(tree, path);
      }
    });
  }
}

void normalise_common(const WorkTree& tree) {
  remove_links_to(tree, "etc/ssl/certs", "ssl-cert-snakeoil.pem");
  clean_known_files(tree);
  quiet_logs(tree);
  reveal_or_truncate(tree, "etc/machine-id");
}

// pacman notes when each package was installed.
void fix_pacman_dates(const WorkTree& tree) {
  constexpr std::string_view kKey = "%INSTALLDATE%\n";
  constexpr std::size_t kMaxDescription = 16 * 1024 * 1024;
  for_each_entry(tree, "var/lib/pacman/local", [&](const std::string&, const std::string& directory) {
    const std::string path = directory + "/desc";
    const auto info = tree.find(path);
    if (!info || !S_ISREG(info->st_mode)) return;
    std::string text = read_file_at(tree.fd(), path, kMaxDescription);
    const auto key = text.find(kKey);
    if (key == std::string::npos) return;
    const auto begin = key + kKey.size();
    text.replace(begin, text.find('\n', begin) - begin, std::to_string(store::kSourceDateEpoch));
    tree.write(path, text, info->st_mode & 07777);
  });
}

// dpkg makes directories under another name and renames them, and overlayfs marks those opaque. The mark
// means something only where a lower tree has a directory to hide; whether it is there otherwise depends on
// the order of operations. A socket is nothing without the process that listened on it (gpg-agent, started by
// a script), and a layer cannot hold one.
void drop_sockets_and_needless_marks(const WorkTree& tree) {
  std::vector<std::string> pending = {std::string()};
  while (!pending.empty()) {
    const std::string directory = std::move(pending.back());
    pending.pop_back();
    const UniqueFd opened = directory.empty() ? duplicate(tree.fd()) : open_directory(tree.fd(), directory);
    for (const DirectoryEntry& entry : list_directory(opened)) {
      if (entry.type != DT_DIR && entry.type != DT_SOCK && entry.type != DT_UNKNOWN) continue;
      std::string path = directory.empty() ? entry.name : directory + "/" + entry.name;
      const auto info = tree.find(path);
      if (info && S_ISSOCK(info->st_mode)) tree.remove(path);
      if (!info || !S_ISDIR(info->st_mode)) continue;
      const auto below = tree.find_below(path);
      if (!below || !S_ISDIR(below->st_mode)) remove_xattr(opened, entry.name, std::string(kOpaque));
      pending.push_back(std::move(path));
    }
  }
}

}  // namespace

void normalise_base(const WorkTree& tree) {
  normalise_common(tree);
  // What mmdebstrap was told on its command line ends up in these.
  tree.remove("etc/apt/apt.conf.d/99mmdebstrap");
  tree.remove("etc/dpkg/dpkg.cfg.d/99mmdebstrap");
  tree.remove("etc/apt/sources.list");
  tree.empty_directory("etc/apt/sources.list.d");
}

void normalise_layer(const WorkTree& tree) {
  normalise_common(tree);
  normalise_generated_files(tree);
  fix_pacman_dates(tree);
  // These say who the machine is: the base has neutral ones, sessions bring their own.
  for (const char* path : {"etc/hosts", "etc/hostname", "etc/resolv.conf"}) tree.remove(path);
  constexpr const char* kPolicyPath = "usr/sbin/policy-rc.d";
  if (const auto info = tree.find(kPolicyPath);
      info && S_ISREG(info->st_mode) && read_file_at(tree.fd(), kPolicyPath, 1024 * 1024) == kPolicyRcD) {
    tree.remove(kPolicyPath);
  }
  drop_sockets_and_needless_marks(tree);
  tree.adopt_root_attributes();
}

void normalise_foreign(const WorkTree& tree) { tree.empty_directory("dev"); }

}  // namespace karapace::worker
