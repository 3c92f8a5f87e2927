// SPDX-License-Identifier: Apache-2.0
// Running programs in namespaces of their own: build steps, tree work, mmdebstrap. Sessions are in
// session.hpp.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::runtime {

/// Throws Unsupported if so few files may be open that no sandbox and no session can be started.
void require_open_files();

/// Absolute path of an internal program: beside this program, else ../libexec/karapace. Throws NotFound.
[[nodiscard]] std::string find_helper(std::string_view name);

/// Id maps for the calling user. Mapped without ranges or without newuidmap throws Unsupported, naming the
/// fix and offering flat.
[[nodiscard]] IdMaps make_id_maps(Ownership ownership);

/// Plans for build sandboxes: pure apart from the id maps.
struct BuildSandbox {
  Ownership ownership = Ownership::Flat;
  std::optional<OverlayRoot> root = {};  // nothing: the host's root
  bool network = false;
  std::vector<MountStep> extra_mounts = {};
  std::vector<std::string> argv = {};
  std::vector<std::pair<std::string, std::string>> environment = {};  // exactly this
  std::vector<std::string> working_directories = {"/"};
};
/// uid 0 inside, all capabilities of the user namespace, ownership emulated if flat, /proc, private /dev /tmp
/// /run (overlay root), hostname "karapace".
[[nodiscard]] LaunchPlan make_build_plan(const BuildSandbox& sandbox);

/// Runs an Ephemeral plan to its end and captures its output (see base `run`). `store` gives the root of
/// overlay paths.
[[nodiscard]] RunResult run_sandboxed(const store::StoreLayout& store, const LaunchPlan& plan,
                                      std::string_view input, const RunLimits& limits, CancelToken& cancel,
                                      const std::function<void(std::string_view)>& on_stderr_line = {});
RunResult run_sandboxed_checked(const store::StoreLayout& store, const LaunchPlan& plan,
                                std::string_view input, const RunLimits& limits, CancelToken& cancel,
                                const std::function<void(std::string_view)>& on_stderr_line = {});

}  // namespace karapace::runtime
