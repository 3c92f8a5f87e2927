// SPDX-License-Identifier: Apache-2.0
#include "packages/mirrors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"
#include "karapace/runtime/mirror_names.hpp"

namespace karapace::runtime {
namespace {

std::string_view without_final_slash(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

}  // namespace

Mirrors Mirrors::from_environment() {
  const char* text = std::getenv("KARAPACE_MIRROR");
  return parse(text == nullptr ? std::string_view() : std::string_view(text));
}

Mirrors Mirrors::parse(std::string_view text) {
  Mirrors mirrors;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto equals = item.find('=');
    const auto url = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    if (equals == 0 || !(url.starts_with("http://") || url.starts_with("https://")) ||
        url.find_first_of(" \t\r\n\"[]") != std::string_view::npos) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("KARAPACE_MIRROR: '{}' is not name=http://...", printable(item)));
    }
    mirrors.urls_.emplace_back(std::string(item.substr(0, equals)), std::string(without_final_slash(url)));
  }
  return mirrors;
}

std::string Mirrors::url_for(std::string_view repository, std::string_view canonical_url) const {
  for (const auto& [name, url] : urls_) {
    if (name == repository) return url;
  }
  return std::string(without_final_slash(canonical_url));
}

std::vector<std::string> Mirrors::unused(const std::vector<Repository>& repositories) const {
  constexpr std::array<std::string_view, 3> kAlways = {"debian", "debian-security", "images"};
  std::vector<std::string> names;
  for (const auto& [name, url] : urls_) {
    if (std::ranges::find(kAlways, name) == kAlways.end() &&
        std::ranges::find(repositories, name, &Repository::name) == repositories.end())
      names.push_back(name);
  }
  return names;
}

std::vector<std::string> unused_mirrors(const std::vector<Repository>& repositories) {
  return Mirrors::from_environment().unused(repositories);
}

}  // namespace karapace::runtime
