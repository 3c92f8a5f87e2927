// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

/// The control file of a Debian package: ar archive -> control.tar.* -> control. Throws InvalidInput.
[[nodiscard]] std::string read_deb_control(FdRef deb);

}  // namespace karapace::worker
