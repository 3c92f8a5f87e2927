// SPDX-License-Identifier: Apache-2.0
// Downloads from registries that want to know who asks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/remote/fetch.hpp"
#include "karapace/remote/oci_registry.hpp"
#include "karapace/remote/web.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::core {

class RegistryAccess {
 public:
  explicit RegistryAccess(CancelToken& cancel) : cancel_(cancel) {}

  [[nodiscard]] remote::Web& web();
  /// The repository of a reference, with the credentials that are kept for it.
  [[nodiscard]] remote::oci::Registry& registry(const std::string& reference);

  /// remote::fetch_all. Files of the base that come from its own registry are asked for with what that
  /// demands. `base_image` is the manifest's, and not the lock's claim: only it decides who gets to see a
  /// token.
  remote::FetchReport fetch(const store::StoreLayout& layout, const std::string& base_image,
                            const BasePin& pin, std::vector<remote::Download> downloads,
                            ProgressSink& progress);

 private:
  CancelToken& cancel_;
  std::unique_ptr<remote::Web> web_;
  std::string reference_;
  std::unique_ptr<remote::oci::Registry> registry_;
};

}  // namespace karapace::core
