// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/rel_path.hpp"

#include <fmt/format.h>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"

namespace karapace {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view reason) {
  throw Error(ErrorCode::InvalidInput,
              fmt::format("\"{}\" is not a usable relative path: {}", printable(text), reason));
}

void check_component(std::string_view text, std::string_view component) {
  if (component.empty()) refuse(text, "it has an empty component");
  if (component == "." || component == "..") refuse(text, "it has a component \".\" or \"..\"");
  if (!is_path_component(component)) refuse(text, "a component has a NUL byte or more than 255 bytes");
}

}  // namespace

bool is_path_component(std::string_view name) noexcept {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

RelPath RelPath::parse(std::string_view text) {
  if (text.empty()) refuse(text, "it is empty");
  if (text.front() == '/') refuse(text, "it is absolute");
  if (text.size() > kMaxLength) refuse(text, fmt::format("it is longer than {} bytes", kMaxLength));
  std::size_t depth = 0;
  for (std::string_view rest = text;;) {
    const auto slash = rest.find('/');
    check_component(text, rest.substr(0, slash));
    if (++depth > kMaxDepth) refuse(text, fmt::format("it is deeper than {} components", kMaxDepth));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return RelPath(std::string(text));
}

RelPath RelPath::operator/(std::string_view component) const {
  if (!is_path_component(component)) refuse(component, "it is not a single component");
  return parse(fmt::format("{}/{}", text_, component));
}

std::string_view RelPath::name() const noexcept {
  const std::string_view text = text_;
  const auto slash = text.rfind('/');
  return slash == std::string_view::npos ? text : text.substr(slash + 1);
}

std::string_view RelPath::parent() const noexcept {
  const std::string_view text = text_;
  const auto slash = text.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : text.substr(0, slash);
}

}  // namespace karapace
