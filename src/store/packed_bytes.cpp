// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/packed_bytes.hpp"

#include "karapace/base/error.hpp"

namespace karapace::store {

std::unique_ptr<char[]> PackedBytes::make(std::string_view bytes) {
  if (bytes.empty()) return nullptr;
  if (bytes.size() > UINT16_MAX)
    throw Error(ErrorCode::InvalidInput, "a name or target is longer than 65535 bytes");
  const auto length = static_cast<Length>(bytes.size());
  auto data = std::make_unique_for_overwrite<char[]>(sizeof length + bytes.size() + 1);
  std::memcpy(data.get(), &length, sizeof length);
  std::memcpy(data.get() + sizeof length, bytes.data(), bytes.size());
  data[sizeof length + bytes.size()] = '\0';
  return data;
}

const Xattrs& PackedXattrs::list() const noexcept {
  static const Xattrs none;
  return list_ ? *list_ : none;
}

}  // namespace karapace::store
