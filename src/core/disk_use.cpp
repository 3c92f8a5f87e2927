// SPDX-License-Identifier: Apache-2.0
// What environments occupy: the store counts; which artefacts belong to an environment only its lock tells.

#include "impl.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {

store::InsideSizes inside_sizes(const store::StoreLayout& layout, CancelToken& cancel) {
  return [&](const std::string& path) {
    return runtime::TreeWorker(layout, Ownership::Mapped).tree_sizes(path, cancel);
  };
}

std::set<std::string> locked_packages(const store::StoreLayout& layout, const store::EnvRecord& record) {
  std::set<std::string> packages;
  if (record.lock_hash.empty()) return packages;
  const LockFile lock =
      parse_lock(store::ObjectStore(layout).load(Digest::parse(record.lock_hash), kMaxLockBytes), "lock");
  if (!lock.base.sha256.empty()) packages.insert(lock.base.sha256);
  for (const LockedPackage& package : lock.base.packages) packages.insert(package.sha256);
  for (const LockedPackage& package : lock.resolved_packages) packages.insert(package.sha256);
  return packages;
}

std::map<std::string, std::optional<store::DiskUse>> Engine::disk_use(const std::string& only) const {
  if (!impl_->layout) return {};
  const store::StoreLayout& layout = *impl_->layout;
  store::DiskUseQuestion question;
  question.only = only;
  question.inside = inside_sizes(layout, impl_->cancel);
  std::map<std::string, std::set<std::string>> by_lock;
  for (const store::EnvRecord& record : store::MetadataStore(layout).list().records) {
    try {
      auto known = by_lock.find(record.lock_hash);
      if (known == by_lock.end())
        known = by_lock.emplace(record.lock_hash, locked_packages(layout, record)).first;
      question.packages[record.env_id] = known->second;
    } catch (const Error&) {
      question.all_packages = true;
    }
  }
  return store::measure_disk_use(layout, question, impl_->cancel);
}

}  // namespace karapace::core
