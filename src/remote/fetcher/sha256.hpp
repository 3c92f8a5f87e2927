// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace karapace::fetcher {

/// Incremental SHA-256 by OpenSSL, which uses the CPU's instructions for it.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  /// Digest of what was added so far, as lower-case hex; more may be added afterwards.
  [[nodiscard]] std::string hex() const;
  void reset();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace karapace::fetcher
