// SPDX-License-Identifier: Apache-2.0
#include "bootstrap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"
#include "karapace/runtime/sandbox.hpp"
#include "karapace/runtime/worker.hpp"
#include "packages/apt_workspace.hpp"
#include "packages/step_output.hpp"
#include "seal_layer.hpp"

namespace karapace::runtime {
namespace {

using apt::Workspace;

// Fixed names inside the sandbox: no host path can reach a file of the image.
constexpr std::string_view kInside = "/tmp/karapace";
constexpr std::chrono::milliseconds kResolveDeadline = std::chrono::minutes(15);

std::string require_program(std::string_view name, std::string_view package) {
  if (auto path = find_program(name)) return *path;
  throw Error(ErrorCode::Unsupported, fmt::format("{} is not installed, and a Debian base needs it", name),
              fmt::format("install it: apt install {}, or use image = \"rootfs:./file.tar.xz\"", package));
}

// The archive's keys as the host's debian-archive-keyring package has them.
std::vector<std::string> debian_keyrings() {
  constexpr std::string_view kDirectory = "/usr/share/keyrings";
  const std::string complete = fmt::format("{}/debian-archive-keyring.gpg", kDirectory);
  std::error_code failure;
  if (std::filesystem::exists(complete, failure)) return {complete};
  std::vector<std::string> keyrings;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory, failure)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("debian-archive-") && (name.ends_with(".gpg") || name.ends_with(".pgp"))) {
      keyrings.push_back(entry.path().string());
    }
  }
  if (keyrings.empty()) {
    throw Error(ErrorCode::Unsupported, "the keys of the Debian archive are not installed",
                "install them: apt install debian-archive-keyring");
  }
  std::ranges::sort(keyrings);
  return keyrings;
}

/// apt of the host, pointed at the operation's own directory and at nothing else.
class HostApt {
 public:
  HostApt(BuildContext& context, const Workspace& workspace)
      : context_(context), config_(workspace.host_path() + "/host.conf") {}

  RunResult run(std::string_view program, std::vector<std::string> arguments) const {
    Command command;
    command.program = require_program(program, "apt");
    command.arguments = std::move(arguments);
    command.environment = apt::network_environment(config_);
    RunLimits limits;
    limits.deadline = kResolveDeadline;
    return karapace::run(command, {}, limits, &context_.cancel);
  }

 private:
  BuildContext& context_;
  std::string config_;
};

LaunchPlan bootstrap_plan(const BuildContext& context, const std::string& staging_name,
                          const std::string& suite, const std::string& mmdebstrap) {
  BuildSandbox sandbox;
  sandbox.ownership = context.manifest.ownership;
  sandbox.environment = apt::install_environment();
  sandbox.environment.emplace_back("TMPDIR", "/tmp");
  const auto add = [&](MountKind kind, std::string source, std::string target) -> MountStep& {
    sandbox.extra_mounts.push_back({});
    MountStep& step = sandbox.extra_mounts.back();
    step.kind = kind;
    step.source = std::move(source);
    step.target = std::move(target);
    return step;
  };
  add(MountKind::Tmpfs, {}, "/tmp").mode = 01777;
  MountStep& work = add(MountKind::Bind, fmt::format("{}/{}", context.operation.staging_path(), staging_name),
                        std::string(kInside));
  work.create_target = true;
  // mmdebstrap cannot make device nodes here; these lie over the target's /dev and vanish with the sandbox.
  const std::string dev = fmt::format("{}/root/dev", kInside);
  add(MountKind::Tmpfs, {}, dev);
  for (const char* node : {"full", "null", "random", "tty", "urandom", "zero"}) {
    MountStep& device = add(MountKind::Bind, fmt::format("/dev/{}", node), fmt::format("{}/{}", dev, node));
    device.create_target = true;
    device.allow_devices = true;
  }
  sandbox.argv = {mmdebstrap,
                  "--mode=root",
                  "--variant=minbase",
                  "--verbose",  // or its output says neither how far it is nor why it failed
                  "--format=directory",
                  "--architectures=" + host_architecture(),
                  "--skip=check/empty,chroot/mount/dev,chroot/mount/sys,output/dev",
                  "--aptopt=APT::Sandbox::User \"root\"",
                  "--dpkgopt=force-unsafe-io",
                  suite,
                  fmt::format("{}/root", kInside),
                  fmt::format("deb [trusted=yes] copy:{}/repo ./", kInside)};
  return make_build_plan(sandbox);
}

// Neutral answers to "who am I", the archive as Debian publishes it, and apt without a second user where
// there is none.
std::vector<std::pair<std::string, std::string>> base_files(const ImageReference& image,
                                                            Ownership ownership) {
  std::vector<std::pair<std::string, std::string>> files = {
      {"etc/hostname", "karapace\n"},
      {"etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tkarapace\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
      {"etc/resolv.conf", ""},
      {"etc/apt/sources.list.d/debian.sources",
       apt::deb822_sources(image.apt_sources, "/usr/share/keyrings/debian-archive-keyring.gpg")},
  };
  if (ownership == Ownership::Flat) {
    files.emplace_back("etc/apt/apt.conf.d/90karapace", "APT::Sandbox::User \"root\";\n");
  }
  return files;
}

/// Counts packages in what apt and dpkg say while mmdebstrap runs.
class InstallProgress {
 public:
  InstallProgress(ProgressSink& sink, std::size_t packages) : sink_(sink), total_(2 * packages) {}
  void line(std::string_view text) {
    if (!text.starts_with("Unpacking ") && !text.starts_with("Setting up ")) return;
    sink_.advance(std::min(++done_, total_), total_, "packages");
  }

 private:
  ProgressSink& sink_;
  std::size_t done_ = 0;
  std::size_t total_;
};

}  // namespace

BaseResolution resolve_bootstrap(BuildContext& context, const ImageReference& image) {
  require_program("mmdebstrap", "mmdebstrap");
  context.progress.step("resolve", image.display_name);
  const Workspace workspace(context);
  const Mirrors mirrors = Mirrors::from_environment();
  const std::string sources = apt::sources_list(image.apt_sources, mirrors, debian_keyrings());
  workspace.write("sources.list", sources);
  workspace.write("empty-status", "");
  const std::string path = workspace.host_path();
  workspace.write("host.conf", apt::apt_conf({.directory = path,
                                              .status_file = path + "/empty-status",
                                              .architecture = host_architecture(),
                                              .sources_file = path + "/sources.list",
                                              .sources_parts = {},
                                              .preferences_file = {},
                                              .trusted_directory = path + "/etc/none.d",
                                              .accept_expired = apt::host_accepts_expired(context.cancel)}));
  const HostApt host(context, workspace);
  const RunResult updated = host.run("apt-get", {"update", "-q", "-o", "APT::Update::Error-Mode=any"});
  if (updated.status != 0) {
    throw_unreachable(fmt::format("cannot read the package archive of {}", image.display_name), updated);
  }
  workspace.mark_lists(sources);

  const std::vector<std::string> wanted = {"?essential", "?priority(required)", "apt"};
  const auto install = [&](std::vector<std::string> options) {
    options.insert(options.begin(), "install");
    options.insert(options.end(), wanted.begin(), wanted.end());
    RunResult result = host.run("apt-get", std::move(options));
    check_step(result, ErrorCode::External, "apt cannot compute the base system");
    return result.out;
  };
  const apt::Simulation simulation = apt::parse_simulation(install({"-s", "-qq"}));
  const auto uris = apt::parse_print_uris(install({"--print-uris", "-y", "-qq"}));
  std::vector<std::string> show = {"show", "--no-all-versions"};
  for (std::string& name : apt::exact_names(simulation)) show.push_back(std::move(name));
  const RunResult shown = host.run("apt-cache", show);
  check_step(shown, ErrorCode::External, "apt cannot describe the base system");

  BaseResolution resolution;
  resolution.repositories = apt::repositories_of(image.apt_sources);
  resolution.pin.provider = BaseProvider::Bootstrap;
  resolution.pin.distribution = image.canonical;
  resolution.pin.variant = "minbase";
  resolution.pin.packages = apt::make_closure({.simulation = simulation,
                                               .uris = uris,
                                               .stanzas = apt::parse_stanzas(shown.out),
                                               .repositories = resolution.repositories,
                                               .mirrors = mirrors,
                                               .locked = {},
                                               .requested = {}});
  return resolution;
}

Digest build_bootstrap(BuildContext& context, const ImageReference& image, const BasePin& pin) {
  const std::string mmdebstrap = require_program("mmdebstrap", "mmdebstrap");
  context.progress.step("bootstrap", image.display_name);
  const std::string suite = image.canonical.substr(image.canonical.find('/') + 1);
  const std::string name = "bootstrap";
  TreeWorker worker(context.store, context.manifest.ownership);
  make_directory_at(context.operation.staging(), name, 0755);
  link_packages(context, pin.packages, name + "/repo", apt::kSuffix);
  apt::write_repository(
      context, worker, pin.packages,
      {.name = name + "/repo", .codename = suite, .origin = "Debian", .all_required = true});
  const std::string inside_staging = fmt::format("{}/{}", context.operation.staging_path(), name);
  worker.make_directories(inside_staging, {"root", "root/dev"}, context.cancel);

  InstallProgress progress(context.progress, pin.packages.size());
  const RunResult result =
      run_sandboxed(context.store, bootstrap_plan(context, name, suite, mmdebstrap), {}, {}, context.cancel,
                    [&](std::string_view line) { progress.line(line); });
  if (result.status != 0) throw_install_failed(context, "mmdebstrap cannot build the base", result);

  return seal_layer(context, {.staging_path = inside_staging,
                              .name = "root",
                              .lowers = {},
                              .normalise = Normalise::Base,
                              .kind = store::LayerKind::Base,
                              .files = base_files(image, context.manifest.ownership)});
}

}  // namespace karapace::runtime
