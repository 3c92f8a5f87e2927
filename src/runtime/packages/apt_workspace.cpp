// SPDX-License-Identifier: Apache-2.0
#include "packages/apt_workspace.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::runtime::apt {
namespace {

constexpr std::string_view kDirectory = "apt";

void write_file(FdRef directory, const std::string& name, std::string_view content) {
  try_unlink_at(directory, name);
  UniqueFd file = open_beneath(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
  write_all(file, content);
  file.close();
}

}  // namespace

Workspace::Workspace(BuildContext& context) : context_(context) {
  const UniqueFd staging = context.operation.staging();
  for (const char* part : {"lists/partial", "cache/archives/partial", "cache-inside/archives/partial",
                           "etc/none.d", "log", "sources.d"}) {
    ensure_directory_at(staging, fmt::format("{}/{}", kDirectory, part), 0755);
  }
  directory_ = open_directory(staging, std::string(kDirectory));
}

std::string Workspace::host_path() const {
  std::string path = fmt::format("{}/{}", context_.store.root_path(), relative_path());
  if (path.find_first_of("\"\\\n{};") != std::string::npos) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("the store path '{}' has characters that apt cannot quote",
                            printable(context_.store.root_path(), 4096)));
  }
  return path;
}

std::string Workspace::relative_path() const {
  return fmt::format("{}/{}", context_.operation.staging_path(), kDirectory);
}

void Workspace::write(const std::string& name, std::string_view content) const {
  write_file(directory_, name, content);
}

bool Workspace::has_lists(std::string_view sources_text) const {
  return try_read_file_at(directory_, "fetched", 64 * 1024) == sources_text;
}

void Workspace::mark_lists(std::string_view sources_text) const { write("fetched", sources_text); }

std::vector<std::pair<std::string, std::string>> install_environment() {
  auto environment = base_environment();
  environment.emplace_back("DEBCONF_NONINTERACTIVE_SEEN", "true");
  environment.emplace_back("DEBIAN_FRONTEND", "noninteractive");
  return environment;
}

std::vector<std::pair<std::string, std::string>> network_environment(const std::string& apt_config) {
  auto environment = runtime::network_environment();
  environment.emplace_back("APT_CONFIG", apt_config);
  return environment;
}

bool host_accepts_expired(CancelToken& cancel) {
  const auto program = find_program("apt-config");
  if (!program) return false;
  Command command;
  command.program = *program;
  command.arguments = {"dump", "--format", "%v%n", "Acquire::Check-Valid-Until"};
  command.environment = install_environment();
  const RunResult result = run(command, {}, {}, &cancel);
  // The words that apt itself takes for no.
  const std::string value = result.out.substr(0, result.out.find('\n'));
  return result.status == 0 &&
         (value == "false" || value == "no" || value == "off" || value == "0" || value == "without");
}

void write_repository(BuildContext& context, TreeWorker& worker, const std::vector<LockedPackage>& packages,
                      const LocalRepository& repository) {
  const std::string directory = fmt::format("{}/{}", context.operation.staging_path(), repository.name);
  std::vector<std::string> files;
  for (const LockedPackage& package : packages) files.push_back(file_name_of(package, kSuffix));
  const std::vector<std::string> controls = worker.deb_controls(directory, files, context.cancel);
  KARAPACE_ASSERT(controls.size() == packages.size());
  std::string index;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    const LockedPackage& package = packages[i];
    const std::vector<Stanza> stanzas = parse_stanzas(controls[i]);
    if (stanzas.size() != 1 || stanzas[0].get("Package") != package.name ||
        stanzas[0].get("Version") != package.version || stanzas[0].get("Architecture") != package.arch) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("the package file {} is not {} {} ({}) as the lock says", package.sha256,
                              package.name, package.version, package.arch));
    }
    Stanza stanza = stanzas[0];
    if (repository.all_required) stanza.set("Priority", "required");
    stanza.set("Filename", "./" + files[i]);
    stanza.set("Size", std::to_string(package.size));
    stanza.set("SHA256", package.sha256);
    index += stanza.text() + "\n";
  }
  const UniqueFd opened = context.store.open_dir(directory);
  write_file(opened, "Packages", index);
  const UniqueFd packages_file = open_beneath(opened, "Packages", O_RDONLY);
  write_file(
      opened, "Release",
      fmt::format("Origin: {}\nSuite: {}\nCodename: {}\nDate: Wed, 01 Jan 2025 00:00:00 UTC\nSHA256:\n {} {} "
                  "Packages\n",
                  repository.origin, repository.codename, repository.codename,
                  worker.sha256(packages_file, context.cancel), index.size()));
}

std::vector<std::string> exact_names(const Simulation& simulation) {
  std::vector<std::string> names;
  for (const SimulatedInstall& install : simulation.installs) {
    names.push_back(fmt::format("{}={}", install.name, install.version));
  }
  return names;
}

std::vector<LockedPackage> make_closure(const ClosureInput& input) {
  std::map<std::string, const Stanza*, std::less<>> by_hash;
  for (const Stanza& stanza : input.stanzas) by_hash.emplace(stanza.get("SHA256"), &stanza);
  std::vector<LockedPackage> closure;
  for (const PrintedUri& printed : input.uris) {
    LockedPackage package;
    const auto known = std::ranges::find(input.locked, printed.sha256, &LockedPackage::sha256);
    if (known != input.locked.end()) {
      package = *known;
    } else {
      const auto stanza = by_hash.find(printed.sha256);
      const auto located = locate(printed.uri, input.repositories, input.mirrors);
      if (stanza == by_hash.end() || !located) {
        throw Error(ErrorCode::External,
                    fmt::format("apt names {} and does not say what it is", printable(printed.uri)));
      }
      package.name = stanza->second->get("Package");
      package.version = stanza->second->get("Version");
      package.arch = stanza->second->get("Architecture");
      package.sha256 = printed.sha256;
      package.size = printed.size;
      package.repository = located->repository;
      package.path = located->path;
    }
    package.requested =
        std::ranges::find(input.requested, package.name, name_in_request) != input.requested.end();
    closure.push_back(std::move(package));
  }
  if (closure.size() != input.simulation.installs.size()) {
    throw Error(ErrorCode::External, fmt::format("apt would install {} packages and has files of {}",
                                                 input.simulation.installs.size(), closure.size()));
  }
  sort_packages(closure);
  return closure;
}

}  // namespace karapace::runtime::apt
