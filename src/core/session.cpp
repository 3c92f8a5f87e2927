// SPDX-License-Identifier: Apache-2.0
// enter and exec: from a record to a session that is ready to start. This is the path that must take
// milliseconds.

#include <fmt/format.h>
#include <unistd.h>

#include "impl.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

std::vector<std::pair<std::string, std::string>> caller_environment() {
  std::vector<std::pair<std::string, std::string>> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (const auto equals = text.find('='); equals != std::string_view::npos && equals > 0) {
      result.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return result;
}

std::string caller_working_directory() {
  char* const text = ::get_current_dir_name();  // may be gone: then there is nothing to translate
  if (text == nullptr) return {};
  std::string result(text);
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): get_current_dir_name(3) allocates with malloc
  return result;
}

/// Layers are laid out by build; a tree that somebody removed since is made again from its objects.
void ensure_trees(Engine::Impl& engine, const store::StoreLayout& layout, const store::EnvRecord& record) {
  const UniqueFd trees = layout.trees();
  const auto ensure = [&](const std::string& digest) {
    if (exists_at(trees, digest)) return;
    // gc must not take the half of a tree for rubbish.
    const auto shared = layout.lock_shared([&] { engine.wait_note("a store-wide operation"); });
    const Ownership ownership = record.ownership == "mapped" ? Ownership::Mapped : Ownership::Flat;
    runtime::TreeWorker(layout, ownership).ensure_tree(Digest::parse(digest), engine.progress, engine.cancel);
  };
  for (const auto& digest : store::layer_stack(record)) ensure(digest);
}

}  // namespace

runtime::PreparedSession Engine::prepare_session(const EnvironmentView& environment,
                                                 const SessionOptions& options) {
  const store::StoreLayout& layout = impl_->open();
  const store::EnvRecord& record = environment.record;
  if (record.state == store::EnvState::Defined) {
    throw Error(ErrorCode::Conflict, fmt::format("environment {} is not built yet", record.short_id),
                fmt::format("karapace build {}", record.manifest_path));
  }
  if (record.state == store::EnvState::Archived) {
    throw Error(ErrorCode::Conflict, fmt::format("environment {} is archived", record.short_id),
                "build its manifest again to use it");
  }
  ensure_trees(*impl_, layout, record);

  runtime::SessionRequest request;
  request.manifest =
      parse_manifest_canonical_json(store::ObjectStore(layout).load(Digest::parse(record.manifest_hash)));
  request.manifest_directory = directory_of(record.manifest_path);
  request.record = record;
  request.command = options.command;
  request.as_root = options.as_root;
  request.want_terminal = options.want_terminal;
  request.host_environment = caller_environment();
  request.host_working_directory = caller_working_directory();
  return runtime::make_backend(request.manifest.runtime_backend)->prepare(layout, request);
}

}  // namespace karapace::core
