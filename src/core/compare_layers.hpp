// SPDX-License-Identifier: Apache-2.0
// What tells apart two layers that should be the same one, and whose files these are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "karapace/core/engine.hpp"
#include "karapace/store/layout.hpp"

namespace karapace::core {

/// One side of a comparison. `index` is only borrowed.
struct ComparedLayer {
  std::string digest;
  std::string_view index;
};
/// Who knows whose files they are: layers of the store that lie upon each other, and what was installed in
/// them.
struct OwnerSources {
  std::vector<std::string> trees;
  std::vector<LockedPackage> packages;
};
[[nodiscard]] LayerComparison compare_layers(const store::StoreLayout& layout, store::LayerKind kind,
                                             const ComparedLayer& expected, const ComparedLayer& found,
                                             const OwnerSources& sources,
                                             store::ModeView modes = store::ModeView::Identity);

/// "3 files differ: a (content) of package x, ..." on lines of their own; at most `limit` of them.
[[nodiscard]] std::string describe_differences(const LayerComparison& comparison, std::size_t limit);

/// The index of a layer, if the store has it, whether it has the layer or not.
[[nodiscard]] std::optional<std::string> find_index(const store::StoreLayout& layout,
                                                    const std::string& layer);

}  // namespace karapace::core
