// SPDX-License-Identifier: Apache-2.0
// Values of index entries in eight bytes each when they are absent, because a tree may have a million entries
// and most have neither target nor attributes, and a path that std::string would keep with its capacity.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace karapace::store {

/// Bytes of a fixed length, at most 65535, with a NUL after them.
class PackedBytes {
 public:
  PackedBytes() = default;
  // NOLINTBEGIN(google-explicit-constructor): it is such bytes
  PackedBytes(std::string_view bytes) : data_(make(bytes)) {}
  PackedBytes(const std::string& bytes) : PackedBytes(std::string_view(bytes)) {}
  PackedBytes(const char* text) : PackedBytes(std::string_view(text)) {}
  // NOLINTEND(google-explicit-constructor)
  PackedBytes(const PackedBytes& other) : PackedBytes(other.view()) {}
  PackedBytes(PackedBytes&&) noexcept = default;
  PackedBytes& operator=(const PackedBytes& other) { return *this = PackedBytes(other); }
  PackedBytes& operator=(PackedBytes&&) noexcept = default;
  ~PackedBytes() = default;

  [[nodiscard]] std::size_t size() const noexcept { return view().size(); }
  [[nodiscard]] bool empty() const noexcept { return data_ == nullptr; }
  [[nodiscard]] std::string_view view() const noexcept {
    if (!data_) return {};
    Length length = 0;
    std::memcpy(&length, data_.get(), sizeof length);
    return {data_.get() + sizeof length, length};
  }
  [[nodiscard]] const char* c_str() const noexcept { return data_ ? data_.get() + sizeof(Length) : ""; }
  [[nodiscard]] std::string str() const { return std::string(view()); }
  operator std::string_view() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)
  operator std::string() const { return str(); }                 // NOLINT(google-explicit-constructor)

  friend bool operator==(const PackedBytes& a, const PackedBytes& b) noexcept { return a.view() == b.view(); }
  friend bool operator==(const PackedBytes& a, std::string_view b) noexcept { return a.view() == b; }
  friend bool operator==(const PackedBytes& a, const char* b) noexcept { return a.view() == b; }
  friend std::strong_ordering operator<=>(const PackedBytes& a, const PackedBytes& b) noexcept {
    return a.view() <=> b.view();
  }
  friend std::ostream& operator<<(std::ostream& out, const PackedBytes& bytes) { return out << bytes.view(); }

 private:
  using Length = std::uint16_t;
  static std::unique_ptr<char[]> make(
      std::string_view bytes);  // NOLINT(*-avoid-c-arrays): that is what it owns

  std::unique_ptr<char[]> data_;  // NOLINT(*-avoid-c-arrays): length, bytes, NUL
};

/// Extended attributes: name and value, sorted by name.
using Xattrs = std::vector<std::pair<std::string, std::string>>;

class PackedXattrs {
 public:
  PackedXattrs() = default;
  PackedXattrs(Xattrs list)  // NOLINT(google-explicit-constructor): it is one
      : list_(list.empty() ? nullptr : std::make_unique<Xattrs>(std::move(list))) {}
  PackedXattrs(std::initializer_list<Xattrs::value_type> list) : PackedXattrs(Xattrs(list)) {}
  PackedXattrs(const PackedXattrs& other) : PackedXattrs(other.list()) {}
  PackedXattrs(PackedXattrs&&) noexcept = default;
  PackedXattrs& operator=(const PackedXattrs& other) { return *this = PackedXattrs(other); }
  PackedXattrs& operator=(PackedXattrs&&) noexcept = default;
  ~PackedXattrs() = default;

  [[nodiscard]] bool empty() const noexcept { return !list_; }
  [[nodiscard]] std::size_t size() const noexcept { return list_ ? list_->size() : 0; }
  [[nodiscard]] const Xattrs& list() const noexcept;
  [[nodiscard]] Xattrs::const_iterator begin() const noexcept { return list().begin(); }
  [[nodiscard]] Xattrs::const_iterator end() const noexcept { return list().end(); }
  [[nodiscard]] const Xattrs::value_type& at(std::size_t index) const { return list().at(index); }
  operator const Xattrs&() const noexcept { return list(); }  // NOLINT(google-explicit-constructor)
  friend bool operator==(const PackedXattrs& a, const PackedXattrs& b) noexcept {
    return a.list() == b.list();
  }

 private:
  std::unique_ptr<Xattrs> list_;  // null: none
};

}  // namespace karapace::store
