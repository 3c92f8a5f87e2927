// SPDX-License-Identifier: Apache-2.0
// What inspect and list tell beyond the record: the store counts what is on disk; which artefacts belong to
// an environment, and which layers it should have, only its lock tells.

#include "impl.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

bool has_layers_of(const LockFile& lock, const store::EnvRecord& record) {
  std::vector<std::string> dependencies;
  if (!lock.dependency_layer.empty()) dependencies.push_back(lock.dependency_layer);
  return record.base_layer == lock.base_image_digest && record.dependency_layers == dependencies;
}

}  // namespace

store::InsideSizes inside_sizes(const store::StoreLayout& layout, CancelToken& cancel) {
  return [&](const std::string& path) {
    return runtime::TreeWorker(layout, Ownership::Mapped).tree_sizes(path, cancel);
  };
}

std::optional<LockFile> lock_of(const store::StoreLayout& layout, const store::EnvRecord& record) {
  if (record.lock_hash.empty()) return std::nullopt;
  return parse_lock(store::ObjectStore(layout).load(Digest::parse(record.lock_hash), kMaxLockBytes), "lock");
}

std::set<std::string> packages_of(const LockFile& lock) {
  std::set<std::string> packages;
  if (!lock.base.sha256.empty()) packages.insert(lock.base.sha256);
  for (const LockedPackage& package : lock.base.packages) packages.insert(package.sha256);
  for (const LockedFile& file : lock.base.files) packages.insert(file.sha256);
  for (const LockedPackage& package : lock.resolved_packages) packages.insert(package.sha256);
  return packages;
}

std::optional<bool> follows_lock(const store::StoreLayout& layout, const store::EnvRecord& record) {
  try {
    const std::optional<LockFile> lock = lock_of(layout, record);
    if (lock) return has_layers_of(*lock, record);
  } catch (const Error&) {
    // verify-store tells what is wrong with it.
  }
  return std::nullopt;
}

std::map<std::string, EnvironmentDetails> Engine::details(const std::string& only) const {
  if (!impl_->has_store()) return {};
  const store::StoreLayout& layout = *impl_->layout;
  std::map<std::string, EnvironmentDetails> result;
  store::DiskUseQuestion question;
  question.only = only;
  question.inside = inside_sizes(layout, impl_->cancel);
  // Environments that differ in nothing but their policy have one lock each, but mostly there are few.
  std::map<std::string, std::optional<LockFile>> locks;
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      auto lock = locks.find(record.lock_hash);
      if (lock == locks.end()) lock = locks.emplace(record.lock_hash, lock_of(layout, record)).first;
      if (!lock->second) continue;
      question.packages[record.env_id] = packages_of(*lock->second);
      result[record.env_id].follows_lock = has_layers_of(*lock->second, record);
    } catch (const Error&) {
      question.all_packages = true;
    }
  }
  for (auto& [env_id, use] : store::measure_disk_use(layout, question, impl_->cancel))
    result[env_id].use = use;
  return result;
}

}  // namespace karapace::core
