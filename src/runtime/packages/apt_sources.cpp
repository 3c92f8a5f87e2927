// SPDX-License-Identifier: Apache-2.0
#include "packages/apt_sources.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "packages/package_files.hpp"

namespace karapace::runtime::apt {
std::string sources_list(const std::vector<AptSource>& sources, const Mirrors& mirrors,
                         const std::vector<std::string>& keyrings) {
  const std::string options =
      keyrings.empty() ? "" : fmt::format("[signed-by={}] ", fmt::join(keyrings, ","));
  std::string text;
  for (const AptSource& source : sources) {
    text += fmt::format("deb {}{} {} {}\n", options, mirrors.url_for(source.name, source.url), source.suite,
                        fmt::join(source.components, " "));
  }
  return text;
}

std::string deb822_sources(const std::vector<AptSource>& sources, std::string_view keyring) {
  std::string text;
  for (std::size_t i = 0; i < sources.size();) {
    // Consecutive suites of one archive share a stanza, as Debian's own files have it.
    std::string suites = sources[i].suite;
    std::size_t next = i + 1;
    for (; next < sources.size() && sources[next].url == sources[i].url; ++next)
      suites += " " + sources[next].suite;
    text += fmt::format("{}Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: {}\n",
                        text.empty() ? "" : "\n", sources[i].url, suites,
                        fmt::join(sources[i].components, " "), keyring);
    i = next;
  }
  return text;
}

std::vector<Repository> repositories_of(const std::vector<AptSource>& sources) {
  std::vector<Repository> repositories;
  for (const AptSource& source : sources) {
    if (std::ranges::find(repositories, source.name, &Repository::name) != repositories.end()) continue;
    repositories.push_back(Repository{source.name, source.url, source.suite, source.components});
  }
  std::ranges::sort(repositories, {}, &Repository::name);
  return repositories;
}

std::optional<LocatedPath> locate(std::string_view uri, const std::vector<Repository>& repositories,
                                  const Mirrors& mirrors) {
  std::optional<LocatedPath> best;
  std::size_t best_length = 0;
  for (const Repository& repository : repositories) {
    const std::string prefix = mirrors.url_for(repository.name, repository.url) + "/";
    if (!uri.starts_with(prefix) || prefix.size() <= best_length) continue;
    best_length = prefix.size();
    std::string path = percent_decode(uri.substr(prefix.size()));
    while (path.starts_with("./")) path.erase(0, 2);
    best = LocatedPath{repository.name, std::move(path)};
  }
  return best;
}

std::string apt_conf(const AptConfig& config) {
  const std::string& d = config.directory;
  std::string text;
  const auto set = [&](std::string_view key, std::string_view value) {
    text += fmt::format("{} \"{}\";\n", key, value);
  };
  set("Dir::State", d);
  set("Dir::State::lists", d + "/lists");
  set("Dir::State::extended_states", d + "/extended_states");
  set("Dir::State::status", config.status_file);
  set("Dir::Cache", d + "/" + config.cache_name);
  set("Dir::Log", d + "/log");
  set("Dir::Etc::main", d + "/etc/none");
  set("Dir::Etc::parts", d + "/etc/none.d");
  set("Dir::Etc::preferences", config.preferences_file.empty() ? d + "/etc/none" : config.preferences_file);
  set("Dir::Etc::preferencesparts", d + "/etc/none.d");
  set("Dir::Etc::netrc", d + "/etc/none");
  set("Dir::Etc::netrcparts", d + "/etc/none.d");
  if (!config.sources_file.empty()) {
    set("Dir::Etc::sourcelist", config.sources_file);
    set("Dir::Etc::sourceparts", config.sources_parts.empty() ? d + "/etc/none.d" : config.sources_parts);
  }
  if (!config.trusted_directory.empty()) {
    set("Dir::Etc::trusted", d + "/etc/none");
    set("Dir::Etc::trustedparts", config.trusted_directory);
  }
  set("APT::Architecture", config.architecture);
  text += fmt::format("APT::Architectures {{ \"{}\"; }};\n", config.architecture);
  set("APT::Install-Recommends", "false");
  set("APT::Install-Suggests", "false");
  // Only one id may exist in the namespace, so apt cannot become _apt; it is confined by the sandbox instead.
  set("APT::Sandbox::User", "root");
  set("Acquire::Languages", "none");
  set("Acquire::ForceHash", "SHA256");
  set("Acquire::Retries", "2");
  if (config.accept_expired) set("Acquire::Check-Valid-Until", "false");
  set("Debug::NoLocking", "true");
  return text;
}

}  // namespace karapace::runtime::apt
