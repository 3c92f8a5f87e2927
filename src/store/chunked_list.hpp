// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace karapace::store {

/// A list that grows without moving what is in it: a vector has everything twice when it grows, and only that
/// moment would make the peak of a commit's memory.
template <typename T>
class ChunkedList {
 public:
  /// More than a megabyte for what we have: only what is larger than anything that was freed before comes
  /// from the system by itself and goes back there (M_MMAP_THRESHOLD in mallopt(3)). What is not used of a
  /// chunk is never touched.
  static constexpr std::size_t kChunk = 16384;

  void push_back(T value) {
    if (chunks_.empty() || chunks_.back().size() == kChunk) chunks_.emplace_back().reserve(kChunk);
    chunks_.back().push_back(std::move(value));
  }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return chunks_[index / kChunk][index % kChunk]; }
  [[nodiscard]] std::size_t size() const noexcept {
    return chunks_.empty() ? 0 : (chunks_.size() - 1) * kChunk + chunks_.back().size();
  }

  /// All of it in one piece; each chunk is gone when its part of the vector is made. Leaves it empty.
  [[nodiscard]] std::vector<T> take() {
    std::vector<T> all;
    all.reserve(size());
    for (std::vector<T>& chunk : chunks_) {
      std::ranges::move(chunk, std::back_inserter(all));
      std::vector<T>().swap(chunk);
    }
    chunks_.clear();
    return all;
  }

 private:
  std::vector<std::vector<T>> chunks_;  // all but the last have kChunk
};

}  // namespace karapace::store
