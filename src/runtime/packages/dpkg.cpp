// SPDX-License-Identifier: Apache-2.0
#include "packages/dpkg.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <thread>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/package_manager.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

/// Reads what dpkg says about its progress while the caller waits for it. A descriptor of its own, because
/// dpkg closes it in maintainer scripts, and those need their stderr.
class StatusPipe {
 public:
  explicit StatusPipe(std::function<void(std::string_view)> line) : pipe_(make_pipe()) {
    const int high = ::fcntl(pipe_.write_end.get(), F_DUPFD_CLOEXEC, kFirstPassedFd);
    if (high < 0) throw_errno("duplicate a descriptor");
    passed_ = UniqueFd(high);
    pipe_.write_end.reset();
    reader_ = std::jthread([this, line = std::move(line)] { read_lines(line); });
  }
  ~StatusPipe() {
    passed_.reset();  // the last writer: the reader sees the end
  }
  StatusPipe(const StatusPipe&) = delete;
  StatusPipe& operator=(const StatusPipe&) = delete;

  [[nodiscard]] int number() const noexcept { return passed_.get(); }

 private:
  static constexpr int kFirstPassedFd = 64;
  static constexpr std::size_t kMaxLine = 64 * 1024;

  void read_lines(const std::function<void(std::string_view)>& line) noexcept {
    std::string pending;
    std::array<char, 4096> buffer{};
    while (true) {
      const ssize_t count = ::read(pipe_.read_end.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      pending.append(buffer.data(), static_cast<std::size_t>(count));
      for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
        line(std::string_view(pending).substr(0, end));
        pending.erase(0, end + 1);
      }
      if (pending.size() > kMaxLine) pending.clear();
    }
  }

  Pipe pipe_;
  UniqueFd passed_;
  std::jthread reader_;  // last: it ends before the descriptors do
};

}  // namespace

std::vector<PackageState> package_states(BaseSystem& system) {
  const RunResult listed = system.run(
      {.argv = {"dpkg-query", "-W", "-f",
                R"(${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${binary:Package}\n)"}});
  check_step(listed, ErrorCode::External, "dpkg cannot list what is installed");
  return parse_states(listed.out);
}

RunResult Dpkg::run(std::vector<std::string> action) {
  const StatusPipe status([this](std::string_view line) { count(line); });
  std::vector<std::string> argv = {"dpkg",
                                   "--status-fd",
                                   std::to_string(status.number()),
                                   "--force-unsafe-io",
                                   "--force-confold",
                                   "--force-confdef"};
  argv.insert(argv.end(), std::make_move_iterator(action.begin()), std::make_move_iterator(action.end()));
  BaseSystem::Program program = installing(system_, std::move(argv));
  program.environment = install_environment();
  program.kept_fd = status.number();
  return system_.run(program);
}

void Dpkg::count(std::string_view line) {
  const bool counts = line.starts_with("processing: install:") || line.starts_with("processing: upgrade:") ||
                      line.starts_with("processing: configure:");
  if (counts) system_.context().progress.advance(std::min(++done_, total_), total_, "packages");
}

}  // namespace karapace::runtime::apt
