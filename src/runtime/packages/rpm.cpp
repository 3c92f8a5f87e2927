// SPDX-License-Identifier: Apache-2.0
#include "packages/rpm.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "karapace/base/error.hpp"
#include "karapace/base/text.hpp"
#include "packages/package_files.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime {
namespace {

constexpr std::string_view kDatabase = "rpm-database";
constexpr std::string_view kInsideDatabase = "/run/rpm-database";
constexpr std::string_view kKeyedFiles = "signed-packages";

void run_checked(BaseSystem& system, const BaseSystem::Program& program) {
  const RunResult result = system.run(program);
  if (result.status == 0) return;
  throw_install_failed(system.context(), "the database of installed packages cannot be made anew", result);
}

std::string database_path(BaseSystem& system) {
  const RunResult result = system.run({.argv = {"rpm", "--eval", "%{_dbpath}"}});
  check_step(result, ErrorCode::External, "rpm does not say where its database is");
  std::string path = result.out.substr(0, result.out.find('\n'));
  if (!path.starts_with('/')) {
    throw Error(ErrorCode::External,
                fmt::format("rpm does not say where its database is: '{}'", printable(path)));
  }
  return path;
}

/// Where records lie in the database, and its journal, depend on the moment. rpm would make it anew by
/// renaming its directory, which no overlay allows, so that happens in a plain one.
void rebuild_database(BaseSystem& system) {
  const std::string path = database_path(system);
  system.worker().make_directories(system.context().operation.staging_path(), {std::string(kDatabase)},
                                   system.context().cancel);
  const std::string copy = fmt::format("{}/rpm", kInsideDatabase);
  const std::vector<MountStep> mounts = {system.staged(kDatabase, kInsideDatabase, false)};
  run_checked(system, {.argv = {"cp", "-a", "--", path, copy}, .mounts = mounts});
  run_checked(system, {.argv = {"rpm", "--dbpath", copy, "--rebuilddb"}, .mounts = mounts});
  run_checked(system, {.argv = {"cp", "-aT", "--", copy, path}, .mounts = mounts});
  std::vector<std::string> remove = {"rm", "-f", "--"};
  for (const char* name : {"rpmdb.sqlite-shm", "rpmdb.sqlite-wal", ".rpm.lock"})
    remove.push_back(fmt::format("{}/{}", path, name));
  run_checked(system, {.argv = std::move(remove)});
}

}  // namespace

void RpmManager::install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                               const std::vector<std::string>& paths) {
  system.context().progress.step("install", counted(packages.size(), "package"));
  // Who signed them was looked at when they were locked, by their hash.
  std::vector<std::string> argv = {"rpm", "-U", "--nosignature", "--oldpackage", "--"};
  argv.insert(argv.end(), paths.begin(), paths.end());
  const RunResult result = system.run(installing(system, std::move(argv)));
  if (result.status != 0) throw_install_failed(system.context(), "rpm cannot install the packages", result);
  // rpm calls that a success, and so does every distribution that uses it.
  for_each_line(result.err, [&](std::string_view line) {
    if (line.contains("scriptlet failed")) system.context().progress.note(printable(line, 400));
  });
}

std::vector<InstalledPackage> RpmManager::installed(BaseSystem& system) {
  const RunResult listed = system.run({.argv = {"rpm", "-qa", "--qf", R"(%{NAME}\t%{EVR}\t%{ARCH}\n)"}});
  check_step(listed, ErrorCode::External, "rpm cannot list what is installed");
  return parse_rpm_query(listed.out);
}

std::vector<std::pair<std::string, std::string>> RpmManager::finish(
    BaseSystem& system, const std::vector<LockedPackage>& /*packages*/) {
  rebuild_database(system);
  return {};
}

std::vector<InstalledPackage> parse_rpm_query(std::string_view output) {
  std::vector<InstalledPackage> packages;
  for_each_line(output, [&](std::string_view line) {
    const auto tab = line.find('\t');
    const auto second = tab == std::string_view::npos ? tab : line.find('\t', tab + 1);
    if (second == std::string_view::npos) return;
    std::string_view version = line.substr(tab + 1, second - tab - 1);
    if (version.starts_with("0:")) version.remove_prefix(2);
    packages.push_back(
        {std::string(line.substr(0, tab)), std::string(version), std::string(line.substr(second + 1))});
  });
  return packages;
}

std::vector<std::string> parse_bad_signatures(std::string_view output) {
  std::vector<std::string> files;
  for_each_line(output, [&](std::string_view line) {
    const auto colon = line.find(": ");
    if (!line.starts_with('/') || colon == std::string_view::npos) return;
    const std::string_view verdict = line.substr(colon + 2);
    if (!verdict.ends_with(" OK") || verdict.ends_with(" NOT OK")) files.emplace_back(line.substr(0, colon));
  });
  return files;
}

void import_keys(BaseSystem& system, std::string_view repository, const std::vector<std::string>& keys) {
  if (keys.empty()) return;
  std::vector<std::string> import = {"rpmkeys", "--import", "--"};
  for (std::string_view key : keys) {
    if (!key.starts_with("file:///") && !key.starts_with("https://")) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("the key of repository '{}' is at {}: anybody may have changed it on its way",
                              printable(repository), printable(key)));
    }
    constexpr std::string_view kFile = "file://";
    if (key.starts_with(kFile)) key.remove_prefix(kFile.size());
    import.emplace_back(key);
  }
  check_step(system.run({.argv = import, .environment = network_environment(), .network = true}),
             ErrorCode::InvalidInput,
             fmt::format("the keys of repository '{}' cannot be read", printable(repository)));
}

namespace {

/// The packages of one repository; the keys of another are no good for them.
void check_repository(BuildContext& context, const Digest& base_layer, const SignedPackages& wanted,
                      const std::string& name) {
  BaseSystem system(context, base_layer, name);
  system.prepare({{"etc/resolv.conf", host_resolv_conf(), 0644}});
  import_keys(system, wanted.repository, wanted.keys);
  link_packages(context, wanted.packages, name + "-files", kRpmSuffix);
  std::vector<std::string> argv = {"rpmkeys", "--checksig", "--define", "_pkgverify_level signature", "--"};
  for (const LockedPackage& package : wanted.packages)
    argv.push_back(fmt::format("{}/{}", kInsidePackages, file_name_of(package, kRpmSuffix)));
  const RunResult checked = system.run(
      {.argv = std::move(argv), .mounts = {system.staged(name + "-files", kInsidePackages, true)}});
  if (checked.status == 0) return;
  const std::vector<std::string> bad = parse_bad_signatures(checked.out);
  std::vector<std::string> labels;
  for (const LockedPackage& package : wanted.packages) {
    const std::string path = fmt::format("{}/{}", kInsidePackages, file_name_of(package, kRpmSuffix));
    if (std::ranges::find(bad, path) != bad.end()) labels.push_back(printable(label_of(package)));
  }
  if (labels.empty()) check_step(checked, ErrorCode::External, "rpmkeys cannot check the packages");
  throw Error(ErrorCode::InvalidInput, fmt::format("not signed by a key of repository '{}': {}",
                                                   printable(wanted.repository), fmt::join(labels, ", ")));
}

}  // namespace

std::vector<LockedPackage> new_packages_of(std::string_view repository,
                                           const std::vector<LockedPackage>& packages,
                                           const std::vector<LockedPackage>& locked) {
  std::vector<LockedPackage> found;
  std::ranges::copy_if(packages, std::back_inserter(found), [&](const LockedPackage& package) {
    return package.repository == repository &&
           std::ranges::find(locked, package.sha256, &LockedPackage::sha256) == locked.end();
  });
  return found;
}

void fetch_and_check(BuildContext& context, const Digest& base_layer,
                     const std::vector<SignedPackages>& wanted, const std::vector<Repository>& repositories,
                     const Mirrors& mirrors) {
  std::vector<LockedPackage> fetched;
  for (const SignedPackages& packages : wanted)
    fetched.insert(fetched.end(), packages.packages.begin(), packages.packages.end());
  if (fetched.empty()) return;
  KARAPACE_ASSERT(context.fetch != nullptr);
  context.fetch(artefacts_of(fetched, repositories, mirrors));
  context.progress.step("signatures", counted(fetched.size(), "package"));
  std::size_t number = 0;
  for (const SignedPackages& packages : wanted) {
    if (packages.packages.empty()) continue;
    check_repository(context, base_layer, packages, fmt::format("{}-{}", kKeyedFiles, ++number));
  }
}

}  // namespace karapace::runtime
