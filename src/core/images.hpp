// SPDX-License-Identifier: Apache-2.0
// Images that somebody else made: in a registry, in an OCI layout, on an image server. What they are now
// becomes a pin; what a pin names becomes files in store/packages.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/wal.hpp"
#include "local_image.hpp"
#include "registry_access.hpp"

namespace karapace::core {

/// What can be said of an image without looking for it. Throws InvalidInput for a name that none can have.
void check_image_name(const runtime::ImageReference& image);
/// True if whoever reads the manifest knows which bytes are meant.
[[nodiscard]] bool is_pinned_by_name(const runtime::ImageReference& image);
/// No name can say which bytes are meant, only a lock.
[[nodiscard]] bool is_pinned_by_lock_alone(const runtime::ImageReference& image);

/// A local image need not be there any more once the store has its files: what it is then. Nothing: it must.
[[nodiscard]] std::optional<BaseProvider> provider_if_kept(const BasePin& pin,
                                                           const store::StoreLayout* layout);

class Images : public runtime::ImageFinder {
 public:
  /// All of them outlive this. `operation` gives room for what is unpacked on the way.
  Images(const store::StoreLayout& layout, const store::Operation& operation, std::string architecture,
         ProgressSink& progress, CancelToken& cancel);

  [[nodiscard]] BasePin find(const runtime::ImageReference& image) override;

  /// Brings files without a URL into the store, from the local image.
  void import(const runtime::ImageReference& image, const BasePin& pin);
  [[nodiscard]] RegistryAccess& registries() noexcept { return registries_; }
  /// The layers that a lock lists are those of the manifest that it names. All files are in the store.
  void check(const BasePin& pin, const std::string& image_name) const;

 private:
  [[nodiscard]] BasePin find_on_server(const runtime::ImageReference& image);
  [[nodiscard]] LocalImage& local(const runtime::ImageReference& image);

  const store::StoreLayout& layout_;
  const store::Operation& operation_;
  std::string architecture_;
  ProgressSink& progress_;
  CancelToken& cancel_;
  RegistryAccess registries_;
  std::unique_ptr<LocalImage> local_;
};

}  // namespace karapace::core
