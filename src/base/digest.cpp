// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/digest.hpp"

#include <blake3.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

// Large enough that read(2) costs nothing beside hashing, small enough to stay in the second-level cache.
constexpr std::size_t kReadBytes = std::size_t{128} * 1024;

/// -1 unless a lower-case hex digit. A table, because records of snapshots hold thousands of digests.
constexpr std::array<std::int8_t, 256> kHexValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::int8_t i = 0; i < 10; ++i) values.at(static_cast<std::size_t>('0' + i)) = i;
  for (std::int8_t i = 0; i < 6; ++i)
    values.at(static_cast<std::size_t>('a' + i)) = static_cast<std::int8_t>(10 + i);
  return values;
}();

int hex_value(char digit) noexcept { return kHexValues[static_cast<unsigned char>(digit)]; }

}  // namespace

bool Digest::is_valid(std::string_view hex) noexcept {
  if (hex.size() != 2 * kSize) return false;
  // Without branches or a table, so that the compiler takes many digits at once.
  unsigned bad = 0;
  for (std::size_t i = 0; i < 2 * kSize; ++i) {
    const auto digit = static_cast<unsigned char>(hex[i]);
    const auto from_0 = static_cast<unsigned char>(digit - '0');
    const auto from_a = static_cast<unsigned char>(digit - 'a');
    bad |= static_cast<unsigned>((from_0 > 9) & (from_a > 5));
  }
  return bad == 0;
}

Digest Digest::parse(std::string_view hex) {
  if (!is_valid(hex))
    throw Error(ErrorCode::InvalidInput,
                fmt::format("\"{}\" is not a digest: expected 64 lower-case hex digits", printable(hex)));
  std::array<std::uint8_t, kSize> bytes{};
  for (std::size_t i = 0; i < kSize; ++i)
    bytes[i] = static_cast<std::uint8_t>(hex_value(hex[2 * i]) * 16 + hex_value(hex[2 * i + 1]));
  return Digest(bytes);
}

Digest::Hex Digest::digits() const noexcept {
  static constexpr char kHex[] = "0123456789abcdef";
  Hex text{};
  for (std::size_t i = 0; i < kSize; ++i) {
    text[2 * i] = kHex[bytes_[i] >> 4U];
    text[2 * i + 1] = kHex[bytes_[i] & 0x0FU];
  }
  return text;
}

std::string Digest::hex() const {
  const Hex text = digits();
  return {text.data(), text.size()};
}

bool Digest::has_hex(std::string_view text) const noexcept {
  const Hex own = digits();
  return text == std::string_view(own.data(), own.size());
}

struct Hasher::State {
  blake3_hasher hasher;
};

Hasher::Hasher() : state_(std::make_unique<State>()) { blake3_hasher_init(&state_->hasher); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> bytes) {
  blake3_hasher_update(&state_->hasher, bytes.data(), bytes.size());
}

void Hasher::update(std::string_view bytes) { update(std::as_bytes(std::span(bytes))); }

Digest Hasher::finish() const {
  std::array<std::uint8_t, Digest::kSize> bytes{};
  blake3_hasher_finalize(&state_->hasher, bytes.data(), bytes.size());
  return Digest(bytes);
}

void Hasher::reset() { blake3_hasher_reset(&state_->hasher); }

Digest hash_bytes(std::string_view bytes) { return hash_pieces({bytes}); }

Digest hash_pieces(std::initializer_list<std::string_view> pieces) {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  for (const std::string_view piece : pieces) blake3_hasher_update(&hasher, piece.data(), piece.size());
  std::array<std::uint8_t, Digest::kSize> bytes{};
  blake3_hasher_finalize(&hasher, bytes.data(), bytes.size());
  return Digest(bytes);
}

Digest hash_file(FdRef file) {
  return hash_file(file, static_cast<std::uint64_t>(std::max<off_t>(stat_fd(file).st_size, 0)));
}

Digest hash_file(FdRef file, std::uint64_t size) {
  // One per thread: allocating and giving back so much for each file would cost more than a small file.
  static thread_local const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadBytes);
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  std::uint64_t offset = 0;
  while (true) {
    const ssize_t got = ::pread(file.get(), buffer.get(), kReadBytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read");
    blake3_hasher_update(&hasher, buffer.get(), static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
    // Less than was asked for, up to where it should end: that is the end.
    if (got == 0 || (offset == size && static_cast<std::size_t>(got) < kReadBytes)) break;
  }
  std::array<std::uint8_t, Digest::kSize> bytes{};
  blake3_hasher_finalize(&hasher, bytes.data(), bytes.size());
  return Digest(bytes);
}

}  // namespace karapace
