// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <thread>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "packages/apt.hpp"
#include "packages/apt_workspace.hpp"
#include "seal_layer.hpp"

namespace karapace::runtime::apt {
namespace {

constexpr std::string_view kOverlay = "install";
constexpr std::string_view kFiles = "debs";
constexpr std::string_view kInsideFiles = "/run/debs";
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

class Installer {
 public:
  Installer(BuildContext& context, const Digest& base_layer, const std::vector<LockedPackage>& packages)
      : context_(context),
        packages_(packages),
        worker_(context.store, context.manifest.ownership),
        lowers_{"trees/" + base_layer.hex()},
        progress_(context.progress, packages.size()) {
    worker_.ensure_tree(base_layer, context.progress, context.cancel);
  }

  Digest run() {
    link_packages(context_, packages_, std::string(kFiles));
    // Names that services and scripts look up, and no service started: only for the installation, the
    // normaliser takes them out again.
    worker_.prepare_overlay(
        context_.operation.staging_path(), std::string(kOverlay), lowers_,
        {{"etc/hostname", "karapace\n", 0644},
         {"etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tkarapace\n::1\tlocalhost\n", 0644},
         {"usr/sbin/policy-rc.d", std::string(kPolicyRcD), 0755}},
        context_.cancel);
    unpack();
    context_.progress.step("configure", fmt::format("{} packages", packages_.size()));
    require("dpkg cannot configure the packages", run(dpkg({"--configure", "--pending"})));
    return seal_layer(context_,
                      {.staging_path = context_.operation.staging_path(),
                       .name = std::string(kOverlay),
                       .lowers = lowers_,
                       .normalise = Normalise::AptLayer,
                       .kind = store::LayerKind::Dependency,
                       .files = {{std::string(kExtendedStates),
                                  extended_states(base_states(), packages_, host_architecture())}}});
  }

 private:
  static std::vector<std::string> dpkg(std::vector<std::string> action) {
    std::vector<std::string> argv = {"dpkg", "--force-unsafe-io", "--force-confold", "--force-confdef"};
    argv.insert(argv.end(), action.begin(), action.end());
    return argv;
  }

  /// All at once, which is what makes it fast. --force-depends for this only: a closure is complete, but
  /// Pre-Depends may be unpacked later. A few packages have a preinst that really needs theirs; these are
  /// unpacked when everything else is configured as far as it can be.
  void unpack() {
    std::vector<std::string> files;
    for (const LockedPackage& package : packages_)
      files.push_back(fmt::format("{}/{}", kInsideFiles, file_name_of(package)));
    std::ranges::sort(files);
    const auto unpack_all = [&](std::vector<std::string> action) {
      std::vector<std::string> argv = dpkg(std::move(action));
      argv.insert(argv.end(), files.begin(), files.end());
      return run(std::move(argv));
    };
    if (unpack_all({"--force-depends", "--abort-after=100000", "--unpack"}).status == 0) return;
    // Packages that depend on those stay unconfigured, which is no reason to stop.
    static_cast<void>(run(dpkg({"--abort-after=100000", "--configure", "--pending"})));
    require("dpkg cannot unpack the packages",
            unpack_all({"--force-depends", "--skip-same-version", "--unpack"}));
  }

  void require(std::string_view what, const RunResult& result) {
    if (result.status != 0) throw_install_failed(context_, what, result);
  }

  RunResult run(std::vector<std::string> argv) {
    BuildSandbox sandbox;
    sandbox.ownership = context_.manifest.ownership;
    const std::string overlay = fmt::format("{}/{}", context_.operation.staging_path(), kOverlay);
    sandbox.root = OverlayRoot{lowers_, overlay, overlay + ".work"};
    MountStep files;
    files.source = fmt::format("{}/{}", context_.operation.staging_path(), kFiles);
    files.target = kInsideFiles;
    files.read_only = true;
    files.create_target = true;
    sandbox.extra_mounts.push_back(std::move(files));
    const StatusPipe status(progress_);
    argv.insert(argv.begin() + 1, {"--status-fd", std::to_string(status.number())});
    sandbox.argv = std::move(argv);
    sandbox.environment = install_environment();
    LaunchPlan plan = make_build_plan(sandbox);
    plan.process.keep_fds.push_back(status.number());
    return run_sandboxed(context_.store, plan, {}, {}, context_.cancel);
  }

  std::string base_states() const {
    const UniqueFd base = context_.store.open_dir(lowers_.front());
    return try_read_file_at(base, std::string(kExtendedStates), kMaxStates).value_or("");
  }

  BuildContext& context_;
  const std::vector<LockedPackage>& packages_;
  TreeWorker worker_;
  std::vector<std::string> lowers_;
  DpkgProgress progress_;
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

Digest install(BuildContext& context, const Digest& base_layer, const std::vector<LockedPackage>& packages) {
  context.progress.step("unpack", fmt::format("{} packages", packages.size()));
  return Installer(context, base_layer, packages).run();
}

}  // namespace karapace::runtime::apt
