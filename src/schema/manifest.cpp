// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "source_file.hpp"

namespace karapace {
namespace {

constexpr std::size_t kMaxPackageNameBytes = 256;
constexpr std::size_t kMaxMessageBytes = 2000;
constexpr std::size_t kMaxComparedBytes = 64;

std::string format_message(std::string_view file, std::uint32_t line, std::uint32_t column,
                           std::string_view message) {
  // Whatever came from the file may be quoted in the message, so it is made harmless here, once for all.
  const std::string text = printable(message, kMaxMessageBytes);
  if (line == 0) return fmt::format("{}: {}", printable(file, kMaxMessageBytes), text);
  return fmt::format("{}:{}:{}: {}", printable(file, kMaxMessageBytes), line, column, text);
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_previous(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before_previous[j - 2] + 1);
      }
    }
    std::swap(before_previous, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

ManifestError::ManifestError(std::string file, std::uint32_t line, std::uint32_t column, std::string_view key,
                             std::string_view message, std::string fix)
    : Error(ErrorCode::InvalidInput, format_message(file, line, column, message), std::move(fix)),
      file_(std::move(file)),
      line_(line),
      column_(column),
      key_(printable(key)) {}

std::string_view to_string(Ownership ownership) noexcept {
  return ownership == Ownership::Flat ? "flat" : "mapped";
}

std::string_view to_string(Home home) noexcept { return home == Home::Private ? "private" : "shared"; }

Manifest load_manifest(const std::string& path) {
  const std::optional<std::string> text = try_read_source_file(
      path, kMaxManifestBytes, "Name a file in it: a manifest is usually called karapace.toml.");
  if (!text) {
    throw ManifestError(path, 0, 0, {}, "there is no such file",
                        "Write one with `karapace new <name>`, or name another file.");
  }
  return parse_manifest(*text, path);
}

bool is_package_name(std::string_view name) noexcept {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  constexpr std::string_view kPunctuation = "+._:~^/@=-";
  if (name.empty() || name.size() > kMaxPackageNameBytes || !is_alphanumeric(name.front())) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return is_alphanumeric(c) || kPunctuation.find(c) != std::string_view::npos;
  });
}

std::string nearest_name(std::string_view name, const std::vector<std::string_view>& candidates) {
  if (name.size() > kMaxComparedBytes) return {};
  // Of equally near ones that which begins like it: people mistype ends.
  using Rank = std::pair<std::size_t, std::ptrdiff_t>;
  std::string_view best;
  Rank best_rank{std::numeric_limits<std::size_t>::max(), 0};
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance > std::max(name.size(), candidate.size()) / 3) continue;
    const auto common = std::ranges::mismatch(name, candidate).in1 - name.begin();
    const Rank rank{distance, -common};
    if (rank >= best_rank) continue;
    best = candidate;
    best_rank = rank;
  }
  return std::string(best);
}

}  // namespace karapace
