// SPDX-License-Identifier: Apache-2.0
#include "worker/checksum.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "karapace/base/error.hpp"

namespace karapace::worker {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

namespace {

void check(int result) {
  if (result != 1) throw Error(ErrorCode::Internal, "the cryptography library cannot compute SHA-256");
}

}  // namespace

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const char> bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

std::string Sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned length = 0;
  check(EVP_DigestFinal_ex(state_->context, value.data(), &length));
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", value[i]);
  return hex;
}

std::string sha256_of_file(FdRef file, const CancelToken& cancel) {
  Sha256 sum;
  std::vector<char> buffer(1024 * 1024);
  off_t offset = 0;
  while (true) {
    cancel.check();
    const ssize_t count = ::pread(file.get(), buffer.data(), buffer.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read the archive");
    if (count == 0) return sum.finish();
    sum.update(std::span(buffer).first(static_cast<std::size_t>(count)));
    offset += count;
  }
}

}  // namespace karapace::worker
