// SPDX-License-Identifier: Apache-2.0
// What the use cases of the engine share.
#pragma once

#include <optional>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::core {

struct Engine::Impl {
  std::string root;
  Access access;
  ProgressSink& progress;
  CancelToken& cancel;
  std::optional<store::StoreLayout> layout;  // nothing: there is no store yet

  /// Opens the store, making it if that is allowed. Throws NotFound without one.
  store::StoreLayout& open();
  store::StoreLayout& open_or_create();
  /// Undoes what dead operations left. Called at open and after an operation of ours failed.
  void recover();
  void wait_note(std::string_view whom) const;
  /// How staging and environments are removed, whoever owns the files in them.
  [[nodiscard]] store::TreeRemover tree_remover() const;
};

/// The record as it is now, with Running derived from live sessions.
[[nodiscard]] EnvironmentView make_view(const store::StoreLayout& layout, store::EnvRecord record);

/// Throws Conflict unless `state` is one of the states in which `verb` ("destroy", "rename") may happen.
void require_not_running(const EnvironmentView& environment, std::string_view verb);

/// Absolute form of a path the user typed, without resolving links.
[[nodiscard]] std::string absolute_path(const std::string& path);
[[nodiscard]] std::string directory_of(const std::string& absolute);

}  // namespace karapace::core
