// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace karapace::runtime {

enum class EmulateOwnership { No, Yes };

/// The system call filter of a command, as bytes of struct sock_filter[].
/// The kernel's keyrings know users but no namespaces: without it a program inside would find the keys of the
/// host's user.
/// With EmulateOwnership (for root in a flat environment): package scripts change owners and ids that do not
/// exist there, so these calls succeed without effect, and so does making device nodes.
[[nodiscard]] std::vector<std::uint8_t> make_system_call_filter(EmulateOwnership emulate);

}  // namespace karapace::runtime
