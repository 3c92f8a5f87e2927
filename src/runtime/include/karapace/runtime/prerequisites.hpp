// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "karapace/schema/manifest.hpp"

namespace karapace::runtime {

enum class CheckStatus { Pass, Fail, Warn, Info };
struct Prerequisite {
  std::string name;  // "user_namespaces", "overlay", "mmdebstrap", "subordinate_ids", "newuidmap", ...
  CheckStatus status = CheckStatus::Pass;
  std::string message;  // what was found
  std::string fix;      // the exact knob or command; empty if it passes
};
/// Found out by doing (a scratch namespace, a scratch overlay with whiteout, opaque mark and xattr), not by
/// version numbers.
[[nodiscard]] std::vector<Prerequisite> check_prerequisites();

}  // namespace karapace::runtime
