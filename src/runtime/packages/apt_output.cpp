// SPDX-License-Identifier: Apache-2.0
#include "packages/apt_output.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

// Takes the next blank-separated word off `text`.
std::string_view next_word(std::string_view& text) {
  const auto start = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(start);
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string without_arch(std::string_view name) { return std::string(name.substr(0, name.find(':'))); }

// "Inst NAME [OLD] (NEW ORIGIN [ARCH])"
std::optional<SimulatedInstall> parse_inst(std::string_view rest) {
  SimulatedInstall install;
  install.name = without_arch(next_word(rest));
  std::string_view word = next_word(rest);
  if (word.starts_with('[') && word.ends_with(']')) {
    install.old_version = word.substr(1, word.size() - 2);
    word = next_word(rest);
  }
  if (install.name.empty() || !word.starts_with('(')) return std::nullopt;
  install.version = word.substr(1);
  const auto close = rest.find("])");
  const auto open = close == std::string_view::npos ? close : rest.rfind('[', close);
  if (open == std::string_view::npos) return std::nullopt;
  install.arch = rest.substr(open + 1, close - open - 1);
  return install;
}

// The text between the first pair of `mark` behind `prefix`, if `line` has both.
std::optional<std::string> quoted_after(std::string_view line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return std::nullopt;
  line.remove_prefix(prefix.size());
  return std::string(line.substr(0, line.find('\'')));
}

}  // namespace

std::vector<PrintedUri> parse_print_uris(std::string_view output) {
  std::vector<PrintedUri> result;
  for_each_line(output, [&](std::string_view line) {
    if (!line.starts_with('\'')) return;
    const auto end = line.find('\'', 1);
    if (end == std::string_view::npos) return;
    PrintedUri printed;
    printed.uri = line.substr(1, end - 1);
    line.remove_prefix(end + 1);
    next_word(line);  // the file name
    const auto size = next_word(line);
    std::from_chars(size.data(), size.data() + size.size(), printed.size);
    const auto hash = next_word(line);
    constexpr std::string_view kPrefix = "SHA256:";
    if (!hash.starts_with(kPrefix) || !Digest::is_valid(hash.substr(kPrefix.size()))) {
      throw Error(ErrorCode::External,
                  fmt::format("the archive has no SHA256 for {}", printable(printed.uri)));
    }
    printed.sha256 = hash.substr(kPrefix.size());
    result.push_back(std::move(printed));
  });
  return result;
}

Simulation parse_simulation(std::string_view output) {
  Simulation simulation;
  for_each_line(output, [&](std::string_view line) {
    const auto verb = next_word(line);
    if (verb == "Inst") {
      if (auto install = parse_inst(line)) simulation.installs.push_back(std::move(*install));
    } else if (verb == "Remv" || verb == "Purg") {
      simulation.removals.push_back(without_arch(next_word(line)));
    }
  });
  return simulation;
}

void Stanza::add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

std::string_view Stanza::get(std::string_view name) const noexcept {
  for (const auto& [field, value] : fields_) {
    if (equal_ignoring_case(field, name)) return value;
  }
  return {};
}

void Stanza::set(std::string_view name, std::string value) {
  for (auto& [field, old] : fields_) {
    if (equal_ignoring_case(field, name)) {
      old = std::move(value);
      return;
    }
  }
  add(std::string(name), std::move(value));
}

std::string Stanza::text() const {
  std::string text;
  for (const auto& [field, value] : fields_) text += fmt::format("{}: {}\n", field, value);
  return text;
}

std::vector<Stanza> parse_stanzas(std::string_view text) {
  std::vector<Stanza> stanzas;
  Stanza current;
  std::string name;
  std::string value;
  const auto end_field = [&] {
    if (!name.empty()) current.add(std::move(name), std::move(value));
    name.clear();
    value.clear();
  };
  const auto end_stanza = [&] {
    end_field();
    if (!current.empty()) stanzas.push_back(std::move(current));
    current = {};
  };
  for_each_line(text, [&](std::string_view line) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return end_stanza();
    if (line.starts_with(' ') || line.starts_with('\t')) {
      if (!name.empty()) value.append("\n").append(line);
      return;
    }
    end_field();
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    name = line.substr(0, colon);
    line.remove_prefix(colon + 1);
    const auto start = std::min(line.find_first_not_of(" \t"), line.size());
    value = line.substr(start);
    while (value.ends_with('\r') || value.ends_with(' ')) value.pop_back();
  });
  end_stanza();
  return stanzas;
}

std::vector<std::string> unknown_packages(std::string_view stderr_text) {
  std::set<std::string> names;
  for_each_line(stderr_text, [&](std::string_view line) {
    if (constexpr std::string_view kLocate = "E: Unable to locate package "; line.starts_with(kLocate)) {
      names.emplace(line.substr(kLocate.size()));
    } else if (auto candidate = quoted_after(line, "E: Package '")) {
      names.insert(std::move(*candidate));
    } else if (auto version = quoted_after(line, "E: Version '")) {
      const auto by = line.find("' for '");
      if (by != std::string_view::npos) {
        const auto name = line.substr(by + 7);
        names.insert(fmt::format("{}={}", name.substr(0, name.find('\'')), *version));
      }
    }
  });
  return {names.begin(), names.end()};
}

std::vector<std::string> packages_in_the_way(std::string_view output,
                                             const std::vector<std::string>& candidates) {
  std::set<std::string, std::less<>> needed;
  std::set<std::string, std::less<>> needing;
  const auto add_names = [](std::string_view text, std::set<std::string, std::less<>>& names) {
    constexpr std::string_view kInNames = "abcdefghijklmnopqrstuvwxyz0123456789+.-";
    while (!text.empty()) {
      const auto start = std::min(text.find_first_of(kInNames), text.size());
      text.remove_prefix(start);
      const auto length = std::min(text.find_first_not_of(kInNames), text.size());
      names.emplace(text.substr(0, length));
      text.remove_prefix(length);
    }
  };
  // " alpha : Depends: liba (>= 2) but 1 is to be installed", or, of newer versions, indented sentences.
  for_each_line(output, [&](std::string_view line) {
    if (!line.starts_with(' ')) return;
    const auto colon = line.find(" : ");
    if (colon != std::string_view::npos) add_names(line.substr(0, colon), needing);
    add_names(colon == std::string_view::npos ? line : line.substr(colon), needed);
  });
  for (const auto* names : {&needed, &needing}) {
    std::vector<std::string> found;
    std::ranges::copy_if(candidates, std::back_inserter(found),
                         [&](const std::string& name) { return names->contains(name); });
    if (!found.empty()) return found;
  }
  return {};
}

std::string_view name_in_request(std::string_view request) {
  return request.substr(0, request.find_first_of(":=/"));
}

std::vector<std::string> inexact_names(const std::vector<std::string>& requested,
                                       const std::vector<std::string>& known) {
  std::vector<std::string> inexact;
  for (const std::string& request : requested) {
    const std::string name(name_in_request(request));
    const std::string_view behind = std::string_view(request).substr(name.size());
    // "+" and "-" at the end are orders to apt, and "//" begins a regular expression for a suite.
    const bool ordered = behind.ends_with('+') || behind.ends_with('-') || behind.contains("//");
    if (ordered || !std::ranges::binary_search(known, name)) inexact.push_back(request);
  }
  return inexact;
}

std::vector<std::string> virtual_providers(std::string_view output, std::string_view name) {
  const std::string heading = fmt::format("Package {} is a virtual package provided by:", name);
  std::set<std::string> providers;
  bool inside = false;
  for_each_line(output, [&](std::string_view line) {
    if (line == heading) {
      inside = true;
    } else if (!line.starts_with("  ")) {
      inside = false;
    } else if (inside) {
      providers.insert(without_arch(next_word(line)));
    }
  });
  return {providers.begin(), providers.end()};
}

std::vector<PackageState> parse_states(std::string_view output) {
  std::vector<PackageState> states;
  for_each_line(output, [&](std::string_view line) {
    std::array<std::string, 5> fields;
    for (std::string& field : fields) {
      field = line.substr(0, line.find('\t'));
      line.remove_prefix(std::min(field.size() + 1, line.size()));
    }
    if (fields[4].empty()) return;
    states.push_back({std::move(fields[0]), std::move(fields[1]), std::move(fields[2]), std::move(fields[3]),
                      std::move(fields[4])});
  });
  return states;
}

bool has_files(const PackageState& state) noexcept {
  constexpr std::array<std::string_view, 5> kStates = {"unpacked", "half-configured", "triggers-awaited",
                                                       "triggers-pending", "installed"};
  return std::ranges::find(kStates, state.status) != kStates.end();
}

}  // namespace karapace::runtime::apt
