// SPDX-License-Identifier: Apache-2.0
// dpkg of the base, in the overlay of an installation.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "karapace/base/subprocess.hpp"
#include "packages/apt_output.hpp"
#include "packages/base_system.hpp"

namespace karapace::runtime::apt {

/// What is in its database. Throws External.
[[nodiscard]] std::vector<PackageState> package_states(BaseSystem& system);

/// Tells the sink of the build how far it is: each package is unpacked once and configured once.
class Dpkg {
 public:
  /// `packages` is how many are to be installed. `system` outlives this.
  Dpkg(BaseSystem& system, std::size_t packages) : system_(system), total_(2 * packages) {}

  /// Runs `dpkg ACTION...` without asking anybody anything. Its status may be another than 0.
  [[nodiscard]] RunResult run(std::vector<std::string> action);

 private:
  void count(std::string_view line);

  BaseSystem& system_;
  std::size_t done_ = 0;
  std::size_t total_;
};

}  // namespace karapace::runtime::apt
