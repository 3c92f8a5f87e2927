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

}  // namespace

void Engine::Impl::ensure_trees(const std::vector<std::string>& layers, std::string_view ownership_name) {
  const UniqueFd trees = layout->trees();
  const Ownership ownership = ownership_name == "mapped" ? Ownership::Mapped : Ownership::Flat;
  for (const std::string& digest : layers) {
    if (exists_at(trees, digest)) continue;
    // gc must not take the half of a tree for rubbish.
    const auto shared = layout->lock_shared([&] { wait_note("a store-wide operation"); });
    runtime::TreeWorker(*layout, ownership).ensure_tree(Digest::parse(digest), progress, cancel);
  }
}

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
                fmt::format("karapace unarchive {}", record.short_id));
  }
  impl_->ensure_trees(store::layer_stack(record), record.ownership);

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
