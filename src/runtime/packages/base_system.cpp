// SPDX-License-Identifier: Apache-2.0
#include "packages/base_system.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/store/layer.hpp"
#include "seal_layer.hpp"

namespace karapace::runtime {

std::vector<std::pair<std::string, std::string>> base_environment() {
  return {{"HOME", "/root"},
          {"LC_ALL", "C.UTF-8"},
          {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
          // Or scripts go through their tables in another order each time, and write what they find so.
          {"PERL_HASH_SEED", "0"},
          {"PYTHONHASHSEED", "0"},
          {"SOURCE_DATE_EPOCH", std::to_string(store::kSourceDateEpoch)},
          {"FORCE_SOURCE_DATE", "1"},  // or TeX puts the time of the day into its formats
          {"TERM", "dumb"},
          {"TZ", "UTC"}};
}

std::vector<std::pair<std::string, std::string>> network_environment() {
  auto environment = base_environment();
  for (auto& [name, value] : host_tool_environment()) {
    if (name.ends_with("_proxy") || name.ends_with("_PROXY")) environment.emplace_back(name, value);
  }
  return environment;
}

std::string host_resolv_conf() {
  try {
    return read_all(open_path("/etc/resolv.conf", O_RDONLY | O_NONBLOCK), 64 * 1024);
  } catch (const SystemError&) {
    return {};  // without one, names in /etc/hosts and addresses still work
  }
}

BaseSystem::BaseSystem(BuildContext& context, const Digest& base_layer, std::string name)
    : context_(context),
      worker_(context.store, context.manifest.ownership),
      name_(std::move(name)),
      lowers_{"trees/" + base_layer.hex()} {
  worker_.ensure_tree(base_layer, context.progress, context.cancel);
}

void BaseSystem::prepare(const std::vector<TreeWorker::PlacedFile>& files) {
  worker_.prepare_overlay(context_.operation.staging_path(), name_, lowers_, files, context_.cancel);
}

RunResult BaseSystem::run(const Program& program) {
  BuildSandbox sandbox;
  sandbox.ownership = context_.manifest.ownership;
  const std::string overlay = fmt::format("{}/{}", context_.operation.staging_path(), name_);
  sandbox.root = OverlayRoot{lowers_, overlay, overlay + ".work"};
  sandbox.network = program.network;
  sandbox.extra_mounts = program.mounts;
  sandbox.argv = program.argv;
  sandbox.environment = program.environment;
  LaunchPlan plan = make_build_plan(sandbox);
  if (program.kept_fd >= 0) plan.process.keep_fds.push_back(program.kept_fd);
  RunLimits limits;
  limits.deadline = program.deadline;
  return run_sandboxed(context_.store, plan, program.input, limits, context_.cancel, program.on_stderr_line);
}

MountStep BaseSystem::staged(std::string_view name, std::string_view target, bool read_only) const {
  MountStep step;
  step.source = context_.operation.staging_path();
  if (!name.empty()) step.source += fmt::format("/{}", name);
  step.target = target;
  step.read_only = read_only;
  step.create_target = true;
  return step;
}

Digest BaseSystem::seal(std::vector<std::pair<std::string, std::string>> files) {
  return seal_layer(context_, {.staging_path = context_.operation.staging_path(),
                               .name = name_,
                               .lowers = lowers_,
                               .normalise = Normalise::Layer,
                               .kind = store::LayerKind::Dependency,
                               .files = std::move(files)});
}

UniqueFd BaseSystem::base() const { return context_.store.open_dir(lowers_.front()); }

}  // namespace karapace::runtime
