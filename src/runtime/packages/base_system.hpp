// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"
#include "karapace/runtime/worker.hpp"

namespace karapace::runtime {

/// Where an operation's staging directory, or a part of it, appears inside.
inline constexpr std::string_view kInsideDirectory = "/run/karapace";
/// Where the package files appear that are to be installed.
inline constexpr std::string_view kInsidePackages = "/run/packages";

/// HOME, PATH, locale, time zone, SOURCE_DATE_EPOCH, seeds of hash tables: nothing of the host.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> base_environment();
/// For what talks to the network: the above and the caller's proxy variables.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> network_environment();
/// The host's, for an overlay in which programs look up names. Empty if there is none.
[[nodiscard]] std::string host_resolv_conf();

/// A base layer with an overlay of its own on top, in which programs of the base run as root. What they
/// change is thrown away with the operation, or sealed as a layer.
class BaseSystem {
 public:
  /// `name` is that of the upper directory in the operation's staging directory. Lays out the base.
  BaseSystem(BuildContext& context, const Digest& base_layer, std::string name);

  /// Makes the upper directory with `files` in it. Once, before anything else.
  void prepare(const std::vector<TreeWorker::PlacedFile>& files);

  struct Program {
    std::vector<std::string> argv{};
    std::vector<std::pair<std::string, std::string>> environment = base_environment();
    bool network = false;
    std::vector<MountStep> mounts{};
    std::string input{};
    int kept_fd = -1;  // stays open under its number
    std::chrono::milliseconds deadline = RunLimits{}.deadline;
    std::function<void(std::string_view)> on_stderr_line{};
  };
  [[nodiscard]] RunResult run(const Program& program);

  /// A directory below staging as a mount for a program. `name` may be empty: all of staging.
  [[nodiscard]] MountStep staged(std::string_view name, std::string_view target, bool read_only) const;

  /// Normalises and seals the upper directory. See SealRequest::files.
  [[nodiscard]] Digest seal(std::vector<std::pair<std::string, std::string>> files);

  [[nodiscard]] BuildContext& context() noexcept { return context_; }
  [[nodiscard]] TreeWorker& worker() noexcept { return worker_; }
  /// The tree of the base.
  [[nodiscard]] UniqueFd base() const;

 private:
  BuildContext& context_;
  TreeWorker worker_;
  std::string name_;
  std::vector<std::string> lowers_;
};

}  // namespace karapace::runtime
