// SPDX-License-Identifier: Apache-2.0
// The directory is named by a digest of its content: the same content is used again, other content gets
// another directory. A name proves nothing, though: it is not synced before it gets its name, so a power cut
// may leave empty files, and a user may edit or delete what is in it. So each start of a holder compares all
// of it with what it should be, which are a few small files, and makes it anew if it is anything else.
// karapace-init moves a new one into place, because only root inside can give its files to root inside.
#include "policy_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "karapace/base/clock.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "layered_root.hpp"
#include "mount_policy.hpp"

namespace karapace::runtime {
namespace {

constexpr std::size_t kMaxDatabase = 4 * 1024 * 1024;
constexpr std::size_t kMaxResolver = 64 * 1024;
constexpr std::size_t kDigestDigits = 16;

struct PolicyFile {
  mode_t mode = 0755 | S_IFDIR;
  std::string content;
};
/// By absolute path; parents sort before what is in them.
using PolicyFiles = std::map<std::string, PolicyFile>;

std::string first_field(std::string_view line) { return std::string(line.substr(0, line.find(':'))); }

std::optional<std::uint32_t> third_field(std::string_view line) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  std::uint32_t number = 0;
  const char* begin = line.data() + second + 1;
  const auto [end, error] = std::from_chars(begin, line.data() + line.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return number;
}

template <typename Keep>
std::string filtered_lines(std::string_view text, Keep&& keep) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && keep(line)) (result += line) += '\n';
  }
  return result;
}

/// No field may end the line or begin another field.
std::string clean_field(std::string text) {
  std::erase_if(text, [](char c) { return c == ':' || static_cast<unsigned char>(c) < 0x20; });
  return text;
}

std::string host_resolver() {
  try {
    return read_all(open_path("/etc/resolv.conf", O_RDONLY | O_NONBLOCK), kMaxResolver);
  } catch (const SystemError&) {
    return {};  // the host has none either
  }
}

class PolicyMaker {
 public:
  PolicyMaker(const store::StoreLayout& store, const PolicyRequest& request)
      : request_(request), root_(store.root(), stack_of(request)) {}

  PolicyFiles make(std::vector<PlacedTarget>& placed) {
    for (const char* directory : {"/proc", "/sys", "/dev", "/run", "/tmp", "/etc"})
      want_directory(directory, 0755);
    for (const MountTarget& target : request_.targets) placed.push_back(place(target));
    write("/etc/hostname", request_.hostname + "\n");
    write("/etc/hosts",
          fmt::format("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{}\n",
                      request_.hostname));
    write("/etc/resolv.conf", request_.isolate_network ? std::string() : host_resolver());
    const std::string shell = shell_inside();
    write("/etc/passwd", passwd_with_user(database("/etc/passwd", "root:x:0:0:root:/root:" + shell + "\n"),
                                          request_.user, request_.home, shell));
    write("/etc/group", group_with_user(database("/etc/group", "root:x:0:\n"), request_.user));
    return std::move(files_);
  }

 private:
  static std::vector<std::string> stack_of(const PolicyRequest& request) {
    std::vector<std::string> layers{"env/" + request.env_id + "/upper"};
    layers.insert(layers.end(), request.layers.begin(), request.layers.end());
    return layers;
  }

  /// The user's own shell if the image has it, else the first that it has.
  std::string shell_inside() const {
    const std::vector<std::string> shells = login_shells_of(request_.user);
    for (const std::string& shell : shells) {
      const auto found = root_.find(shell);
      if (found.exists && S_ISREG(found.mode) && (found.mode & 0111) != 0) return shell;
    }
    return shells.back();
  }

  std::string database(const char* path, std::string otherwise) const {
    auto text = root_.read_file(path, kMaxDatabase);
    return text ? std::move(*text) : std::move(otherwise);
  }

  /// The manifest may not name these places, so a symlink of the image must not lead there either.
  static void refuse_detour(const std::string& wanted, const std::string& found) {
    if (found == wanted) return;
    const bool reserved =
        found == "/" || is_within(found, "/proc") || is_within(found, "/sys") || is_within(found, "/dev");
    if (!reserved) return;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("cannot mount at {}: in the environment that leads to {}", wanted, found),
                "Choose another place inside in [mounts] of the manifest.");
  }

  PlacedTarget place(const MountTarget& target) {
    const auto found = root_.find(target.path);
    refuse_detour(target.path, found.path);
    PlacedTarget placed{found.path};
    placed.in_memory =
        (is_within(found.path, "/run") || is_within(found.path, "/tmp")) && found.path.size() > 4;
    if (placed.in_memory) return placed;
    if (found.exists) {
      if (S_ISDIR(found.mode) != target.is_directory) {
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("cannot mount a {} at {}: it is a {} in the environment",
                                target.is_directory ? "directory" : "file", target.path,
                                S_ISDIR(found.mode) ? "directory" : "file"),
                    "Choose another place inside in [mounts] of the manifest.");
      }
      return placed;
    }
    placed.unreachable = found.hidden_by_top;
    if (placed.unreachable) return placed;
    if (target.is_directory) {
      want_directory(found.path, 0755);
    } else {
      add_parents(found.path);
      files_[found.path] = PolicyFile{S_IFREG | 0644, {}};
    }
    return placed;
  }

  void want_directory(const std::string& path, mode_t mode) {
    const auto found = root_.find(path);
    if (found.exists || found.hidden_by_top) return;
    add_parents(found.path);
    files_.try_emplace(found.path, PolicyFile{S_IFDIR | mode, {}});
  }

  /// The file itself replaces a symlink (a resolv.conf that points to the host's resolver); links on the way
  /// are followed.
  void write(const std::string& path, std::string content) {
    const std::size_t slash = path.rfind('/');
    const auto parent = root_.find(path.substr(0, slash));
    const std::string place = parent.path + path.substr(slash);
    if (is_within(parent.path, "/run") || (parent.exists && !S_ISDIR(parent.mode))) return;
    add_parents(place);
    files_[place] = PolicyFile{S_IFREG | 0644, std::move(content)};
  }

  /// A merged directory shows the topmost one's mode, so ours must be as those below.
  void add_parents(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      const std::string parent = path.substr(0, slash);
      const auto found = root_.find(parent);
      files_.try_emplace(parent, PolicyFile{found.exists ? found.mode : S_IFDIR | 0755, {}});
    }
  }

  const PolicyRequest& request_;
  LayeredRoot root_;
  PolicyFiles files_;
};

Digest digest_of(const PolicyFiles& files) {
  Hasher hasher;
  hasher.update("karapace policy v2\n");
  for (const auto& [path, file] : files) {
    hasher.update(fmt::format("{}:{}:{}:{}:", path.size(), path, file.mode, file.content.size()));
    hasher.update(file.content);
  }
  return hasher.finish();
}

/// One read: a file of another size gives other bytes, or more of them.
bool has_content(FdRef directory, const std::string& path, const std::string& content) {
  // Whatever lies there instead of a file must not block us.
  const UniqueFd file = open_beneath(directory, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  std::string found(content.size() + 1, '\0');
  const ssize_t count = ::read(file.get(), found.data(), found.size());
  return count == static_cast<ssize_t>(content.size()) &&
         std::string_view(found).substr(0, content.size()) == content;
}

/// A mount point: an empty file, or a directory. Its parents were looked at before, so none of them is a
/// link.
bool is_mount_point(FdRef directory, const std::string& path, mode_t mode) {
  constexpr mode_t kCompared = S_IFMT | 0777;
  struct stat info {};
  return ::fstatat(directory.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         (info.st_mode & kCompared) == (mode & kCompared) && (S_ISDIR(mode) || info.st_size == 0);
}

/// This is on the way of every first session, so it is one call for each directory and three for each file.
/// What we may not look at - files of another owner below a closed directory - does not count as there.
bool is_there(FdRef environment, const std::string& name, const PolicyFiles& files) {
  try {
    const UniqueFd directory = open_beneath(environment, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    return std::ranges::all_of(files, [&](const auto& entry) {
      const auto& [path, file] = entry;
      return file.content.empty() ? is_mount_point(directory, path.substr(1), file.mode)
                                  : has_content(directory, path.substr(1), file.content);
    });
  } catch (const SystemError& error) {
    if (is_shortage(error)) throw;
    return false;
  }
}

void write_files(FdRef directory, const PolicyFiles& files) {
  std::vector<const std::pair<const std::string, PolicyFile>*> directories;
  for (const auto& entry : files) {
    const std::string relative = entry.first.substr(1);
    if (S_ISDIR(entry.second.mode)) {
      make_directory_at(directory, relative, 0700);
      directories.push_back(&entry);
      continue;
    }
    UniqueFd file = open_beneath(directory, relative, O_WRONLY | O_CREAT | O_EXCL, 0600);
    write_all(file, entry.second.content);
    if (::fchmod(file.get(), entry.second.mode & 07777) != 0) throw_errno("write the policy files");
    file.close();
  }
  // Last, and from below: a mode may take away the right to write.
  for (auto entry = directories.rbegin(); entry != directories.rend(); ++entry) {
    const UniqueFd opened = open_directory(directory, (*entry)->first.substr(1));
    if (::fchmod(opened.get(), (*entry)->second.mode & 07777) != 0) throw_errno("write the policy files");
  }
}

}  // namespace

std::vector<std::string> login_shells_of(const HostUser& user) {
  std::vector<std::string> shells;
  const auto add = [&](std::string shell) {
    if (shell.starts_with('/') && std::ranges::find(shells, shell) == shells.end())
      shells.push_back(std::move(shell));
  };
  add(clean_field(user.shell));
  const std::string directory = "/bin/";
  add(directory + "bash");
  add(directory + "sh");
  return shells;
}

std::string passwd_with_user(const std::string& base, const HostUser& user, const std::string& home,
                             const std::string& shell) {
  // Root is in every image, with the home that the image gives it.
  if (user.uid == 0) return base;
  std::string result = filtered_lines(base, [&](std::string_view line) {
    return first_field(line) != user.name && third_field(line) != user.uid;
  });
  return result + fmt::format("{}:x:{}:{}::{}:{}\n", user.name, user.uid, user.gid, clean_field(home), shell);
}

std::string group_with_user(const std::string& base, const HostUser& user) {
  bool known = user.gid == 0;
  std::string result = filtered_lines(base, [&](std::string_view line) {
    const bool same_id = third_field(line) == user.gid;
    known = known || same_id;
    return same_id || first_field(line) != user.name;
  });
  if (!known) result += fmt::format("{}:x:{}:\n", user.name, user.gid);
  return result;
}

PolicyRoot ensure_policy(const store::StoreLayout& store, const PolicyRequest& request) {
  PolicyRoot policy;
  policy.login_shells = login_shells_of(request.user);
  const PolicyFiles files = PolicyMaker(store, request).make(policy.targets);
  const std::string environment = "env/" + request.env_id;
  const std::string name = "policy-" + digest_of(files).hex().substr(0, kDigestDigits);
  policy.directory = environment + "/" + name;
  const UniqueFd directory = open_directory(store.root(), environment);
  if (is_there(directory, name, files)) return policy;
  const std::string staged = "policy-new-" + random_hex(8);
  make_directory_at(directory, staged, 0755);
  const UniqueFd opened = open_directory(directory, staged);
  if (::fchmod(opened.get(), 0755) != 0) throw_errno("write the policy files");
  write_files(opened, files);
  policy.adopt_from = environment + "/" + staged;
  return policy;
}

}  // namespace karapace::runtime
