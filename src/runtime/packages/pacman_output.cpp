// SPDX-License-Identifier: Apache-2.0
#include "packages/pacman_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "karapace/base/error.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::pacman {
namespace {

constexpr std::size_t kBlock = 512;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// "key = value"; a key alone has no value.
std::pair<std::string, std::string> key_and_value(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) return {std::string(trimmed(line)), {}};
  return {std::string(trimmed(line.substr(0, equals))), std::string(trimmed(line.substr(equals + 1)))};
}

std::string tar_header(std::string_view name, std::size_t size) {
  std::string header(kBlock, '\0');
  const auto put = [&](std::size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  if (name.size() > 100) throw Error(ErrorCode::InvalidInput, fmt::format("'{}' is too long a name", name));
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, fmt::format("{:011o}", size));
  put(136, "00000000000");
  put(148, "        ");
  put(156, "0");
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  return header;
}

}  // namespace

std::vector<std::string> Section::all(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& [line_key, value] : lines) {
    if (line_key == key) values.push_back(value);
  }
  return values;
}

std::vector<Section> parse_configuration(std::string_view text) {
  std::vector<Section> sections;
  for_each_line(text, [&](std::string_view line) {
    line = trimmed(line);
    if (line.empty() || line.starts_with('#')) return;
    if (line.starts_with('[') && line.ends_with(']')) {
      sections.push_back({std::string(line.substr(1, line.size() - 2)), {}});
    } else if (!sections.empty()) {
      sections.back().lines.push_back(key_and_value(line));
    }
  });
  return sections;
}

std::string configuration_text(const std::vector<Section>& sections) {
  std::string text;
  for (const Section& section : sections) {
    text += fmt::format("[{}]\n", section.name);
    for (const auto& [key, value] : section.lines)
      text += value.empty() ? key + "\n" : fmt::format("{} = {}\n", key, value);
  }
  return text;
}

bool wants_no_signatures(const Section& options, const Section& repository) {
  constexpr std::string_view kKey = "SigLevel";
  std::vector<std::string> levels = repository.all(kKey);
  if (levels.empty()) levels = options.all(kKey);
  // Anything else is looked at; that it may also be missing is pacman's affair.
  return std::ranges::find(levels, "PackageNever") != levels.end();
}

std::vector<Printed> parse_printed(std::string_view output) {
  std::vector<Printed> packages;
  for_each_line(output, [&](std::string_view line) {
    std::array<std::string_view, 4> fields;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto tab = line.find('\t');
      if ((tab == std::string_view::npos) != (i + 1 == fields.size())) return;
      fields[i] = line.substr(0, tab);
      line.remove_prefix(std::min(fields[i].size() + 1, line.size()));
    }
    packages.push_back(
        {std::string(fields[0]), std::string(fields[1]), std::string(fields[2]), std::string(fields[3])});
  });
  return packages;
}

Description parse_description(std::string_view text) {
  Description description;
  std::vector<std::string>* values = nullptr;
  for_each_line(text, [&](std::string_view line) {
    if (line.size() > 2 && line.starts_with('%') && line.ends_with('%')) {
      values = &description[std::string(line.substr(1, line.size() - 2))];
    } else if (line.empty()) {
      values = nullptr;
    } else if (values != nullptr) {
      values->emplace_back(line);
    }
  });
  return description;
}

std::string description_of(std::string_view package_info, const LockedPackage& package,
                           std::string_view file_name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRelations = {
      {{"replaces", "REPLACES"},
       {"conflict", "CONFLICTS"},
       {"provides", "PROVIDES"},
       {"depend", "DEPENDS"},
       {"optdepend", "OPTDEPENDS"}}};
  std::map<std::string_view, std::string> relations;
  for_each_line(package_info, [&](std::string_view line) {
    if (line.starts_with('#')) return;
    const auto [key, value] = key_and_value(line);
    for (const auto& [name, heading] : kRelations) {
      if (key == name) relations[heading] += value + "\n";
    }
  });
  std::string text;
  const auto add = [&](std::string_view key, std::string_view value) {
    text += fmt::format("%{}%\n{}\n\n", key, value);
  };
  add("FILENAME", file_name);
  add("NAME", package.name);
  add("VERSION", package.version);
  add("CSIZE", std::to_string(package.size));
  add("SHA256SUM", package.sha256);
  add("ARCH", package.arch);
  for (const auto& [heading, values] : relations) text += fmt::format("%{}%\n{}\n", heading, values);
  return text;
}

std::vector<std::string> unknown_targets(std::string_view stderr_text) {
  std::set<std::string> names;
  for_each_line(stderr_text, [&](std::string_view line) {
    if (constexpr std::string_view kUnknown = "error: target not found: "; line.starts_with(kUnknown))
      names.emplace(line.substr(kUnknown.size()));
  });
  return {names.begin(), names.end()};
}

std::vector<std::string> targets_of_choice(std::string_view output) {
  std::set<std::string> names;
  for_each_line(output, [&](std::string_view line) {
    if (!line.starts_with(":: There ")) return;
    for (const std::string_view before : {" in group ", " available for "}) {
      const auto at = line.find(before);
      if (at == std::string_view::npos) continue;
      std::string_view name = trimmed(line.substr(at + before.size()));
      if (name.ends_with(':')) name.remove_suffix(1);
      names.emplace(name);
    }
  });
  return {names.begin(), names.end()};
}

std::vector<InstalledPackage> parse_query(std::string_view output) {
  constexpr std::string_view kBetween = " : ";
  std::vector<InstalledPackage> packages;
  for_each_line(output, [&](std::string_view line) {
    // A value that goes on begins with blanks.
    const auto colon = line.starts_with(' ') ? std::string_view::npos : line.find(kBetween);
    if (colon == std::string_view::npos) return;
    const std::string_view key = line.substr(0, std::min(line.find(' '), colon));
    const std::string value(line.substr(colon + kBetween.size()));
    if (key == "Name") {
      packages.push_back({value, {}, {}});
    } else if (key == "Version" && !packages.empty()) {
      packages.back().version = value;
    } else if (key == "Architecture" && !packages.empty()) {
      packages.back().arch = value;
    }
  });
  return packages;
}

std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string archive;
  for (const auto& [name, content] : files) {
    archive += tar_header(name, content.size());
    archive += content;
    archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock, '\0');
  }
  archive.append(2 * kBlock, '\0');
  return archive;
}

}  // namespace karapace::runtime::pacman
