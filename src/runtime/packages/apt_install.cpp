// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>
#include <thread>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "packages/apt.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/step_output.hpp"
#include "packages/unpack_order.hpp"

namespace karapace::runtime::apt {
namespace {

constexpr std::string_view kExtendedStates = "var/lib/apt/extended_states";
constexpr std::string_view kPolicyRcD = "#!/bin/sh\nexit 101\n";
constexpr std::size_t kMaxStates = 16 * 1024 * 1024;

/// Counts what `dpkg --status-fd` reports: each package is unpacked once and configured once.
class DpkgProgress {
 public:
  DpkgProgress(ProgressSink& sink, std::size_t packages) : sink_(sink), total_(2 * packages) {}
  void line(std::string_view text) {
    const bool counts = text.starts_with("processing: install:") ||
                        text.starts_with("processing: upgrade:") ||
                        text.starts_with("processing: configure:");
    if (counts) sink_.advance(std::min(++done_, total_), total_, "packages");
  }

 private:
  ProgressSink& sink_;
  std::size_t done_ = 0;
  std::size_t total_;
};

/// Reads what dpkg says about its progress while the caller waits for it. A descriptor of its own, because
/// dpkg closes it in maintainer scripts, and those need their stderr.
class StatusPipe {
 public:
  explicit StatusPipe(DpkgProgress& progress) : pipe_(make_pipe()) {
    const int high = ::fcntl(pipe_.write_end.get(), F_DUPFD_CLOEXEC, kFirstPassedFd);
    if (high < 0) throw_errno("duplicate a descriptor");
    passed_ = UniqueFd(high);
    pipe_.write_end.reset();
    reader_ = std::jthread([this, &progress] { read_lines(progress); });
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

  void read_lines(DpkgProgress& progress) noexcept {
    std::string pending;
    std::array<char, 4096> buffer{};
    while (true) {
      const ssize_t count = ::read(pipe_.read_end.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      pending.append(buffer.data(), static_cast<std::size_t>(count));
      for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
        progress.line(std::string_view(pending).substr(0, end));
        pending.erase(0, end + 1);
      }
      if (pending.size() > kMaxLine) pending.clear();
    }
  }

  Pipe pipe_;
  UniqueFd passed_;
  std::jthread reader_;  // last: it ends before the descriptors do
};

std::vector<std::string> dpkg(std::vector<std::string> action) {
  std::vector<std::string> argv = {"dpkg", "--force-unsafe-io", "--force-confold", "--force-confdef"};
  argv.insert(argv.end(), action.begin(), action.end());
  return argv;
}

class AptManager : public PackageManager {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "apt"; }
  [[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request) override {
    return apt::resolve(context, request);
  }

 protected:
  [[nodiscard]] std::string_view file_suffix() const noexcept override { return kSuffix; }

  // No service is started by package scripts.
  [[nodiscard]] std::vector<TreeWorker::PlacedFile> files_for_installing() const override {
    return {{"usr/sbin/policy-rc.d", std::string(kPolicyRcD), 0755}};
  }

  void install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                     const std::vector<std::string>& paths) override {
    DpkgProgress progress(system.context().progress, packages.size());
    system.context().progress.step("unpack", counted(packages.size(), "package"));
    unpack(system, progress, packages, in_unpack_order(system, paths));
    system.context().progress.step("configure", counted(packages.size(), "package"));
    require(system, "dpkg cannot configure the packages",
            step(system, progress, dpkg({"--configure", "--pending"})));
  }

  [[nodiscard]] std::vector<InstalledPackage> installed(BaseSystem& system) override {
    const RunResult listed =
        system.run({.argv = {"dpkg-query", "-W", "-f",
                             R"(${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n)"}});
    check_step(listed, ErrorCode::External, "dpkg cannot list what is installed");
    return parse_installed(listed.out);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> finish(
      BaseSystem& system, const std::vector<LockedPackage>& packages) override {
    const std::string base =
        try_read_file_at(system.base(), std::string(kExtendedStates), kMaxStates).value_or("");
    return {{std::string(kExtendedStates), extended_states(base, packages, host_architecture())}};
  }

 private:
  /// As apt would: what a package depends on before it. dpkg keeps a directory that is there where a package
  /// has a symlink, and refuses the directory's package if the symlink came first.
  static std::vector<std::string> in_unpack_order(BaseSystem& system, const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) files.push_back(path.substr(kInsidePackages.size() + 1));
    BuildContext& context = system.context();
    std::vector<Stanza> controls;
    for (const std::string& text :
         system.worker().deb_controls(fmt::format("{}/{}", context.operation.staging_path(), kStagedPackages),
                                      files, context.cancel)) {
      std::vector<Stanza> stanzas = parse_stanzas(text);
      // What has no fields depends on nothing; dpkg says what is wrong with it.
      controls.push_back(stanzas.empty() ? Stanza() : std::move(stanzas.front()));
    }
    std::vector<std::string> ordered;
    for (const std::size_t index : unpack_order(controls)) ordered.push_back(paths[index]);
    return ordered;
  }

  /// All at once, which is what makes it fast. --force-depends for this only: a closure is complete, but
  /// Pre-Depends may be unpacked later. A few packages have a preinst that really needs theirs; these are
  /// unpacked when everything else is configured as far as it can be, and what needs those after them.
  /// --auto-deconfigure, as apt does: what breaks a package of the base may come before that one's upgrade.
  static void unpack(BaseSystem& system, DpkgProgress& progress, const std::vector<LockedPackage>& packages,
                     const std::vector<std::string>& paths) {
    const auto unpack_all = [&](std::vector<std::string> action) {
      std::vector<std::string> argv = dpkg(std::move(action));
      argv.insert(argv.end(), paths.begin(), paths.end());
      return step(system, progress, std::move(argv));
    };
    RunResult result =
        unpack_all({"--force-depends", "--auto-deconfigure", "--abort-after=100000", "--unpack"});
    for (std::size_t before = 0; result.status != 0;) {
      const std::size_t unpacked = count_unpacked(system, packages);
      if (unpacked <= before)
        throw_install_failed(system.context(), "dpkg cannot unpack the packages", result);
      before = unpacked;
      // Packages that depend on those stay unconfigured, which is no reason to stop.
      static_cast<void>(step(system, progress, dpkg({"--abort-after=100000", "--configure", "--pending"})));
      result = unpack_all({"--force-depends", "--auto-deconfigure", "--skip-same-version",
                           "--abort-after=100000", "--unpack"});
    }
  }

  /// Those of `packages` whose files are there. The version tells: one of the base may be there before its
  /// upgrade.
  static std::size_t count_unpacked(BaseSystem& system, const std::vector<LockedPackage>& packages) {
    const RunResult listed =
        system.run({.argv = {"dpkg-query", "-W", "-f", R"(${db:Status-Status}\t${Package}\t${Version}\n)"}});
    check_step(listed, ErrorCode::External, "dpkg cannot list what is installed");
    std::set<std::string> wanted;
    for (const LockedPackage& package : packages)
      wanted.insert(fmt::format("{}\t{}", package.name, package.version));
    std::size_t count = 0;
    for_each_line(listed.out, [&](std::string_view line) {
      const std::size_t tab = line.find('\t');
      if (tab == std::string_view::npos) return;
      const std::string_view status = line.substr(0, tab);
      if (status == "not-installed" || status == "config-files" || status == "half-installed") return;
      if (wanted.contains(std::string(line.substr(tab + 1)))) ++count;
    });
    return count;
  }

  static void require(BaseSystem& system, std::string_view what, const RunResult& result) {
    if (result.status != 0) throw_install_failed(system.context(), what, result);
  }

  static RunResult step(BaseSystem& system, DpkgProgress& progress, std::vector<std::string> argv) {
    const StatusPipe status(progress);
    argv.insert(argv.begin() + 1, {"--status-fd", std::to_string(status.number())});
    BaseSystem::Program program = installing(system, std::move(argv));
    program.environment = install_environment();
    program.kept_fd = status.number();
    return system.run(program);
  }
};

}  // namespace

std::string extended_states(std::string_view base_states, const std::vector<LockedPackage>& packages,
                            std::string_view architecture) {
  // Name and architecture -> automatically installed. apt files "all" under the native architecture.
  std::map<std::pair<std::string, std::string>, bool> automatic;
  for (const Stanza& stanza : parse_stanzas(base_states)) {
    automatic[{std::string(stanza.get("Package")), std::string(stanza.get("Architecture"))}] =
        stanza.get("Auto-Installed") == "1";
  }
  for (const LockedPackage& package : packages) {
    const std::string arch(package.arch == "all" ? architecture : std::string_view(package.arch));
    automatic[{package.name, arch}] = !package.requested;
  }
  std::string text;
  for (const auto& [key, is_automatic] : automatic) {
    if (is_automatic)
      text += fmt::format("Package: {}\nArchitecture: {}\nAuto-Installed: 1\n\n", key.first, key.second);
  }
  return text;
}

std::unique_ptr<PackageManager> make_manager() { return std::make_unique<AptManager>(); }

}  // namespace karapace::runtime::apt
