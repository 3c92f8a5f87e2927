// SPDX-License-Identifier: Apache-2.0
// new: a manifest from a template, word for word with its comments, or from answers.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "commands/commands.hpp"
#include "context.hpp"
#include "karapace/base/durable.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/schema/manifest.hpp"
#include "karapace/schema/preset.hpp"
#include "output.hpp"
#include "store_trouble.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

constexpr const char* kFileName = "karapace.toml";
constexpr std::string_view kDefaultImage = "debian/12";

std::string ask_or(std::string_view question, std::string_view otherwise) {
  const std::optional<std::string> answer = ask(question);
  return answer && !answer->empty() ? *answer : std::string(otherwise);
}

/// A TOML basic string. What TOML cannot hold (invalid UTF-8) is refused when the text is parsed.
std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string ask_packages() {
  std::string list;
  std::istringstream words(ask_or("Packages, separated by spaces (default: none): ", ""));
  for (std::string word; words >> word;) {
    if (!is_package_name(word)) {
      throw Error(ErrorCode::InvalidInput, fmt::format("not a package name: '{}'", printable(word)));
    }
    list += fmt::format("{}{}", list.empty() ? "" : ", ", toml_string(word));
  }
  return list;
}

std::string manifest_from_answers() {
  const std::string image = ask_or(fmt::format("Base image (default: {}): ", kDefaultImage), kDefaultImage);
  const std::string packages = ask_packages();
  const std::string mount =
      ask_or("Mount <host>:<container>, for example ./:/workspace (default: none): ", "");
  const std::string backend = ask_or("Backend: namespace, oci or mock (default: namespace): ", "namespace");
  const bool isolated = confirm("Cut off from the network? [y/N] ");
  std::string text = fmt::format("manifest_version = 1\n\n[base]\nimage = {}\n\n[system]\npackages = [{}]\n",
                                 toml_string(image), packages);
  if (!mount.empty()) text += fmt::format("\n[mounts]\nworkspace = {}\n", toml_string(mount));
  return text +
         fmt::format("\n[runtime]\nbackend = {}\nnetwork_isolation = {}\n", toml_string(backend), isolated);
}

std::string manifest_text(const Invocation& invocation) {
  const std::optional<std::string> name = invocation.value("template");
  if (!name) {
    if (!is_terminal(Stream::In) || !is_terminal(Stream::Err)) {
      throw UsageError(invocation.command, "nobody to ask: standard input is not a terminal",
                       "choose a template, for example --template minimal");
    }
    return manifest_from_answers();
  }
  if (const std::optional<Preset> found = find_template(*name)) return std::string(found->manifest_toml);
  std::vector<std::string_view> names;
  for (const Preset& preset : templates()) names.push_back(preset.name);
  throw UsageError(invocation.command, fmt::format("there is no template '{}'", printable(*name)),
                   fmt::format("choose one of {}", fmt::join(names, ", ")));
}

[[noreturn]] void refuse_to_replace() {
  throw Error(ErrorCode::AlreadyExists, fmt::format("{} is already there", kFileName), "--force replaces it");
}

/// Whether an existing file may be replaced. Asked first: nobody should answer six questions for nothing.
bool may_replace(const Invocation& invocation) {
  if (invocation.has("force")) return true;
  if (!stat_at(FdRef::cwd(), kFileName)) return false;
  if (!is_terminal(Stream::In) || !is_terminal(Stream::Err)) refuse_to_replace();
  if (!confirm(fmt::format("{} is already there. Replace it? [y/N] ", kFileName))) refuse_to_replace();
  return true;
}

mode_t default_mode() {
  // umask(2) can only be read by setting it.
  const mode_t mask = ::umask(077);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

int run_new(const Invocation& invocation) {
  const std::string name = invocation.argument(0).value();
  store::check_env_name(name);
  const bool replace = may_replace(invocation);
  const std::string text = manifest_text(invocation);
  static_cast<void>(parse_manifest(text, kFileName));
  writing_outside(std::string(kFileName), [&] {
    if (replace) {
      replace_file(FdRef::cwd(), kFileName, text, default_mode());
    } else if (publish_object(FdRef::cwd(), kFileName, text, default_mode()) == Published::AlreadyThere) {
      refuse_to_replace();
    }
  });
  const std::optional<std::string> preset = invocation.value("template");
  if (invocation.json()) {
    print_json({{"name", name},
                {"path", fmt::format("./{}", kFileName)},
                {"status", "written"},
                {"template", preset ? OrderedJson(*preset) : OrderedJson(nullptr)}});
    return 0;
  }
  std::string lines = fmt::format("wrote ./{} for '{}'\n", kFileName, name);
  if (preset) lines += fmt::format("template: {}\n", *preset);
  write_stdout(lines + fmt::format("next: karapace build --name {}\n", name));
  return 0;
}

}  // namespace karapace::cli
