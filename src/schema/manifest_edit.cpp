// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/manifest_edit.hpp"

#include <fmt/format.h>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"
#include "karapace/schema/manifest.hpp"
#include "toml_text.hpp"

namespace karapace {
namespace {

/// Where the string that begins at `start` ends; npos unless it is one of a single line.
std::size_t end_of_string(std::string_view text, std::size_t start) {
  if (start >= text.size()) return std::string_view::npos;
  const char quote = text[start];
  if (quote != '"' && quote != '\'') return std::string_view::npos;
  for (std::size_t at = start + 1; at < text.size() && text[at] != '\n'; ++at) {
    if (text[at] == quote) return at + 1;
    if (text[at] == '\\' && quote == '"') ++at;
  }
  return std::string_view::npos;
}

}  // namespace

std::string replace_base_image(std::string_view text, std::string_view file_name, std::string_view image) {
  Manifest expected = parse_manifest(text, file_name);
  expected.base_image = image;
  const TomlNode root = parse_toml({.text = text, .file = file_name}, kMaxManifestBytes);
  const TomlNode* base = root.find("base");
  const TomlNode* value = base == nullptr ? nullptr : base->find("image");
  KARAPACE_ASSERT(value != nullptr);
  const std::size_t start = offset_of(text, value->position);
  const std::size_t end = end_of_string(text, start);
  const bool can_be_quoted = image.find_first_of("\"\\\n") == std::string_view::npos;
  if (end != std::string_view::npos && can_be_quoted) {
    std::string edited = fmt::format("{}\"{}\"{}", text.substr(0, start), image, text.substr(end));
    // Whatever way somebody found to write it: what comes out is this manifest with this image, or nothing.
    if (parse_manifest(edited, file_name) == expected) return edited;
  }
  throw Error(ErrorCode::Unsupported,
              fmt::format("{}: base.image is written in a way that cannot be changed", printable(file_name)),
              fmt::format("change it by hand: image = \"{}\"", printable(image, 4096)));
}

}  // namespace karapace
