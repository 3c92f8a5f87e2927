// SPDX-License-Identifier: Apache-2.0
#include "packages/pacman.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/object_store.hpp"
#include "packages/package_files.hpp"
#include "packages/pacman_output.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::pacman {
namespace {

constexpr std::chrono::milliseconds kDeadline = std::chrono::minutes(15);
constexpr std::string_view kSuffix = ".pkg.tar";
constexpr std::string_view kDirectory = "pacman";
constexpr std::string_view kOverlay = "resolve";
constexpr std::string_view kSigned = "signed-packages";
// A name that no distribution gives to a repository of its own.
constexpr std::string_view kLockedRepository = "karapace-locked";

void write_file(FdRef directory, const std::string& name, std::string_view content) {
  UniqueFd file = open_beneath(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  write_all(file, content);
  file.close();
}

UniqueFd make_workspace(BuildContext& context) {
  const std::string cache = fmt::format("{}/cache", kDirectory);
  ensure_directory_at(context.operation.staging(), cache, 0755);
  return open_directory(context.operation.staging(), std::string(kDirectory));
}

std::vector<Section> configuration(BaseSystem& system) {
  const RunResult printed = system.run({.argv = {"pacman-conf"}});
  check_step(printed, ErrorCode::External, "pacman does not tell its configuration");
  std::vector<Section> sections = parse_configuration(printed.out);
  if (sections.empty() || sections.front().name != "options")
    throw Error(ErrorCode::External, "pacman does not tell its configuration");
  // Caches and logs are ours, there may be only one user, and the free space is that of the host.
  const std::set<std::string_view> ours = {"CacheDir", "CheckSpace", "DownloadUser", "LogFile"};
  std::erase_if(sections.front().lines, [&](const auto& line) { return ours.contains(line.first); });
  return sections;
}

std::string inside(std::string_view name) { return fmt::format("{}/{}", kInsideDirectory, name); }

/// pacman of the base, in an overlay that is thrown away, with network.
class Resolver {
 public:
  Resolver(BuildContext& context, const ResolveRequest& request)
      : context_(context),
        request_(request),
        system_(context, request.base_layer, std::string(kOverlay)),
        workspace_(make_workspace(context)),
        mirrors_(Mirrors::from_environment()),
        kept_(present_packages(context, request.locked)) {}

  PackageResolution resolve() {
    system_.prepare({{"etc/resolv.conf", host_resolv_conf(), 0644}});
    sections_ = configuration(system_);
    offer_locked();
    configure(!kept_.empty());
    const RunResult refreshed = run({"-Sy"});
    if (refreshed.status != 0) {
      throw_unreachable(
          fmt::format("cannot read the package repositories of {}", request_.image.display_name), refreshed);
    }
    if (!prepare() && !kept_.empty()) {
      // What is new does not go together with what was locked: then the repositories alone decide.
      configure(false);
      static_cast<void>(prepare());
    }
    refuse_if_unresolvable();
    PackageResolution resolution;
    resolution.packages = closure();
    resolution.repositories = repositories_of(resolution.packages);
    check_new(resolution);
    return resolution;
  }

 private:
  RunResult run(std::vector<std::string> arguments, std::vector<MountStep> more_mounts = {}) {
    std::vector<std::string> argv = {"pacman", "--config", inside("pacman.conf")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    more_mounts.push_back(system_.staged(kDirectory, kInsideDirectory, false));
    return system_.run({.argv = std::move(argv),
                        .environment = network_environment(),
                        .network = true,
                        .mounts = std::move(more_mounts),
                        .deadline = kDeadline});
  }

  RunResult run_on_names(std::vector<std::string> arguments) {
    arguments.emplace_back("--");
    arguments.insert(arguments.end(), request_.names.begin(), request_.names.end());
    return run(std::move(arguments));
  }

  /// The first repository that has a name wins, so what is locked stands in front.
  void configure(bool with_locked) {
    std::vector<Section> sections = sections_;
    auto& options = sections.front().lines;
    options.emplace_back("CacheDir", inside("cache/"));
    options.emplace_back("CacheDir", fmt::format("{}/", kInsidePackages));
    options.emplace_back("LogFile", inside("pacman.log"));
    for (const auto& [name, url] : mirrors_.all()) {
      const auto mirrored = std::ranges::find(sections, name, &Section::name);
      if (mirrored == sections.end()) continue;
      std::erase_if(mirrored->lines, [](const auto& line) { return line.first == "Server"; });
      mirrored->lines.emplace_back("Server", url);
    }
    if (with_locked) {
      sections.insert(
          sections.begin() + 1,
          Section{std::string(kLockedRepository),
                  {{"SigLevel", "Never"}, {"Server", fmt::format("file://{}", kInsideDirectory)}}});
    }
    write_file(workspace_, "pacman.conf", configuration_text(sections));
  }

  void offer_locked() {
    std::vector<std::string> objects;
    for (const LockedPackage& package : kept_) objects.push_back(package.sha256);
    const auto infos =
        system_.worker().archive_texts("store/packages", objects, {".PKGINFO"}, context_.cancel);
    std::vector<std::pair<std::string, std::string>> entries;
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const LockedPackage& package = kept_[i];
      const auto info = infos.at(i).find(".PKGINFO");
      if (info == infos[i].end()) {
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("the package file {} is no package of pacman's", package.sha256));
      }
      entries.emplace_back(fmt::format("{}-{}/desc", package.name, package.version),
                           description_of(info->second, package, file_name_of(package, kSuffix)));
    }
    write_file(workspace_, fmt::format("{}.db", kLockedRepository), tar_of(entries));
  }

  /// Without an answer to its question pacman does everything but install. False if it cannot.
  bool prepare() {
    prepared_ = run_on_names({"-S", "--needed"});
    return !prepared_.err.contains("error: ");
  }

  /// What is asked for must be one package: pacman would take all of a group, and the first of several that
  /// provide a name.
  void refuse_choices() const {
    const std::vector<std::string> choices = targets_of_choice(prepared_.out);
    std::vector<std::string> unknown;
    std::ranges::copy_if(request_.names, std::back_inserter(unknown), [&](const std::string& name) {
      return std::ranges::binary_search(choices, name.substr(name.find('/') + 1));
    });
    if (unknown.empty()) return;
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format("{} has no package {}", request_.image.display_name, fmt::join(unknown, ", ")),
        fmt::format("there are several packages for {}: name those that you mean", fmt::join(unknown, ", ")));
  }

  void refuse_if_unresolvable() {
    if (!prepared_.err.contains("error: ")) return refuse_choices();
    const std::string& image = request_.image.display_name;
    const std::vector<std::string> unknown = unknown_targets(prepared_.err);
    if (unknown.empty()) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} cannot be installed together in {}:\n{}", fmt::join(request_.names, ", "),
                              image, last_lines(prepared_.out, prepared_.err)));
    }
    std::vector<std::string> names;
    for_each_line(run({"-Slq"}).out, [&](std::string_view line) { names.emplace_back(line); });
    throw Error(ErrorCode::InvalidInput, fmt::format("{} has no package {}", image, fmt::join(unknown, ", ")),
                did_you_mean(unknown, names));
  }

  std::vector<LockedPackage> closure() {
    const RunResult printed =
        run_on_names({"-S", "--needed", "--print", "--print-format", std::string(kPrintFormat)});
    check_step(printed, ErrorCode::External, "pacman cannot name the package files");
    std::vector<LockedPackage> packages;
    for (const Printed& line : parse_printed(printed.out)) {
      LockedPackage& package = packages.emplace_back(
          line.repository == kLockedRepository ? locked_package(line) : described_package(line));
      package.requested = std::ranges::find(request_.names, package.name) != request_.names.end();
    }
    sort_packages(packages);
    return packages;
  }

  LockedPackage locked_package(const Printed& line) const {
    const auto found = std::ranges::find_if(kept_, [&](const LockedPackage& package) {
      return package.name == line.name && package.version == line.version;
    });
    KARAPACE_ASSERT(found != kept_.end());
    return *found;
  }

  LockedPackage described_package(const Printed& line) {
    const std::string entry = fmt::format("{}-{}/desc", line.name, line.version);
    const auto path = sections_.front().all("DBPath");
    const std::string databases = fmt::format("{}/{}{}/sync", context_.operation.staging_path(), kOverlay,
                                              path.empty() ? "/var/lib/pacman" : path.front());
    const auto texts =
        system_.worker().archive_texts(databases, {line.repository + ".db"}, {entry}, context_.cancel);
    const Description description =
        texts.front().contains(entry) ? parse_description(texts.front().at(entry)) : Description{};
    const auto value = [&](std::string_view key) {
      const auto found = description.find(key);
      return found == description.end() || found->second.empty() ? std::string() : found->second.front();
    };
    LockedPackage package;
    package.name = line.name;
    package.version = line.version;
    package.arch = value("ARCH");
    package.sha256 = value("SHA256SUM");
    package.size = number(value("CSIZE"));
    package.repository = line.repository;
    package.path = value("FILENAME");
    if (!Digest::is_valid(package.sha256) || !is_path_component(package.path)) {
      throw Error(ErrorCode::External, fmt::format("repository '{}' has no SHA256 or file name for {}",
                                                   printable(line.repository), printable(label_of(package))));
    }
    return package;
  }

  static std::uint64_t number(const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  [[nodiscard]] const Section& section(const std::string& repository) const {
    const auto found = std::ranges::find(sections_, repository, &Section::name);
    KARAPACE_ASSERT(found != sections_.end());
    return *found;
  }

  /// Where the base's configuration says that they are: the first server.
  std::vector<Repository> repositories_of(const std::vector<LockedPackage>& packages) const {
    std::vector<Repository> repositories = request_.repositories;
    for (const LockedPackage& package : packages) {
      if (is_kept(package)) continue;
      const std::vector<std::string> servers = section(package.repository).all("Server");
      put_repository(repositories, package.repository, servers.empty() ? std::string() : servers.front(),
                     "its Server must begin with http:// or https://");
    }
    return repositories;
  }

  [[nodiscard]] bool is_kept(const LockedPackage& package) const {
    return std::ranges::find(kept_, package.sha256, &LockedPackage::sha256) != kept_.end();
  }

  /// What was locked before was looked at then.
  void check_new(const PackageResolution& resolution) {
    std::vector<LockedPackage> wanted;
    for (const LockedPackage& package : resolution.packages) {
      if (is_kept(package) || wants_no_signatures(sections_.front(), section(package.repository))) continue;
      wanted.push_back(package);
    }
    if (wanted.empty()) return;
    KARAPACE_ASSERT(context_.fetch != nullptr);
    context_.fetch(artefacts_of(wanted, resolution.repositories, mirrors_));
    context_.progress.step("signatures", counted(wanted.size(), "package"));
    make_directory_at(context_.operation.staging(), std::string(kSigned), 0755);
    const UniqueFd directory = open_directory(context_.operation.staging(), std::string(kSigned));
    const store::PackageStore files(context_.store);
    // Downloading what lies in a cache already: pacman looks whether it is what its configuration wants.
    std::vector<std::string> arguments = {"-Sw", "--noconfirm", "--nodeps", "--nodeps", "--"};
    for (const LockedPackage& package : wanted) {
      files.link_into(package.sha256, directory, package.path);
      arguments.push_back(fmt::format("{}/{}", package.repository, package.name));
    }
    const RunResult checked = run(std::move(arguments), {system_.staged(kSigned, kInsidePackages, true)});
    if (checked.status == 0) return;
    std::vector<std::string> bad;
    for (const LockedPackage& package : wanted) {
      // By its name where the signature is bad, by its file where there is none.
      if (checked.err.contains(fmt::format("error: {}: ", package.name)) ||
          checked.err.contains(package.path))
        bad.push_back(printable(label_of(package)));
    }
    throw Error(ErrorCode::InvalidInput,
                fmt::format("not signed as {} wants it: {}\n{}", request_.image.display_name,
                            fmt::join(bad, ", "), last_lines({}, checked.err)));
  }

  BuildContext& context_;
  const ResolveRequest& request_;
  BaseSystem system_;
  UniqueFd workspace_;
  Mirrors mirrors_;
  std::vector<LockedPackage> kept_;
  std::vector<Section> sections_;
  RunResult prepared_;
};

class PacmanManager : public PackageManager {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "pacman"; }
  [[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request) override {
    return Resolver(context, request).resolve();
  }

 protected:
  [[nodiscard]] std::string_view file_suffix() const noexcept override { return kSuffix; }

  void install_files(BaseSystem& system, const std::vector<LockedPackage>& packages,
                     const std::vector<std::string>& paths) override {
    system.context().progress.step("install", counted(packages.size(), "package"));
    // Who signed them was looked at when they were locked, by their hash.
    std::vector<Section> sections = configuration(system);
    sections.resize(1);
    auto& options = sections.front().lines;
    std::erase_if(options, [](const auto& line) { return line.first.ends_with("SigLevel"); });
    options.emplace_back("SigLevel", "Never");
    options.emplace_back("LocalFileSigLevel", "Never");
    options.emplace_back("CacheDir", "/tmp/");
    write_file(make_workspace(system.context()), "pacman.conf", configuration_text(sections));
    std::vector<std::string> arguments = {"-U", "--noconfirm", "--"};
    arguments.insert(arguments.end(), paths.begin(), paths.end());
    step(system, std::move(arguments));

    std::vector<std::string> dependencies = {"-D", "--asdeps", "--"};
    const std::size_t without = dependencies.size();
    for (const LockedPackage& package : packages) {
      if (!package.requested) dependencies.push_back(package.name);
    }
    if (dependencies.size() > without) step(system, std::move(dependencies));
  }

  [[nodiscard]] std::vector<InstalledPackage> installed(BaseSystem& system) override {
    const RunResult listed = system.run({.argv = {"pacman", "-Qi"}});
    check_step(listed, ErrorCode::External, "pacman cannot list what is installed");
    return parse_query(listed.out);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> finish(
      BaseSystem& /*system*/, const std::vector<LockedPackage>& /*packages*/) override {
    return {};
  }

 private:
  static void step(BaseSystem& system, std::vector<std::string> arguments) {
    std::vector<std::string> argv = {"pacman", "--config", inside("pacman.conf")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    BaseSystem::Program program = installing(system, std::move(argv));
    program.mounts.push_back(system.staged(kDirectory, kInsideDirectory, true));
    const RunResult result = system.run(program);
    if (result.status != 0)
      throw_install_failed(system.context(), "pacman cannot install the packages", result);
  }
};

}  // namespace

std::unique_ptr<PackageManager> make_manager() { return std::make_unique<PacmanManager>(); }

}  // namespace karapace::runtime::pacman
