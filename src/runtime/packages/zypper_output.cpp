// SPDX-License-Identifier: Apache-2.0
#include "packages/zypper_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "packages/step_output.hpp"

namespace karapace::runtime::zypper {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/// A start tag and the text behind it. That is all the XML these programs need: what they read was written by
/// programs, and the one thing that matters in it, the hash of a file, is checked when the file comes.
struct Element {
  std::string_view name;  // "/repo" for an end tag
  std::string_view tag;   // with its attributes
  std::string_view text;  // until the next tag, as written

  [[nodiscard]] std::string attribute(std::string_view key) const;
};

void append_utf8(std::string& text, std::uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
  } else if (code < 0x10000) {
    text += {static_cast<char>(0xE0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 0x3F)),
             static_cast<char>(0x80 | (code & 0x3F))};
  }
}

/// What "&...;" means, or nothing.
std::optional<std::string> entity(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kNamed = {
      {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
  for (const auto& [known, character] : kNamed) {
    if (name == known) return std::string(1, character);
  }
  if (!name.starts_with('#')) return std::nullopt;
  name.remove_prefix(1);
  const int base = name.starts_with('x') ? 16 : 10;
  if (base == 16) name.remove_prefix(1);
  std::uint32_t code = 0;
  if (std::from_chars(name.data(), name.data() + name.size(), code, base).ptr != name.data() + name.size())
    return std::nullopt;
  std::string text;
  append_utf8(text, code);
  return text;
}

std::string unescaped(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const auto ampersand = std::min(text.find('&'), text.size());
    result += text.substr(0, ampersand);
    text.remove_prefix(ampersand);
    const auto end = text.find(';');
    const auto meaning =
        end == std::string_view::npos ? std::nullopt : entity(text.substr(1, end == 0 ? 0 : end - 1));
    if (meaning) {
      result += *meaning;
      text.remove_prefix(end + 1);
    } else if (!text.empty()) {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

std::string text_of(const Element& element) { return unescaped(trimmed(element.text)); }

std::string Element::attribute(std::string_view key) const {
  std::string_view rest = tag.substr(name.size());
  while (true) {
    const auto equals = rest.find('=');
    if (equals == std::string_view::npos || equals + 1 >= rest.size()) return {};
    const std::string_view found = trimmed(rest.substr(0, equals));
    const char quote = rest[equals + 1];
    rest.remove_prefix(equals + 2);
    const auto end = rest.find(quote);
    if (end == std::string_view::npos) return {};
    if (found == key) return unescaped(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
}

template <typename Visit>
void for_each_element(std::string_view xml, Visit visit) {
  auto begin = xml.find('<');
  while (begin != std::string_view::npos) {
    xml.remove_prefix(begin + 1);
    // Both programs write '>' in attributes as it is.
    std::size_t end = 0;
    for (char quote = 0; end < xml.size() && (quote != 0 || xml[end] != '>'); ++end) {
      if (quote == 0 && (xml[end] == '"' || xml[end] == '\'')) {
        quote = xml[end];
      } else if (xml[end] == quote) {
        quote = 0;
      }
    }
    if (end == xml.size()) return;
    std::string_view tag = xml.substr(0, end);
    xml.remove_prefix(end + 1);
    begin = xml.find('<');
    if (tag.ends_with('/')) tag.remove_suffix(1);
    visit(Element{tag.substr(0, tag.find_first_of(kSpace)), tag, xml.substr(0, begin)});
  }
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// "file:/a" is what libzypp makes of "file:///a". It separates several keys by spaces or commas.
std::vector<std::string> keys_of(std::string_view text) {
  std::vector<std::string> keys;
  while (!text.empty()) {
    const auto end = std::min(text.find_first_of(" ,"), text.size());
    std::string_view key = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (key.empty()) continue;
    constexpr std::string_view kShort = "file:/";
    const bool is_short = key.starts_with(kShort) && !key.starts_with("file://");
    keys.push_back(is_short ? fmt::format("file:///{}", key.substr(kShort.size())) : std::string(key));
  }
  return keys;
}

}  // namespace

std::vector<ConfiguredRepository> parse_repositories(std::string_view xml) {
  std::vector<ConfiguredRepository> repositories;
  bool enabled = false;
  for_each_element(xml, [&](const Element& element) {
    if (element.name == "repo") {
      enabled = element.attribute("enabled") == "1";
      if (!enabled) return;
      ConfiguredRepository& repository = repositories.emplace_back();
      repository.alias = element.attribute("alias");
      repository.priority = static_cast<unsigned>(number(element.attribute("priority")));
      repository.signed_packages = element.attribute("pkg_gpgcheck") != "0";
      repository.keys = keys_of(element.attribute("gpgkey"));
    } else if (element.name == "url" && enabled && repositories.back().url.empty()) {
      repositories.back().url = text_of(element);
    }
  });
  std::ranges::sort(repositories, {}, [](const ConfiguredRepository& repository) {
    return std::tie(repository.priority, repository.alias);
  });
  return repositories;
}

Plan parse_plan(std::string_view xml) {
  Plan plan;
  std::string group;
  std::set<std::tuple<std::string, std::string, std::string>> known;
  for_each_element(xml, [&](const Element& element) {
    if (element.name.starts_with("to-")) group = element.name;
    if (element.name.starts_with("/to-")) group.clear();
    if (group.empty() || element.name != "solvable" || element.attribute("type") != "package") return;
    Planned package = {element.attribute("name"), element.attribute("edition"), element.attribute("arch")};
    if (group == "to-remove") {
      plan.removed.push_back(std::move(package.name));
    } else if (known.emplace(package.name, package.version, package.arch).second) {
      plan.packages.push_back(std::move(package));
    }
  });
  return plan;
}

std::string parse_problems(std::string_view xml) {
  std::string text;
  bool in_prompt = false;
  for_each_element(xml, [&](const Element& element) {
    if (element.name == "prompt") in_prompt = true;
    if (element.name == "/prompt") in_prompt = false;
    const bool problem = in_prompt && element.name == "description";
    const bool error = element.name == "message" && element.attribute("type") == "error";
    if (!problem && !error) return;
    // What could be done instead is for somebody who is asked.
    for_each_line(text_of(element), [&](std::string_view line) {
      if (!trimmed(line).empty() && !trimmed(line).starts_with("Solution "))
        text += fmt::format("{}\n", trimmed(line));
    });
  });
  return text;
}

std::vector<std::string> parse_names(std::string_view xml) {
  std::set<std::string> names;
  for_each_element(xml, [&](const Element& element) {
    if (element.name == "solvable") names.insert(element.attribute("name"));
  });
  return {names.begin(), names.end()};
}

std::vector<std::string> unknown_names(const std::vector<std::string>& requested,
                                       const std::vector<std::string>& known) {
  constexpr std::array<std::string_view, 4> kOtherKinds = {"patch:", "pattern:", "product:", "srcpackage:"};
  const auto names_package = [&](std::string_view name) {
    for (const std::string_view kind : kOtherKinds) {
      if (name.starts_with(kind)) return false;
    }
    name = name.substr(0, name.find('='));
    name.remove_prefix(name.find(':') == std::string_view::npos ? 0 : name.find(':') + 1);
    return std::ranges::binary_search(known, name) ||
           std::ranges::binary_search(known, name.substr(0, name.rfind('.')));
  };
  std::vector<std::string> unknown;
  std::ranges::copy_if(requested, std::back_inserter(unknown),
                       [&](const std::string& name) { return !names_package(name); });
  return unknown;
}

std::vector<Described> parse_descriptions(std::string_view xml) {
  std::vector<Described> packages;
  for_each_element(xml, [&](const Element& element) {
    if (element.name == "package") packages.emplace_back();
    if (packages.empty()) return;
    Described& package = packages.back();
    if (element.name == "name") package.name = text_of(element);
    if (element.name == "arch") package.arch = text_of(element);
    if (element.name == "version") {
      const std::string epoch = element.attribute("epoch");
      package.version = fmt::format("{}{}-{}", epoch.empty() || epoch == "0" ? "" : epoch + ":",
                                    element.attribute("ver"), element.attribute("rel"));
    }
    if (element.name == "checksum") {
      package.checksum_kind = element.attribute("type");
      package.checksum = text_of(element);
    }
    if (element.name == "size") package.size = number(element.attribute("package"));
    if (element.name == "location") {
      package.path = element.attribute("href");
      package.elsewhere = !element.attribute("xml:base").empty();
    }
  });
  return packages;
}

std::string with_mirrors(std::string_view configuration, const Mirrors& mirrors) {
  std::string text;
  bool mirrored = false;
  bool dropping = false;
  for_each_line(configuration, [&](std::string_view line) {
    const std::string_view content = trimmed(line);
    if (content.starts_with('[') && content.ends_with(']')) {
      const std::string_view alias = content.substr(1, content.size() - 2);
      const std::string url = mirrors.url_for(alias, "");
      mirrored = !url.empty();
      dropping = false;
      text += fmt::format("[{}]\n", alias);
      if (mirrored) text += fmt::format("baseurl={}\n", url);
      return;
    }
    // A line that begins with a space is more of the one before.
    const bool more = !line.empty() && kSpace.contains(line.front());
    if (!more) {
      const std::string_view key = trimmed(line.substr(0, line.find('=')));
      dropping = mirrored && (key == "baseurl" || key == "mirrorlist" || key == "metalink");
    }
    if (!dropping) text += fmt::format("{}\n", line);
  });
  return text;
}

}  // namespace karapace::runtime::zypper
