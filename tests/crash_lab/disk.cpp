// SPDX-License-Identifier: Apache-2.0
#include "disk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "image.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::lab {
namespace {

namespace fs = std::filesystem;

constexpr off_t kSize = 512L * 1024 * 1024;  // a hole at first; xfs wants 300 MiB
constexpr char kOffEverything = '0', kOffBytes = '1', kOn = '+', kDone = '.';

// Known to ext4 and xfs, by the same number.
constexpr unsigned long kShutdown = _IOR('X', 125, std::uint32_t);
constexpr std::uint32_t kFlushLog = 1, kNoFlush = 2;

std::string run_tool(const std::string& program, const std::vector<std::string>& arguments) {
  Command command;
  command.program = program;
  command.arguments = arguments;
  command.environment = host_tool_environment();
  std::string out = run_checked(command).out;
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

class Keeper {
 public:
  Keeper(std::string type, const std::string& place)
      : type_(std::move(type)), image_(place + "/image"), mount_(place + "/mount") {}

  void make(uid_t owner, gid_t group) {
    const UniqueFd image(::open(image_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!image || ::ftruncate(image.get(), kSize) != 0) throw_errno("make " + image_);
    run_tool("mkfs." + type_, {"-q", image_});
    fs::create_directory(mount_);
    attach();
    if (::chown(mount_.c_str(), owner, group) != 0) throw_errno("give the disk away");
    const UniqueFd top(::open(mount_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!top || ::syncfs(top.get()) != 0) throw_errno("sync the disk");
  }

  [[nodiscard]] const std::string& directory() const { return mount_; }

  /// ext4 and xfs stop where they are. btrfs cannot: what is on its disk now is put aside.
  void power_off(Unwritten unwritten) {
    if (type_ == "btrfs") {
      run_tool("cp", {"--sparse=always", image_, image_ + ".now"});
      return;
    }
    const UniqueFd top(::open(mount_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::uint32_t how = unwritten == Unwritten::Everything ? kNoFlush : kFlushLog;
    if (!top || ::ioctl(top.get(), kShutdown, &how) != 0) throw_errno("shut the file system down");
  }

  void power_on() {
    detach();
    if (type_ == "btrfs") fs::rename(image_ + ".now", image_);
    attach();
  }

  void detach() {
    if (device_.empty()) return;
    // Mounts in namespaces of processes that were just ended go a moment after these.
    retry("umount", [this] { return ::umount2(mount_.c_str(), 0) == 0; });
    retry("wait for the end of the file system",
          [this] { return UniqueFd(::open(device_.c_str(), O_RDWR | O_EXCL | O_CLOEXEC)) ? true : false; });
    run_tool("losetup", {"--detach", device_});
    device_.clear();
  }

 private:
  template <typename Try>
  static void retry(const char* what, const Try& succeeds) {
    for (int left = 1000; !succeeds(); --left) {
      if (errno != EBUSY || left == 0) throw_errno(what);
      ::poll(nullptr, 0, 10);
    }
  }

  void attach() {
    device_ = run_tool("losetup", {"--find", "--show", image_});
    const char* options = "";
    // Without its habit of writing bytes before a rename, which others do not have.
    if (type_ == "ext4") options = "noauto_da_alloc";
    // It must not write while what it wrote is copied.
    if (type_ == "btrfs") options = "commit=300";
    if (::mount(device_.c_str(), mount_.c_str(), type_.c_str(), MS_NOSUID, options) != 0)
      throw_errno("mount the disk");
  }

  std::string type_;
  std::string image_;
  std::string mount_;
  std::string device_;
};

}  // namespace

int keep_disk(const std::string& type, uid_t owner, gid_t group, std::vector<std::string> words) {
  if (::geteuid() != 0) throw Error(ErrorCode::PermissionDenied, "a disk can only be mounted as root");
  if ((type != "ext4" && type != "xfs" && type != "btrfs") || !find_program("mkfs." + type))
    throw Error(ErrorCode::Unsupported, fmt::format("there is no mkfs.{} here", type));
  std::string place = "/var/tmp/karapace-disk-XXXXXX";
  if (::mkdtemp(place.data()) == nullptr || ::chmod(place.c_str(), 0755) != 0)
    throw_errno("make a directory for the disk");
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw_errno("enter a mount namespace");
  Keeper keeper(type, place);
  keeper.make(owner, group);

  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw_errno("socketpair");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  words.insert(words.end(), {"--disk-at", keeper.directory()});
  auto environment = host_tool_environment();
  if (const char* user = std::getenv("KARAPACE_TEST_USER"))
    environment.emplace_back("KARAPACE_TEST_USER", user);
  ChildProcess lab = spawn({.program = fs::read_symlink("/proc/self/exe"),
                            .arguments = std::move(words),
                            .environment = std::move(environment),
                            .fds = {{theirs, STDIN_FILENO},
                                    {FdRef::from_raw(STDOUT_FILENO), STDOUT_FILENO},
                                    {FdRef::from_raw(STDERR_FILENO), STDERR_FILENO}},
                            .working_directory = "/"});
  theirs.reset();
  char order = 0;
  while (::read(ours.get(), &order, 1) == 1) {
    if (order == kOn) {
      keeper.power_on();
    } else {
      keeper.power_off(order == kOffEverything ? Unwritten::Everything : Unwritten::Bytes);
    }
    if (::write(ours.get(), &kDone, 1) != 1) break;
  }
  const int status = lab.wait();
  keeper.detach();
  fs::remove_all(place);
  return status;
}

Disk::Disk(std::string type, std::string directory)
    : type_(std::move(type)),
      directory_(std::move(directory)),
      keeper_(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) {
  if (!keeper_) throw_errno("find the keeper of the disk");
}

void Disk::power_off(Unwritten unwritten) {
  tell(unwritten == Unwritten::Everything ? kOffEverything : kOffBytes);
}

void Disk::power_on() { tell(kOn); }

void Disk::tell(char order) {
  char answer = 0;
  if (::write(keeper_.get(), &order, 1) != 1 || ::read(keeper_.get(), &answer, 1) != 1)
    throw Error(ErrorCode::External, "the keeper of the disk has ended; what it says is above");
}

}  // namespace karapace::lab
