// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {

/// The text of store/layers/<hash>.
[[nodiscard]] std::string make_layer_text(const LayerRecord& record);
/// In an open store/layers. CorruptError if it is damaged.
[[nodiscard]] std::optional<LayerRecord> find_layer(FdRef layers, const Digest& hash);

// A layer's name is the hash of its index. These attributes of its root directory are about the layer and not
// about its files; they keep apart what has the same files and must not be one tree.
/// The same files under other ids on the disk: a tree of root's files alone, flat and mapped.
inline constexpr std::string_view kOwnershipMark = "user.karapace.ownership";
/// The same files with other times than the layer that the store has already: the digest of the times.
inline constexpr std::string_view kTimesMark = "user.karapace.times";
[[nodiscard]] constexpr bool is_layer_mark(std::string_view xattr) noexcept {
  return xattr == kOwnershipMark || xattr == kTimesMark;
}

}  // namespace karapace::store
