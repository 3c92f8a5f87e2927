// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "karapace/base/unique_fd.hpp"

namespace karapace {

/// A BLAKE3-256 value. 32 bytes inside, 64 lower-case hex digits at the edges.
class Digest {
 public:
  static constexpr std::size_t kSize = 32;
  Digest() noexcept = default;  // all zero: not the digest of anything we know
  explicit Digest(const std::array<std::uint8_t, kSize>& bytes) noexcept : bytes_(bytes) {}

  /// Throws InvalidInput unless `hex` is exactly 64 lower-case hex digits.
  [[nodiscard]] static Digest parse(std::string_view hex);
  [[nodiscard]] static bool is_valid(std::string_view hex) noexcept;
  [[nodiscard]] std::string hex() const;
  /// Whether hex() is `text`, without making it.
  [[nodiscard]] bool has_hex(std::string_view text) const noexcept;
  [[nodiscard]] const std::array<std::uint8_t, kSize>& bytes() const noexcept { return bytes_; }
  auto operator<=>(const Digest&) const = default;  // NOLINT(modernize-use-nullptr): where it is used

 private:
  using Hex = std::array<char, 2 * kSize>;
  [[nodiscard]] Hex digits() const noexcept;

  std::array<std::uint8_t, kSize> bytes_{};
};

/// Incremental BLAKE3, by its own C library with SIMD.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  [[nodiscard]] Digest finish() const;
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] Digest hash_bytes(std::string_view bytes);
/// Of the pieces as one text.
[[nodiscard]] Digest hash_pieces(std::initializer_list<std::string_view> pieces);
/// Reads from the start to the end of `file` with a fixed buffer; the file offset does not move.
[[nodiscard]] Digest hash_file(FdRef file);
/// The same for a file that has, or had, `size` bytes: a small one is read by one call.
[[nodiscard]] Digest hash_file(FdRef file, std::uint64_t size);

}  // namespace karapace

template <>
struct std::hash<karapace::Digest> {
  std::size_t operator()(const karapace::Digest& digest) const noexcept {
    std::size_t value = 0;
    for (std::size_t i = 0; i < sizeof(value); ++i) value = (value << 8) | digest.bytes()[i];
    return value;
  }
};
