// SPDX-License-Identifier: Apache-2.0
// From what the user typed to a lock: a file's, or the one that an environment was built from.

#include <fmt/format.h>

#include "impl.hpp"
#include "karapace/base/json.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/schema/lock_diff.hpp"

namespace karapace::core {
namespace {

LockFile verified(LockFile lock, const std::string& name) {
  verify_integrity(lock, name);
  return lock;
}

LockFile built_lock(const store::StoreLayout& layout, const store::EnvRecord& record) {
  auto lock = lock_of(layout, record);
  if (!lock) {
    throw Error(ErrorCode::NotFound,
                fmt::format("environment {} was never resolved: it has no lock", record.short_id),
                "build it: karapace build");
  }
  return verified(std::move(*lock), fmt::format("lock of {}", record.short_id));
}

}  // namespace

std::string_view to_string(LockSource::Kind kind) noexcept {
  switch (kind) {
    case LockSource::Kind::Environment:
      return "environment";
    case LockSource::Kind::Lock:
      return "lock";
    case LockSource::Kind::Manifest:
      break;
  }
  return "manifest";
}

LockSource Engine::find_lock(std::string_view reference) const {
  const std::string path(reference);
  if (reference.ends_with(".lock")) {
    auto lock = load_lock(path);
    if (!lock) {
      throw Error(ErrorCode::NotFound, fmt::format("there is no lock file {}", printable(path)),
                  "karapace build writes it");
    }
    return {LockSource::Kind::Lock, path, verified(std::move(*lock), path)};
  }
  if (reference.ends_with(".toml") || reference.find('/') != std::string_view::npos)
    return {LockSource::Kind::Manifest, path, unresolved_lock(load_manifest(path))};
  const EnvironmentView environment = find_environment(reference);
  const store::EnvRecord& record = environment.record;
  return {LockSource::Kind::Environment, record.name.value_or(record.short_id),
          built_lock(impl_->open(), record)};
}

}  // namespace karapace::core
