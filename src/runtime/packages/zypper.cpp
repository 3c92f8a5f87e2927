// SPDX-License-Identifier: Apache-2.0
#include "packages/zypper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"
#include "packages/package_files.hpp"
#include "packages/rpm.hpp"
#include "packages/step_output.hpp"
#include "packages/zypper_output.hpp"

namespace karapace::runtime::zypper {
namespace {

constexpr std::chrono::milliseconds kDeadline = std::chrono::minutes(15);
constexpr std::string_view kDirectory = "zypper";
constexpr std::string_view kLockedFiles = "locked";
// An alias that no distribution gives to a repository of its own.
constexpr std::string_view kLockedRepository = "karapace-locked";
// "Installed, and something should be started again": nothing that a layer has to care about.
constexpr int kRebootNeeded = 102;
constexpr int kRestartNeeded = 103;

std::string inside(std::string_view name) { return fmt::format("{}/{}", kInsideDirectory, name); }

/// zypper of the base, in an overlay that is thrown away, with network.
class Resolver {
 public:
  Resolver(BuildContext& context, const ResolveRequest& request)
      : context_(context),
        request_(request),
        system_(context, request.base_layer, "resolve"),
        mirrors_(Mirrors::from_environment()),
        kept_(present_packages(context, request.locked)) {}

  PackageResolution resolve() {
    system_.prepare({{"etc/resolv.conf", host_resolv_conf(), 0644}});
    ensure_directory_at(context_.operation.staging(), fmt::format("{}/repos.d", kDirectory), 0755);
    link_packages(context_, kept_, std::string(kLockedFiles), kRpmSuffix);
    configure();
    refresh();
    RunResult planned = plan("--dry-run");
    if (!succeeded(planned) && !kept_.empty()) {
      // What is new does not go together with what was locked: then the repositories alone decide.
      kept_.clear();
      offer_locked();
      planned = plan("--dry-run");
    }
    refuse_if_unresolvable(planned);
    PackageResolution resolution;
    resolution.repositories = request_.repositories;
    resolution.packages = closure(parse_plan(planned.out), resolution.repositories);
    check_new(resolution);
    return resolution;
  }

 private:
  RunResult run(std::vector<std::string> argv) {
    return system_.run({.argv = std::move(argv),
                        .environment = network_environment(),
                        .network = true,
                        .mounts = {system_.staged(kDirectory, kInsideDirectory, false),
                                   system_.staged(kLockedFiles, kInsidePackages, true)},
                        .deadline = kDeadline});
  }

  /// With our configuration and caches.
  RunResult zypper(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {"zypper",       "--xmlout",        "--non-interactive", "--no-refresh",
                                     "--reposd-dir", inside("repos.d"), "--cache-dir",       inside("cache")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run(std::move(argv));
  }

  static bool succeeded(const RunResult& result) {
    return result.status == 0 || result.status == kRebootNeeded || result.status == kRestartNeeded;
  }

  [[noreturn]] void throw_unreadable(const RunResult& result) const {
    const std::string problems = parse_problems(result.out);
    throw Error(ErrorCode::Unavailable,
                fmt::format("cannot read the package repositories of {}:\n{}", request_.image.display_name,
                            last_lines(problems, result.err)),
                "check the network, or name a mirror: KARAPACE_MIRROR=REPOSITORY=http://HOST/PATH");
  }

  void write_repositories(const std::string& name, std::string_view content) {
    UniqueFd file = open_beneath(context_.operation.staging(), fmt::format("{}/repos.d/{}", kDirectory, name),
                                 O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write_all(file, content);
    file.close();
  }

  void configure() {
    // Repositories may come from a service, which is a list of them.
    const RunResult services = run({"zypper", "--xmlout", "--non-interactive", "refresh-services"});
    if (services.status != 0) throw_unreadable(services);
    const RunResult listed = run({"zypper", "--xmlout", "--non-interactive", "repos"});
    repositories_ = parse_repositories(listed.out);
    if (repositories_.empty()) {
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("zypper of {} has no repository that is enabled:\n{}", request_.image.display_name,
                      last_lines(parse_problems(listed.out), listed.err)),
          "use an image that has one in /etc/zypp/repos.d");
    }
    const RunResult files = run({"grep", "-h", "-r", "--include=*.repo", "", "/etc/zypp/repos.d"});
    check_step(files, ErrorCode::External, "the configuration of zypper cannot be read");
    write_repositories("base.repo", with_mirrors(files.out, mirrors_));
    offer_locked();
    for (ConfiguredRepository& repository : repositories_) {
      // zypper would ask for the others whether they are to be believed; then nothing signed by them is.
      std::erase_if(repository.keys, [&](const std::string& key) {
        const bool safe = key.starts_with("file:///") || key.starts_with("https://");
        if (!safe) {
          context_.progress.note(fmt::format(
              "the key of repository '{}' at {} is not used: anybody may have changed it on its way",
              printable(repository.alias), printable(key)));
        }
        return !safe;
      });
      import_keys(system_, repository.alias, repository.keys);
    }
  }

  /// The repository with the smaller number wins, so what is locked stands in front.
  void offer_locked() {
    if (kept_.empty()) {
      static_cast<void>(
          try_unlink_at(open_directory(context_.operation.staging(), fmt::format("{}/repos.d", kDirectory)),
                        "locked.repo"));
      return;
    }
    // libzypp looks for the files of a plain directory with it.
    if (!try_open_in_root(system_.base(), "/usr/bin/find", O_PATH)) {
      throw Error(ErrorCode::Unsupported,
                  fmt::format("zypper of {} needs /usr/bin/find to keep the versions of the lock",
                              request_.image.display_name),
                  "use an image with findutils, or resolve everything anew: karapace build --update");
    }
    write_repositories("locked.repo",
                       fmt::format("[{0}]\nname={0}\nenabled=1\nautorefresh=0\npriority=1\ntype=plaindir\n"
                                   "baseurl=dir:{1}\ngpgcheck=0\n",
                                   kLockedRepository, kInsidePackages));
  }

  void refresh() {
    const RunResult refreshed = zypper({"refresh"});
    if (refreshed.status != 0) throw_unreadable(refreshed);
    // Only now zypper can say whether the signature of an index is enough.
    std::map<std::string, bool> signed_packages;
    for (const ConfiguredRepository& repository : parse_repositories(zypper({"repos"}).out))
      signed_packages[repository.alias] = repository.signed_packages;
    for (ConfiguredRepository& repository : repositories_) {
      const auto found = signed_packages.find(repository.alias);
      if (found != signed_packages.end()) repository.signed_packages = found->second;
    }
  }

  RunResult plan(const char* how) {
    std::vector<std::string> arguments = {"install", how, "--no-recommends", "--auto-agree-with-licenses",
                                          "--name",  "--"};
    arguments.insert(arguments.end(), request_.names.begin(), request_.names.end());
    return zypper(std::move(arguments));
  }

  /// What zypper would install is known to be a package; it takes seconds to ask for the other names.
  void refuse_unknown(const Plan& plan) {
    std::vector<std::string> known;
    for (const Planned& package : plan.packages) known.push_back(package.name);
    std::ranges::sort(known);
    if (unknown_names(request_.names, known).empty()) return;
    known = parse_names(zypper({"search", "--type", "package"}).out);
    const std::vector<std::string> unknown = unknown_names(request_.names, known);
    if (known.empty() || unknown.empty()) return;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{} has no package {}", request_.image.display_name, fmt::join(unknown, ", ")),
                did_you_mean(unknown, known));
  }

  void refuse_if_unresolvable(const RunResult& planned) {
    const std::string& image = request_.image.display_name;
    const Plan plan = parse_plan(planned.out);
    refuse_unknown(plan);
    if (!succeeded(planned)) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} cannot be installed together in {}:\n{}", fmt::join(request_.names, ", "),
                              image, last_lines(parse_problems(planned.out), planned.err)));
    }
    if (plan.removed.empty()) return;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("installing these packages would remove {} from the base image",
                            fmt::join(plan.removed, ", ")));
  }

  std::vector<LockedPackage> closure(const Plan& plan, std::vector<Repository>& repositories) {
    std::vector<LockedPackage> packages;
    std::vector<Planned> wanted;
    for (const Planned& planned : plan.packages) {
      const auto kept = std::ranges::find_if(kept_, [&](const LockedPackage& package) {
        return package.name == planned.name && package.version == planned.version &&
               package.arch == planned.arch;
      });
      if (kept == kept_.end()) {
        wanted.push_back(planned);
      } else {
        packages.push_back(*kept);
      }
    }
    describe(wanted, packages, repositories);
    download_unhashed(packages);
    for (LockedPackage& package : packages)
      package.requested = std::ranges::find(request_.names, package.name) != request_.names.end();
    sort_packages(packages);
    return packages;
  }

  /// zypper does not say where a package comes from. Of several repositories that have one of this name,
  /// version and architecture, it is the one that zypper prefers.
  void describe(std::vector<Planned> wanted, std::vector<LockedPackage>& packages,
                std::vector<Repository>& repositories) {
    for (const ConfiguredRepository& repository : repositories_) {
      if (wanted.empty()) return;
      for (const Described& described : descriptions_of(repository, wanted)) {
        const auto found = std::ranges::find_if(wanted, [&](const Planned& planned) {
          return planned.name == described.name && planned.version == described.version &&
                 planned.arch == described.arch;
        });
        if (found == wanted.end()) continue;
        wanted.erase(found);
        packages.push_back(locked_package(repository, described));
        put_repository(repositories, repository.alias, repository.url,
                       "its baseurl must begin with http:// or https://");
      }
    }
    if (wanted.empty()) return;
    throw Error(ErrorCode::Unsupported,
                fmt::format("no index of a repository of {} has {} {}, which zypper would install",
                            request_.image.display_name, printable(wanted.front().name),
                            printable(wanted.front().version)),
                "this version reads repositories with repodata/repomd.xml (type=rpm-md) only");
  }

  std::vector<Described> descriptions_of(const ConfiguredRepository& repository,
                                         const std::vector<Planned>& wanted) {
    std::vector<std::string> names;
    for (const Planned& planned : wanted) names.push_back(planned.name);
    const auto text = system_.worker().rpm_descriptions(
        fmt::format("{}/{}/repodata", context_.operation.staging_path(), cached("raw", repository.alias)),
        names, context_.cancel);
    return parse_descriptions(text.value_or(""));
  }

  /// Without a hash where the index has another one than a lock has.
  static LockedPackage locked_package(const ConfiguredRepository& repository, const Described& described) {
    LockedPackage package;
    package.name = described.name;
    package.version = described.version;
    package.arch = described.arch;
    package.repository = repository.alias;
    package.path = described.path;
    package.size = described.size;
    if (described.checksum_kind == "sha256" && Digest::is_valid(described.checksum)) {
      package.sha256 = described.checksum;
    } else if (described.checksum_kind != "sha512" && described.checksum_kind != "sha384") {
      throw Error(ErrorCode::Unsupported,
                  fmt::format("repository '{}' has no SHA256 for {}, but {}", printable(package.repository),
                              printable(label_of(package)), printable(described.checksum_kind)));
    }
    if (described.elsewhere) {
      throw Error(ErrorCode::Unsupported,
                  fmt::format("repository '{}' does not have {} itself, but names another place for it",
                              printable(package.repository), printable(label_of(package))));
    }
    return package;
  }

  /// Where zypper keeps what it has of a repository, in staging: its alias as libzypp makes a file name of
  /// it.
  static std::string cached(std::string_view kind, std::string alias) {
    std::ranges::replace(alias, '/', '_');
    return fmt::format("{}/cache/{}/{}", kDirectory, kind, alias);
  }

  /// openSUSE's indexes have SHA512. Then it is zypper that compares, and the hash is that of what it took.
  void download_unhashed(std::vector<LockedPackage>& packages) {
    const auto count =
        std::ranges::count_if(packages, [](const LockedPackage& package) { return package.sha256.empty(); });
    if (count == 0) return;
    context_.progress.step("download", fmt::format("{} packages, by zypper", count));
    const RunResult downloaded = plan("--download-only");
    std::vector<std::string> missing;
    for (LockedPackage& package : packages) {
      if (package.sha256.empty() && !take_downloaded(package)) missing.push_back(label_of(package));
    }
    if (missing.empty()) return;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("zypper of {} has not downloaded {}:\n{}", request_.image.display_name,
                            printable(fmt::format("{}", fmt::join(missing, ", ")), 4096),
                            last_lines(parse_problems(downloaded.out), downloaded.err)));
  }

  bool take_downloaded(LockedPackage& package) {
    const UniqueFd staging = context_.operation.staging();
    const auto file = try_open_beneath(
        staging, fmt::format("{}/{}", cached("packages", package.repository), package.path), O_RDONLY);
    if (!file) return false;
    // It may belong to a subordinate id: a copy is ours.
    TreeWorker worker(context_.store, Ownership::Flat);
    package.sha256 = worker.sha256(*file, context_.cancel);
    package.size = static_cast<std::uint64_t>(stat_fd(*file).st_size);
    worker.read_bundle(*file, 0, {{package.sha256, package.size, label_of(package)}},
                       context_.operation.staging_path(), context_.progress, context_.cancel);
    KARAPACE_ASSERT(context_.adopt != nullptr);
    context_.adopt(staging, {package.sha256});
    return true;
  }

  /// What was locked before was looked at then.
  void check_new(const PackageResolution& resolution) {
    std::vector<SignedPackages> wanted;
    for (const ConfiguredRepository& repository : repositories_) {
      if (!repository.signed_packages) continue;
      wanted.push_back(
          {repository.alias, repository.keys, new_packages_of(repository.alias, resolution.packages, kept_)});
    }
    fetch_and_check(context_, request_.base_layer, wanted, resolution.repositories, mirrors_);
  }

  BuildContext& context_;
  const ResolveRequest& request_;
  BaseSystem system_;
  Mirrors mirrors_;
  std::vector<LockedPackage> kept_;
  std::vector<ConfiguredRepository> repositories_;
};

class ZypperManager : public RpmManager {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "zypper"; }
  [[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request) override {
    return Resolver(context, request).resolve();
  }
};

}  // namespace

std::unique_ptr<PackageManager> make_manager() { return std::make_unique<ZypperManager>(); }

}  // namespace karapace::runtime::zypper
