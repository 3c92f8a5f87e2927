// SPDX-License-Identifier: Apache-2.0
// OCI layouts: a directory with index.json and blobs, or a tar archive of one.
#pragma once

#include <optional>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/progress.hpp"
#include "karapace/remote/oci_registry.hpp"
#include "karapace/runtime/image.hpp"
#include "karapace/schema/lock_file.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/wal.hpp"

namespace karapace::core {

/// Nothing in it is trusted, and it may change at any time: every byte is copied before it is checked, or
/// read once.
class LocalImage : public remote::oci::DocumentSource {
 public:
  /// An archive is unpacked into the staging directory of `operation`.
  LocalImage(const store::StoreLayout& layout, const store::Operation& operation,
             const runtime::ImageReference& image, ProgressSink& progress, CancelToken& cancel);

  /// The image of the reference's tag for Linux on `architecture`.
  [[nodiscard]] remote::oci::ResolvedImage resolve(const std::string& architecture);
  /// Copies the file's blob into store/packages. Throws InvalidInput if it is not what `file` says.
  void import(const LockedFile& file);

  [[nodiscard]] Document manifest(const std::string& sha256) override;
  [[nodiscard]] Document config(const std::string& sha256) override;

 private:
  [[nodiscard]] Document read_blob(const std::string& sha256, std::size_t limit);
  [[nodiscard]] UniqueFd open_blob(const std::string& sha256) const;
  [[noreturn]] void refuse(std::string_view reason, std::string fix = {}) const;

  const store::StoreLayout& layout_;
  const store::Operation& operation_;
  std::string name_;
  std::string tag_;
  ProgressSink& progress_;
  CancelToken& cancel_;
  UniqueFd directory_;
};

}  // namespace karapace::core
