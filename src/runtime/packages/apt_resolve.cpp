// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "karapace/base/error.hpp"
#include "packages/apt.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

constexpr std::chrono::milliseconds kDeadline = std::chrono::minutes(15);
constexpr std::string_view kLockedRepository = "locked";
constexpr std::string_view kLockedOrigin = "karapace-locked";

/// apt of the base, in an overlay that is thrown away, with network.
class Resolver {
 public:
  Resolver(BuildContext& context, const ImageReference& image, const Digest& base_layer)
      : context_(context),
        image_(image),
        system_(context, base_layer, "resolve"),
        workspace_(context),
        mirrors_(Mirrors::from_environment()) {}

  PackageResolution resolve(const std::vector<std::string>& names, const std::vector<LockedPackage>& locked,
                            const std::vector<Repository>& repositories) {
    const std::vector<LockedPackage> kept = offer_locked(locked);
    prepare_overlay(!kept.empty());
    update(!kept.empty());
    repositories_ =
        image_.apt_sources.empty() ? image_repositories(repositories) : repositories_of(image_.apt_sources);
    refuse_inexact(names);
    const RunResult simulated = simulate_with(kept, names);
    if (simulated.status != 0) throw_unresolvable(simulated, names);
    const Simulation simulation = parse_simulation(simulated.out);
    if (!simulation.removals.empty()) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("installing these packages would remove {} from the base image",
                              fmt::join(simulation.removals, ", ")));
    }
    PackageResolution resolution;
    resolution.repositories = repositories_;
    if (!simulation.installs.empty()) resolution.packages = closure(simulation, names, kept);
    return resolution;
  }

 private:
  static std::string inside(std::string_view name) {
    return fmt::format("{}/apt/{}", kInsideDirectory, name);
  }

  RunResult run(std::vector<std::string> argv) {
    return system_.run({.argv = std::move(argv),
                        .environment = network_environment(inside("inside.conf")),
                        .network = true,
                        .mounts = {system_.staged({}, kInsideDirectory, false)},
                        .deadline = kDeadline});
  }

  void prepare_overlay(bool with_locked) {
    std::vector<TreeWorker::PlacedFile> files = {{"etc/resolv.conf", host_resolv_conf(), 0644}};
    // An image of somebody else's has its own source lists; ours stands beside them.
    if (with_locked && image_.apt_sources.empty()) {
      files.push_back({"etc/apt/sources.list.d/karapace-locked.list", locked_list(), 0644});
    }
    system_.prepare(files);
  }

  static std::string locked_list() {
    return fmt::format("deb [trusted=yes] copy:{}/{} ./\n", kInsideDirectory, kLockedRepository);
  }

  void update(bool with_locked) {
    std::string sources;
    if (!image_.apt_sources.empty()) {
      // The same text as the bootstrap's, so that its lists can be used: the keys have the same path in both
      // places.
      sources =
          sources_list(image_.apt_sources, mirrors_, {"/usr/share/keyrings/debian-archive-keyring.gpg"});
      workspace_.write("inside.list", sources);
    }
    write_config();
    if (with_locked) prefer_locked_except({});
    const std::vector<std::string> command = {"apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"};
    if (sources.empty() || !workspace_.has_lists(sources)) {
      const RunResult updated = run(command);
      if (updated.status != 0) {
        throw_unreachable(fmt::format("cannot read the package archives of {}", image_.display_name),
                          updated);
      }
      workspace_.mark_lists(sources);
    } else if (with_locked) {
      std::vector<std::string> only_locked = command;
      for (const std::string& option :
           {"Dir::Etc::sourcelist=" + inside("sources.d/locked.list"),
            "Dir::Etc::sourceparts=" + inside("etc/none.d"), std::string("APT::Get::List-Cleanup=false")}) {
        only_locked.insert(only_locked.end(), {"-o", option});
      }
      check_step(run(only_locked), ErrorCode::External, "apt cannot read the locked packages");
    }
  }

  void write_config() {
    AptConfig config{.directory = fmt::format("{}/apt", kInsideDirectory),
                     .status_file = "/var/lib/dpkg/status",
                     .architecture = host_architecture(),
                     .sources_file = {},
                     .sources_parts = {},
                     .preferences_file = inside("preferences"),
                     .trusted_directory = {},
                     .cache_name = "cache-inside",
                     .accept_expired = host_accepts_expired(context_.cancel)};
    if (!image_.apt_sources.empty()) {
      config.sources_file = inside("inside.list");
      config.sources_parts = inside("sources.d");
    }
    workspace_.write("inside.conf", apt_conf(config));
    workspace_.write("preferences", "");
  }

  // An image that somebody made: its own sources, each named after the last part of its URL.
  std::vector<Repository> image_repositories(const std::vector<Repository>& known) {
    const RunResult listed = run({"apt-get", "indextargets", "--format",
                                  "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"});
    check_step(listed, ErrorCode::External, "apt cannot list the image's package sources");
    std::vector<Repository> found = known;
    for (std::size_t start = 0; start < listed.out.size();) {
      const auto end = std::min(listed.out.find('\n', start), listed.out.size());
      add_repository(found, std::string_view(listed.out).substr(start, end - start));
      start = end + 1;
    }
    std::ranges::sort(found, {}, &Repository::name);
    return found;
  }

  static void add_repository(std::vector<Repository>& found, std::string_view line) {
    const auto first = line.find(' ');
    const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return;
    std::string_view url = line.substr(0, first);
    while (url.ends_with('/')) url.remove_suffix(1);
    if (std::ranges::find(found, url, &Repository::url) != found.end()) return;
    const std::string_view last = url.substr(url.rfind('/') + 1);
    std::string name(last);
    for (unsigned n = 2; std::ranges::find(found, name, &Repository::name) != found.end(); ++n) {
      name = fmt::format("{}-{}", last, n);
    }
    found.push_back({name,
                     std::string(url),
                     std::string(line.substr(first + 1, second - first - 1)),
                     {std::string(line.substr(second + 1))}});
  }

  // Package files of the lock as a repository that wins over the archive, which may have dropped them since.
  std::vector<LockedPackage> offer_locked(const std::vector<LockedPackage>& locked) {
    std::vector<LockedPackage> kept = present_packages(context_, locked);
    if (kept.empty()) return kept;
    link_packages(context_, kept, std::string(kLockedRepository), kSuffix);
    write_repository(context_, system_.worker(), kept,
                     {.name = std::string(kLockedRepository),
                      .codename = std::string(kLockedRepository),
                      .origin = std::string(kLockedOrigin)});
    workspace_.write("sources.d/locked.list", locked_list());
    return kept;
  }

  /// Locked versions stay unless what is wanted cannot be had with them: then those that stand in its way
  /// move, and only if nobody can say which, the archive alone decides.
  RunResult simulate_with(const std::vector<LockedPackage>& kept, const std::vector<std::string>& names) {
    RunResult simulated = simulate(names);
    std::vector<std::string> staying;
    for (const LockedPackage& package : kept) staying.push_back(package.name);
    std::vector<std::string> moving;
    while (simulated.status != 0 && !kept.empty()) {
      const std::vector<std::string> more = packages_in_the_way(simulated.out + simulated.err, staying);
      if (more.empty()) {
        forget_locked();
        return simulate(names);
      }
      std::erase_if(staying,
                    [&](const std::string& name) { return std::ranges::find(more, name) != more.end(); });
      moving.insert(moving.end(), more.begin(), more.end());
      prefer_locked_except(moving);
      simulated = simulate(names);
    }
    return simulated;
  }

  void prefer_locked_except(const std::vector<std::string>& moving) {
    std::string text = fmt::format("Package: *\nPin: release o={}\nPin-Priority: 1001\n", kLockedOrigin);
    // Below that of an archive; a name counts for more than "*".
    if (!moving.empty())
      text += fmt::format("\nPackage: {}\nPin: release o={}\nPin-Priority: 100\n", fmt::join(moving, " "),
                          kLockedOrigin);
    workspace_.write("preferences", text);
  }

  // Still a source like any other, without precedence.
  void forget_locked() { workspace_.write("preferences", ""); }

  std::vector<std::string> install_command(std::vector<std::string> options,
                                           const std::vector<std::string>& names) {
    std::vector<std::string> argv = {"apt-get", "install"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.emplace_back("--");
    argv.insert(argv.end(), names.begin(), names.end());
    return argv;
  }

  RunResult simulate(const std::vector<std::string>& names) {
    return run(install_command({"-s", "-q"}, names));
  }

  std::vector<LockedPackage> closure(const Simulation& simulation, const std::vector<std::string>& names,
                                     const std::vector<LockedPackage>& kept) {
    const RunResult printed = run(install_command({"--print-uris", "-y", "-qq"}, names));
    check_step(printed, ErrorCode::External, "apt cannot name the package files");
    std::vector<std::string> show = {"apt-cache", "show", "--no-all-versions"};
    show.emplace_back("--");
    for (std::string& name : exact_names(simulation)) show.push_back(std::move(name));
    const RunResult shown = run(show);
    check_step(shown, ErrorCode::External, "apt cannot describe the packages");
    return make_closure({.simulation = simulation,
                         .uris = parse_print_uris(printed.out),
                         .stanzas = parse_stanzas(shown.out),
                         .repositories = repositories_,
                         .mirrors = mirrors_,
                         .locked = kept,
                         .requested = names});
  }

  std::vector<std::string> known_names(std::vector<std::string> options) {
    std::vector<std::string> argv = {"apt-cache", "pkgnames"};
    argv.insert(argv.end(), options.begin(), options.end());
    const RunResult listed = run(std::move(argv));
    check_step(listed, ErrorCode::External, "apt cannot list the names of packages");
    std::vector<std::string> names;
    for_each_line(listed.out, [&](std::string_view line) { names.emplace_back(line); });
    std::ranges::sort(names);
    return names;
  }

  /// What is no name of a package or of a virtual one would be an order or a regular expression for apt.
  void refuse_inexact(const std::vector<std::string>& names) {
    std::vector<std::string> unknown = inexact_names(names, known_names({"--all-names"}));
    if (unknown.empty()) return;
    std::vector<std::string> exact;
    std::ranges::copy_if(names, std::back_inserter(exact), [&](const std::string& name) {
      return std::ranges::find(unknown, name) == unknown.end();
    });
    // All that are unknown are named, also those that only apt knows not to have.
    RunResult simulated;
    if (!exact.empty()) simulated = simulate(exact);
    std::ranges::copy(unknown_packages(simulated.err), std::back_inserter(unknown));
    throw_unknown(simulated, std::move(unknown));
  }

  [[noreturn]] void throw_unresolvable(const RunResult& simulated, const std::vector<std::string>& names) {
    std::vector<std::string> unknown = unknown_packages(simulated.err);
    if (unknown.empty()) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} cannot be installed together in {}:\n{}", fmt::join(names, ", "),
                              image_.display_name, last_lines(simulated.out, simulated.err)));
    }
    throw_unknown(simulated, std::move(unknown));
  }

  [[noreturn]] void throw_unknown(const RunResult& simulated, std::vector<std::string> unknown) {
    std::ranges::sort(unknown);
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{} has no package {}", image_.display_name, fmt::join(unknown, ", ")),
                suggestion(simulated, unknown));
  }

  std::string suggestion(const RunResult& simulated, const std::vector<std::string>& unknown) {
    for (const std::string& name : unknown) {
      const std::vector<std::string> providers = virtual_providers(simulated.out + simulated.err, name);
      if (!providers.empty()) {
        return fmt::format("{} is provided by {}: name one of them", name, fmt::join(providers, ", "));
      }
    }
    return did_you_mean(unknown, known_names({}));
  }

  BuildContext& context_;
  const ImageReference& image_;
  BaseSystem system_;
  Workspace workspace_;
  Mirrors mirrors_;
  std::vector<Repository> repositories_;
};

}  // namespace

PackageResolution resolve(BuildContext& context, const ResolveRequest& request) {
  return Resolver(context, request.image, request.base_layer)
      .resolve(request.names, request.locked, request.repositories);
}

}  // namespace karapace::runtime::apt
