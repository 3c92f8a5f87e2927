// SPDX-License-Identifier: Apache-2.0
#include "fetcher/sha256.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstdint>

#include "karapace/base/error.hpp"

namespace karapace::fetcher {

namespace {

void check(int result) {
  if (result != 1) throw Error(ErrorCode::Internal, "OpenSSL refuses to compute SHA-256");
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) { reset(); }

void Sha256::reset() { check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr)); }

void Sha256::update(std::string_view bytes) {
  check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::hex() const {
  // Finishing spoils a context, so it is done on a copy.
  const std::unique_ptr<evp_md_ctx_st, Free> copy(EVP_MD_CTX_new());
  check(EVP_MD_CTX_copy_ex(copy.get(), context_.get()));
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(copy.get(), bytes.data(), &length));
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < length; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 0xf];
  }
  return hex;
}

}  // namespace karapace::fetcher
