// SPDX-License-Identifier: Apache-2.0
#include "karapace/core/engine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "impl.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/no_store.hpp"

namespace karapace::core {

std::string directory_of(const std::string& absolute) {
  return std::filesystem::path(absolute).parent_path().string();
}

void require_owner(const store::StoreLayout& layout, uid_t user) {
  const uid_t owner = stat_fd(layout.store()).st_uid;
  if (owner == user) return;
  throw Error(ErrorCode::PermissionDenied,
              fmt::format("the store {} belongs to user {}, and you are user {}",
                          printable(layout.root_path()), owner, user),
              "run this as its owner, who could not read what you write there, or use a store of your own "
              "(--store)");
}

bool Engine::Impl::has_store() const {
  if (!layout && store::why_no_store(root) != store::NoStore::NotYet) store::throw_no_store(root);
  return layout.has_value();
}

store::StoreLayout& Engine::Impl::open() {
  if (!has_store()) {
    throw Error(ErrorCode::NotFound, fmt::format("there is no store at {}", root),
                "build an environment first: karapace build");
  }
  return *layout;
}

store::StoreLayout& Engine::Impl::open_or_create() {
  KARAPACE_ASSERT(access == Access::Write);
  if (!layout) layout = store::StoreLayout::open_or_create(root);
  return *layout;
}

std::vector<std::string> Engine::Impl::recover() {
  if (!layout) return {};
  auto report = store::recover(*layout, tree_remover(), switch_finisher());
  for (const auto& name : report.set_aside) {
    progress.note(fmt::format("a damaged journal entry was set aside: store/wal/corrupt/{}", name));
  }
  return std::move(report.obstacles);
}

store::TreeRemover Engine::Impl::tree_remover() const {
  return [&store = *layout](const std::string& relative) { runtime::remove_tree_any_owner(store, relative); };
}

store::SwitchFinisher Engine::Impl::switch_finisher() const {
  return [&store = *layout](const std::string& op_id, bool flat) {
    runtime::finish_switch_any_owner(store, op_id, flat);
  };
}

void Engine::Impl::wait_note(std::string_view whom) const {
  progress.note(fmt::format("waiting for {}", whom));
}

Engine::Engine(std::string store_root, Access access, ProgressSink& progress, CancelToken& cancel)
    : impl_(new Impl{std::move(store_root), access, progress, cancel, std::nullopt,
                     std::chrono::steady_clock::now()}) {
  impl_->layout = store::StoreLayout::open_existing(impl_->root);
  if (access != Access::Write || !impl_->layout) return;
  require_owner(*impl_->layout, ::geteuid());
  impl_->layout->require_one_file_system();
  impl_->recover();
}

Engine::~Engine() = default;

const store::StoreLayout& Engine::store() const { return impl_->open(); }

EnvironmentView make_view(const store::StoreLayout& layout, store::EnvRecord record) {
  EnvironmentView view;
  view.state = record.state;
  if (record.state == store::EnvState::Built || record.state == store::EnvState::Frozen) {
    const auto status = runtime::session_status(layout, record.env_id);
    if (status.running) {
      view.state = store::EnvState::Running;
      view.holder_pid = status.holder_pid;
    }
  }
  view.record = std::move(record);
  return view;
}

EnvironmentList Engine::list() const {
  EnvironmentList result;
  if (!impl_->has_store()) return result;
  const store::MetadataStore metadata(*impl_->layout);
  auto records = metadata.list();
  result.bad = std::move(records.bad);
  result.environments.reserve(records.records.size());
  for (auto& record : records.records)
    result.environments.push_back(make_view(*impl_->layout, std::move(record)));
  return result;
}

}  // namespace karapace::core
