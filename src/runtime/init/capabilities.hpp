// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace karapace::init {

enum class Capabilities {
  None,
  OnlyKill,
  /// Root in an environment: those of the user namespace without the ones that only ever concern the whole
  /// machine.
  Root,
};

/// Limits what any later exec can give (bounding set) and empties the ambient set. Needs CAP_SETPCAP, so it
/// comes first.
void bound_capabilities(Capabilities kept);
/// Effective and permitted; inheritable is always empty.
void set_capabilities(Capabilities kept);

}  // namespace karapace::init
