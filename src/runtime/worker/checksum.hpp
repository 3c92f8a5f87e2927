// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "karapace/base/cancel.hpp"
#include "karapace/base/unique_fd.hpp"

namespace karapace::worker {

/// SHA-256 with the CPU's instructions, piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const char> bytes);
  /// 64 lower-case hex digits. Ends this computation.
  [[nodiscard]] std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of a whole file, from its start.
[[nodiscard]] std::string sha256_of_file(FdRef file, const CancelToken& cancel);

}  // namespace karapace::worker
