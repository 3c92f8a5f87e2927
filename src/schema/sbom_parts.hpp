// SPDX-License-Identifier: Apache-2.0
// What both forms of a bill of materials are made from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karapace/schema/lock_file.hpp"

namespace karapace {

/// Everything but letters, digits, "-._~" and `also_plain` as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view also_plain);

/// A package or a file of the base.
struct SbomPart {
  std::string id;  // unique in the document; letters, digits, "." and "-"
  std::string name;
  std::string version;  // may be empty
  std::string purl;     // empty: none
  std::string url;      // empty: not known
  std::string sha256;
  bool is_file = false;  // of the base: a layer, a root file system
};

struct SbomParts {
  std::string environment_id = "Environment";
  std::string environment_name;  // "karapace-<short id>"
  std::string base_id = "Base";
  std::string base_name;     // the manifest's image
  std::string base_version;  // what the lock pins: may be empty
  std::string base_url;      // tar by URL, or empty
  std::string base_sha256;   // of the archive or manifest, or empty
  std::vector<SbomPart> base;
  std::vector<SbomPart> packages;
};
[[nodiscard]] SbomParts sbom_parts(const LockFile& lock);

}  // namespace karapace
