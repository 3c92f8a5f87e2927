// SPDX-License-Identifier: Apache-2.0
#include "random_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/xattr.hpp"

namespace karapace::store::testing {
namespace {

class Maker {
 public:
  Maker(FdRef root, std::uint32_t seed, const TreeOptions& options)
      : root_(root), random_(seed), options_(options) {}

  void run() {
    for (unsigned i = 0; i < options_.entries; ++i) make_one();
    // Modes and times last, deepest first: some of the modes forbid everything.
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) finish(*path);
  }

 private:
  unsigned pick(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  std::string make_name() {
    static const std::vector<std::string> kNames{
        "plain", "with space", "new\nline", "\xff\xfe latin", "-rf",   "back\\slash", "a",
        "a-b",   "a.txt",      ".hidden",   "\"quote'",       "tab\t", "caf\xc3\xa9", "..."};
    std::string name = kNames[pick(static_cast<unsigned>(kNames.size()))];
    if (pick(12) == 0) name = std::string(250, 'n');
    // As long as a name can be.
    return (name + "-" + std::to_string(counter_++)).substr(0, 255);
  }

  std::string make_content() {
    static const std::vector<unsigned> kSizes{0, 0, 1, 5, 4096, 70000};
    const unsigned size = kSizes[pick(static_cast<unsigned>(kSizes.size()))];
    // Few different ones, so that files share objects.
    return std::string(size, static_cast<char>('a' + pick(4)));
  }

  void make_one() {
    const std::string parent = directories_[pick(static_cast<unsigned>(directories_.size()))];
    const std::string path = parent.empty() ? make_name() : parent + "/" + make_name();
    switch (pick(10)) {
      case 0:
      case 1:
        make_directory_at(root_, path, 0700);
        if (pick(3) == 0) set_xattr(root_, path, "user.overlay.opaque", "y");
        directories_.push_back(path);
        break;
      case 2:
        symlink_at(pick(2) == 0 ? "/abs//./target\n" : std::string(300, 'L'), root_, path);
        linkable_.push_back(path);
        break;
      case 3: {
        const UniqueFd dir = parent_of(path);
        if (::mkfifoat(dir.get(), base(path).c_str(), 0600) != 0) throw_errno("mkfifo");
        linkable_.push_back(path);
        break;
      }
      case 4: {
        const UniqueFd dir = parent_of(path);
        if (::mknodat(dir.get(), base(path).c_str(), S_IFCHR, 0) != 0) throw_errno("mknod");
        break;
      }
      case 5:
        if (linkable_.empty()) return;
        try_link_at(root_, linkable_[pick(static_cast<unsigned>(linkable_.size()))], root_, path);
        break;
      default:
        make_file(path);
    }
    made_.push_back(path);
  }

  void make_file(const std::string& path) {
    {
      const UniqueFd file = open_beneath(root_, path, O_RDWR | O_CREAT | O_EXCL, 0600);
      write_all(file, make_content());
      // A hole at the end.
      if (pick(8) == 0 && ::ftruncate(file.get(), 1 << 20) != 0) throw_errno("truncate");
    }
    if (pick(5) == 0) set_xattr(root_, path, "user.note", std::string("a\0b", 3));
    if (pick(9) == 0) set_xattr(root_, path, "user.overlay.origin", "of the overlay");
    linkable_.push_back(path);
  }

  void finish(const std::string& path) {
    const UniqueFd dir = parent_of(path);
    const std::string name = base(path);
    const std::optional<struct stat> info = stat_at(dir, name);
    if (!info) return;
    if (options_.owners && pick(2) == 0 && info->st_nlink < 2) {
      const uid_t uid = ::geteuid() == 0 ? pick(3) : ::geteuid();
      const gid_t gid = ::geteuid() == 0 ? pick(3) : ::getegid();
      if (::fchownat(dir.get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) throw_errno("chown");
    }
    static const std::vector<mode_t> kAnyModes{0644, 0755, 0600, 0, 04755, 02755, 01777, 0444, 0111};
    static const std::vector<mode_t> kUsableModes{0755, 0700, 0777, 04755, 02755, 01777};
    const std::vector<mode_t>& modes = ::geteuid() == 0 ? kAnyModes : kUsableModes;
    if (!S_ISLNK(info->st_mode) && !S_ISCHR(info->st_mode)) {
      if (::fchmodat(dir.get(), name.c_str(), modes[pick(static_cast<unsigned>(modes.size()))], 0) != 0) {
        throw_errno("chmod");
      }
    }
    const timespec time{static_cast<time_t>(1'600'000'000 + pick(5)), static_cast<long>(pick(2) * 123456789)};
    const timespec times[] = {time, time};
    if (::utimensat(dir.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throw_errno("utimensat");
  }

  [[nodiscard]] UniqueFd parent_of(const std::string& path) const {
    const auto slash = path.rfind('/');
    return open_directory(root_, slash == std::string::npos ? "." : path.substr(0, slash));
  }
  static std::string base(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
  }

  FdRef root_;
  std::mt19937 random_;
  TreeOptions options_;
  unsigned counter_ = 0;
  std::vector<std::string> directories_{""};
  std::vector<std::string> linkable_;  // everything but directories can have more than one name
  std::vector<std::string> made_;
};

}  // namespace

void fill_random_tree(FdRef root, std::uint32_t seed, const TreeOptions& options) {
  Maker(root, seed, options).run();
}

}  // namespace karapace::store::testing
