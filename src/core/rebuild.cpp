// SPDX-License-Identifier: Apache-2.0
// rebuild: the new environment is complete before anything of the old one is touched.

#include "build.hpp"
#include "karapace/core/engine.hpp"

namespace karapace::core {

BuildResult Engine::rebuild(const std::string& manifest_path, const BuildOptions& options) {
  const store::StoreLayout* layout = impl_->layout ? &*impl_->layout : nullptr;
  BuildInputs inputs = read_build_inputs(manifest_path, options, impl_->root, layout);
  inputs.replaces = true;
  std::optional<store::EnvRecord> old;
  if (layout != nullptr) old = find_predecessor(*layout, inputs, {});
  if (old) require_not_running(make_view(*layout, *old), "rebuild");

  if (old && !options.name && old->name) {
    inputs.name = old->name;
    inputs.name_is_default = false;
  }
  return Build(*impl_, options, std::move(inputs)).run();
}

}  // namespace karapace::core
