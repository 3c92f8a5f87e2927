// SPDX-License-Identifier: Apache-2.0
// What a build is asked to do, and what may be kept of an earlier one. Nothing here writes or opens a socket.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "build.hpp"
#include "karapace/base/json.hpp"
#include "karapace/runtime/image.hpp"
#include "karapace/runtime/session.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

/// "dev.toml" -> "dev"; "project/karapace.toml" -> "project". Nothing if that is no valid name.
std::optional<std::string> default_name(const std::string& manifest_path) {
  const std::filesystem::path path(manifest_path);
  std::string stem = path.stem().string();
  if (stem == "karapace") stem = path.parent_path().filename().string();
  try {
    store::check_env_name(stem);
  } catch (const Error&) {
    return std::nullopt;
  }
  return stem;
}

void choose_name(BuildInputs& inputs, const BuildOptions& options, const store::StoreLayout* layout) {
  if (options.name) {
    store::check_env_name(*options.name);
    inputs.name = options.name;
  } else {
    inputs.name = default_name(inputs.manifest_path);
    inputs.name_is_default = true;
  }
  if (!inputs.name || layout == nullptr) return;
  // Seen now and not after minutes of building. An environment of the same manifest hands its name on.
  const auto owner = store::MetadataStore(*layout).find_by_name(*inputs.name);
  if (!owner || owner->manifest_path == inputs.manifest_path) return;
  if (inputs.name_is_default) {
    inputs.name.reset();
    return;
  }
  if (inputs.old_lock && owner->env_id == inputs.old_lock->env_id) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("name '{}' is already used by environment {}", *inputs.name, owner->short_id),
              fmt::format("choose another name, or: karapace rename {} OTHER", owner->short_id));
}

void check_lock_directory(const BuildInputs& inputs) {
  const std::string directory = directory_of(inputs.lock_path);
  if (::access(directory.c_str(), W_OK) == 0) return;
  throw Error(ErrorCode::InvalidInput, fmt::format("the lock file cannot be written to {}", directory),
              "build with --locked, or copy the manifest to a directory of yours");
}

std::set<std::string> wanted_names(const Manifest& manifest) {
  std::set<std::string> names(manifest.system_packages.begin(), manifest.system_packages.end());
  names.insert(manifest.gui_apps.begin(), manifest.gui_apps.end());
  return names;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

void refuse_if_locked(const BuildInputs& inputs, const IntentReport& intent) {
  if (intent.fits()) return;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{} does not fit the manifest: {}", inputs.lock_path, join(intent.reasons, "; ")),
              "bring the lock up to date with karapace build, and commit it");
}

void refuse_foreign(const BuildInputs& inputs, const IntentReport& intent) {
  throw Error(
      ErrorCode::InvalidInput,
      fmt::format("{} was made for another manifest: {}", inputs.lock_path, join(intent.reasons, "; ")),
      "restore the right lock file, or make a new one: karapace build --update");
}

void refuse_if_offline(const BuildInputs& inputs, const BuildPlan& plan) {
  const bool mock = inputs.manifest.runtime_backend == "mock";
  const bool base_online =
      plan.resolve_base && !mock &&
      runtime::parse_image(inputs.manifest.base_image, inputs.manifest_directory).is_remote();
  const bool packages_online = plan.resolve_packages && !plan.names.empty() && !mock;
  if (!base_online && !packages_online) return;
  std::vector<std::string> open;
  if (base_online) open.push_back(fmt::format("base.image '{}'", printable(inputs.manifest.base_image)));
  if (packages_online) {
    const auto names = inputs.old_lock ? compare_intent(*inputs.old_lock, inputs.manifest).added : plan.names;
    for (const auto& name : names.empty() ? plan.names : names)
      open.push_back(fmt::format("package '{}'", printable(name)));
  }
  throw Error(
      ErrorCode::InvalidInput,
      fmt::format("offline: {} must be resolved, and the lock file does not say how", join(open, ", ")),
      fmt::format("with network: karapace fetch {}; then commit the lock file",
                  printable(inputs.manifest_path, 4096)));
}

std::vector<LockedPackage> without(const std::vector<LockedPackage>& packages,
                                   const std::vector<std::string>& names) {
  std::vector<LockedPackage> kept;
  for (const auto& package : packages) {
    if (std::ranges::find(names, package.name) == names.end()) kept.push_back(package);
  }
  return kept;
}

void check_update_names(const BuildPlan& plan, const BuildOptions& options) {
  for (const auto& name : options.update_packages) {
    const bool known =
        std::ranges::find(plan.names, name) != plan.names.end() ||
        std::ranges::any_of(plan.lock.resolved_packages, [&](const auto& p) { return p.name == name; });
    if (!known) {
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("--update: package '{}' is not in this environment", printable(name)),
          "add it to system.packages of the manifest and build; --update=PKG,... is for packages that "
          "the manifest or the lock names");
    }
  }
}

}  // namespace

bool lacks_dependency_layer(const LockFile& lock) {
  return lock.dependency_layer.empty() && !lock.resolved_packages.empty();
}

Error unpinned_image(ErrorCode code, const Manifest& manifest, std::string fix) {
  return Error(code, fmt::format("base.image is not pinned: '{}'", printable(manifest.base_image)),
               std::move(fix));
}

BuildInputs read_build_inputs(const std::string& manifest_path, const BuildOptions& options,
                              const std::string& store_root, const store::StoreLayout* layout) {
  if (options.locked && (options.update || !options.update_packages.empty())) {
    throw Error(ErrorCode::InvalidInput, "--locked and --update contradict each other",
                "--locked keeps the lock as it is; leave it out to move packages");
  }
  if (options.offline && (options.update || !options.update_packages.empty())) {
    throw Error(ErrorCode::InvalidInput, "--offline and --update contradict each other",
                "only the network knows what is newer: update with network, then build --offline");
  }
  BuildInputs inputs;
  inputs.manifest_path = absolute_path(manifest_path);
  inputs.manifest_directory = directory_of(inputs.manifest_path);
  inputs.manifest = load_manifest(manifest_path);
  inputs.lock_path = lock_path_for(inputs.manifest_path);
  inputs.old_lock = load_lock(inputs.lock_path);
  if (inputs.old_lock) verify_integrity(*inputs.old_lock, inputs.lock_path);
  if (inputs.manifest.runtime_backend != "mock") {
    const bool keeps_base = inputs.old_lock && !options.update;
    const auto image =
        runtime::parse_image(inputs.manifest.base_image, inputs.manifest_directory,
                             keeps_base ? provider_if_kept(inputs.old_lock->base, layout) : std::nullopt);
    check_image_name(image);
    if (options.require_pinned_image && !is_pinned_by_name(image)) {
      throw unpinned_image(ErrorCode::InvalidInput, inputs.manifest,
                           is_pinned_by_lock_alone(image)
                               ? "no name says which bytes of it are meant, only a lock does: karapace build "
                                 "--locked without --require-pinned-image, or another image"
                               : kPinIt);
    }
  }
  runtime::check_mounts(inputs.manifest, inputs.manifest_directory, store_root);
  choose_name(inputs, options, layout);
  return inputs;
}

BuildInputs recorded_inputs(const store::StoreLayout& layout, const store::EnvRecord& record, LockFile lock) {
  BuildInputs inputs;
  inputs.manifest =
      parse_manifest_canonical_json(store::ObjectStore(layout).load(Digest::parse(record.manifest_hash)));
  inputs.manifest_path = record.manifest_path;
  inputs.manifest_directory = directory_of(record.manifest_path);
  inputs.lock_path = lock_path_for(record.manifest_path);
  inputs.old_lock = std::move(lock);
  return inputs;
}

BuildPlan plan_build(const BuildInputs& inputs, const BuildOptions& options) {
  BuildPlan plan;
  const auto names = wanted_names(inputs.manifest);
  plan.names.assign(names.begin(), names.end());
  if (inputs.old_lock) {
    const IntentReport intent = compare_intent(*inputs.old_lock, inputs.manifest);
    if (options.locked) refuse_if_locked(inputs, intent);
    if (intent.foreign && !options.update) refuse_foreign(inputs, intent);
    if (inputs.old_lock->arch != runtime::host_architecture() && !options.update) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} is for {}, this machine is {}", inputs.lock_path, inputs.old_lock->arch,
                              runtime::host_architecture()),
                  "make a lock for this machine: karapace build --update");
    }
    plan.resolve_base = options.update;
    plan.resolve_packages = options.update || intent.needs_resolution() || !options.update_packages.empty();
    if (!options.update) {
      plan.lock = *inputs.old_lock;
      plan.keep = without(inputs.old_lock->resolved_packages, options.update_packages);
    }
  } else {
    if (options.locked) {
      throw Error(ErrorCode::InvalidInput, fmt::format("there is no lock file {}", inputs.lock_path),
                  "make it with karapace build, and commit it");
    }
    plan.resolve_base = true;
    plan.resolve_packages = true;
  }
  check_update_names(plan, options);
  plan.lock.arch = runtime::host_architecture();
  apply_policy(plan.lock, inputs.manifest);
  if (options.offline) refuse_if_offline(inputs, plan);
  if (!options.locked && (plan.resolve_base || plan.resolve_packages)) check_lock_directory(inputs);
  return plan;
}

}  // namespace karapace::core
