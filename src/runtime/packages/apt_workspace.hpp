// SPDX-License-Identifier: Apache-2.0
// What the apt steps share inside one operation: a directory for apt's state, local repositories of exact
// package files, and the fixed environment of everything that installs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/backend.hpp"
#include "karapace/runtime/worker.hpp"
#include "packages/apt_output.hpp"
#include "packages/apt_sources.hpp"
#include "packages/base_system.hpp"
#include "packages/package_files.hpp"

namespace karapace::runtime::apt {

inline constexpr std::string_view kSuffix = ".deb";

/// store/staging/<op>/apt, created on first use: lists/, cache/, etc/, log/.
class Workspace {
 public:
  explicit Workspace(BuildContext& context);

  /// Absolute on the host. Refuses a store path that apt's configuration cannot quote.
  [[nodiscard]] std::string host_path() const;
  /// Relative to the store root.
  [[nodiscard]] std::string relative_path() const;
  void write(const std::string& name, std::string_view content) const;
  /// True once lists of `sources_text` were fetched in this operation, by whichever step came first.
  [[nodiscard]] bool has_lists(std::string_view sources_text) const;
  void mark_lists(std::string_view sources_text) const;

 private:
  BuildContext& context_;
  UniqueFd directory_;
};

/// base_environment, and no questions of debconf's.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> install_environment();
/// Whether this host's own apt is told to accept expired archives (Acquire::Check-Valid-Until in
/// apt.conf(5)): who runs a mirror that stands still has said so there, and should not have to say it again.
[[nodiscard]] bool host_accepts_expired(CancelToken& cancel);

/// For apt that talks to the network.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> network_environment(
    const std::string& apt_config);

struct LocalRepository {
  std::string name;      // directory in the staging directory, with the packages in it
  std::string codename;  // of the Release file
  std::string origin;
  bool all_required = false;  // Priority: required for everything, so that a bootstrap takes it all
};
/// Writes Packages (from the packages' own control files, which must say what the lock says) and Release.
void write_repository(BuildContext& context, TreeWorker& worker, const std::vector<LockedPackage>& packages,
                      const LocalRepository& repository);

/// Matches what apt would install with its stanzas and URIs. Both texts are what the programs printed.
struct ClosureInput {
  const Simulation& simulation;
  const std::vector<PrintedUri>& uris;
  const std::vector<Stanza>& stanzas;
  const std::vector<Repository>& repositories;
  const Mirrors& mirrors;
  const std::vector<LockedPackage>& locked;  // known from the lock: taken as they are if the hash is the same
  const std::vector<std::string>& requested;
};
[[nodiscard]] std::vector<LockedPackage> make_closure(const ClosureInput& input);

/// "name=version" of every install, for apt-cache show.
[[nodiscard]] std::vector<std::string> exact_names(const Simulation& simulation);

}  // namespace karapace::runtime::apt
