// SPDX-License-Identifier: Apache-2.0
// Built-in presets and templates of `karapace new`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace karapace {

struct Preset {
  std::string_view name;
  std::string_view description;
  std::string_view manifest_toml;  // with comments; parses
};
[[nodiscard]] const std::vector<Preset>& presets();    // dev dev-rust dev-python gui-app gaming minimal
[[nodiscard]] const std::vector<Preset>& templates();  // minimal dev gui-dev rust-dev ubuntu-dev debian-dev
[[nodiscard]] std::optional<Preset> find_preset(std::string_view name);
[[nodiscard]] std::optional<Preset> find_template(std::string_view name);

}  // namespace karapace
