// SPDX-License-Identifier: Apache-2.0
// The index of a layer, written and read piece by piece: a tree may have a million entries, and its encoded
// form need not lie in memory beside them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/base/unique_fd.hpp"
#include "karapace/store/layer.hpp"

namespace karapace::store {

/// What was written, and under which names it belongs into the store.
struct IndexSummary {
  Digest hash;    // of the index: the layer's name
  Digest mtimes;  // of the times beside it
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // sum of the sizes of regular files
};
/// Into two empty files. InvalidInput if the entries are no tree. Not durable.
[[nodiscard]] IndexSummary write_index(const std::vector<IndexEntry>& entries, FdRef index, FdRef mtimes);
/// The same without writing it anywhere.
[[nodiscard]] IndexSummary summarise(const std::vector<IndexEntry>& entries);

/// Entry by entry, with the checks of decode_index. Whether hard links lead to something is known at the end,
/// so who cannot take back what was done with the entries decodes first.
class IndexReader {
 public:
  explicit IndexReader(std::string_view bytes);  // must outlive this
  explicit IndexReader(FdRef file);              // from its start; must stay open
  IndexReader(const IndexReader&) = delete;
  IndexReader& operator=(const IndexReader&) = delete;
  IndexReader(IndexReader&&) noexcept;
  IndexReader& operator=(IndexReader&&) = delete;
  ~IndexReader();

  [[nodiscard]] std::uint64_t count() const noexcept;
  /// False at the end. CorruptError.
  [[nodiscard]] bool next(IndexEntry& entry);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// More than any index of so many entries has, attributes included. What is larger need not be read to know
/// that it is damaged.
[[nodiscard]] constexpr std::uint64_t max_index_bytes(std::uint64_t entries) noexcept {
  constexpr std::uint64_t kOfAll = std::uint64_t{64} << 20;  // some files may have many large attributes
  constexpr std::uint64_t kOfOne = std::uint64_t{16} << 10;
  return entries > (UINT64_MAX - kOfAll) / kOfOne ? UINT64_MAX : kOfAll + entries * kOfOne;
}
/// How many entries a file says it has, but no more than its size allows: it may be damaged.
[[nodiscard]] std::uint64_t plausible_count(FdRef file);
/// decode_index of a file. The result has capacity for `room` more entries.
[[nodiscard]] std::vector<IndexEntry> read_index(FdRef file, std::uint64_t room = 0);

}  // namespace karapace::store
