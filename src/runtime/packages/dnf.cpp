// SPDX-License-Identifier: Apache-2.0
#include "packages/dnf.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "packages/dnf_script.hpp"
#include "packages/package_files.hpp"
#include "packages/rpm.hpp"
#include "packages/step_output.hpp"

namespace karapace::runtime::dnf {
namespace {

constexpr std::chrono::milliseconds kDeadline = std::chrono::minutes(15);
constexpr std::string_view kDirectory = "dnf";
constexpr std::string_view kLockedFiles = "locked";
constexpr std::size_t kMaxAnswer = std::size_t{64} * 1024 * 1024;

/// dnf of the base, in an overlay that is thrown away, with network.
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
    ensure_directory_at(context_.operation.staging(), std::string(kDirectory), 0755);
    link_packages(context_, kept_, std::string(kLockedFiles), kRpmSuffix);
    Json answer = ask(true);
    // What is new does not go together with what was locked: then the repositories alone decide.
    if (!kept_.empty() && (answer.contains("problem") || answer.contains("unknown"))) answer = ask(false);
    refuse_if_unresolvable(answer);
    PackageResolution resolution;
    for (const Json& package : answer.at("packages")) resolution.packages.push_back(locked_package(package));
    sort_packages(resolution.packages);
    resolution.repositories = repositories_of(answer);
    check_new(answer, resolution);
    return resolution;
  }

 private:
  Json ask(bool prefer_locked) {
    Json locked = Json::array();
    for (const LockedPackage& package : kept_) {
      locked.push_back(fmt::format("{}/{}", kInsidePackages, file_name_of(package, kRpmSuffix)));
    }
    Json mirrors = Json::object();
    for (const auto& [name, url] : mirrors_.all()) mirrors[name] = url;
    const Json question = {{"directory", kInsideDirectory},
                           {"names", request_.names},
                           {"locked", std::move(locked)},
                           {"prefer_locked", prefer_locked},
                           {"mirrors", std::move(mirrors)}};
    const RunResult result =
        system_.run({.argv = {find_interpreter(system_.base()), "-I", "-c", std::string(kScript)},
                     .environment = network_environment(),
                     .network = true,
                     .mounts = {system_.staged(kDirectory, kInsideDirectory, false),
                                system_.staged(kLockedFiles, kInsidePackages, true)},
                     .input = question.dump(),
                     .deadline = kDeadline});
    check_step(result, ErrorCode::External,
               fmt::format("dnf of {} cannot resolve the packages", request_.image.display_name));
    return parse_json(result.out, "answer of dnf", {.max_bytes = kMaxAnswer});
  }

  void refuse_if_unresolvable(const Json& answer) const {
    const std::string& image = request_.image.display_name;
    if (answer.contains("unreachable")) {
      throw Error(ErrorCode::Unavailable,
                  fmt::format("cannot read the package repositories of {}: {}", image,
                              printable(answer.at("unreachable").get<std::string>(), 4096)),
                  "check the network, or name a mirror: KARAPACE_MIRROR=REPOSITORY=http://HOST/PATH");
    }
    if (answer.contains("unknown")) {
      const auto unknown = answer.at("unknown").get<std::vector<std::string>>();
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} has no package {}", image, fmt::join(unknown, ", ")),
                  suggestion(answer, unknown));
    }
    if (answer.contains("problem")) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("{} cannot be installed together in {}:\n{}", fmt::join(request_.names, ", "),
                              image, last_lines(answer.at("problem").get<std::string>(), {})));
    }
    const auto removed = answer.at("removed").get<std::vector<std::string>>();
    if (removed.empty()) return;
    throw Error(ErrorCode::InvalidInput,
                fmt::format("installing these packages would remove {} from the base image",
                            fmt::join(removed, ", ")));
  }

  static std::string suggestion(const Json& answer, const std::vector<std::string>& unknown) {
    for (const auto& [name, packages] : answer.at("providers").items()) {
      return fmt::format("{} is provided by {}: name one of them", name,
                         fmt::join(packages.get<std::vector<std::string>>(), ", "));
    }
    return did_you_mean(unknown, answer.at("names").get<std::vector<std::string>>());
  }

  LockedPackage locked_package(const Json& json) {
    LockedPackage package;
    if (json.contains("locked")) {
      package = kept_.at(json.at("locked").get<std::size_t>());
    } else {
      package.name = json.at("name").get<std::string>();
      package.version = json.at("version").get<std::string>();
      package.arch = json.at("arch").get<std::string>();
      package.repository = json.at("repository").get<std::string>();
      package.path = json.at("path").get<std::string>();
      package.size = json.at("size").get<std::uint64_t>();
      package.sha256 = json.at("checksum").get<std::string>();
      if (json.at("checksum_kind") != "sha256" || !Digest::is_valid(package.sha256)) {
        throw Error(ErrorCode::Unsupported,
                    fmt::format("repository '{}' has no SHA256 for {}, but {}", printable(package.repository),
                                printable(label_of(package)),
                                printable(json.at("checksum_kind").get<std::string>())));
      }
    }
    package.requested = std::ranges::find(request_.names, package.name) != request_.names.end();
    return package;
  }

  /// Where the packages of a repository are, for the lock: as the base's configuration says, or the mirror
  /// that dnf was given. A lock keeps the mirror that it has.
  std::vector<Repository> repositories_of(const Json& answer) const {
    std::vector<Repository> repositories = request_.repositories;
    for (const auto& [name, json] : answer.at("repositories").items()) {
      const bool known = std::ranges::find(repositories, name, &Repository::name) != repositories.end();
      const bool told = !json.at("urls").empty();
      if (known && !told) continue;
      put_repository(repositories, name,
                     told ? json.at("urls")[0].get<std::string>() : contacted(answer, name),
                     "its baseurl must begin with http:// or https://");
    }
    return repositories;
  }

  /// The URL of a package without its path.
  static std::string contacted(const Json& answer, const std::string& repository) {
    for (const Json& package : answer.at("packages")) {
      if (package.value("repository", "") != repository) continue;
      const auto url = package.at("url").get<std::string>();
      const auto path = package.at("path").get<std::string>();
      if (url.size() > path.size() && url.ends_with("/" + path))
        return url.substr(0, url.size() - path.size() - 1);
      throw Error(ErrorCode::External,
                  fmt::format("dnf names {} and does not say where it is", printable(path, 4096)));
    }
    return {};
  }

  /// Those of repositories whose packages must be signed. What was locked before was looked at then.
  void check_new(const Json& answer, const PackageResolution& resolution) {
    std::vector<SignedPackages> wanted;
    for (const auto& [name, json] : answer.at("repositories").items()) {
      if (!json.at("signed").get<bool>()) continue;
      SignedPackages& packages = wanted.emplace_back();
      packages.repository = name;
      packages.keys = json.at("keys").get<std::vector<std::string>>();
      packages.packages = new_packages_of(name, resolution.packages, kept_);
    }
    fetch_and_check(context_, request_.base_layer, wanted, resolution.repositories, mirrors_);
  }

  BuildContext& context_;
  const ResolveRequest& request_;
  BaseSystem system_;
  Mirrors mirrors_;
  std::vector<LockedPackage> kept_;
};

class DnfManager : public RpmManager {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "dnf"; }
  [[nodiscard]] PackageResolution resolve(BuildContext& context, const ResolveRequest& request) override {
    return Resolver(context, request).resolve();
  }
};

}  // namespace

std::unique_ptr<PackageManager> make_manager() { return std::make_unique<DnfManager>(); }

std::string interpreter_of(std::string_view program) {
  if (!program.starts_with("#!")) return {};
  program.remove_prefix(2);
  program.remove_prefix(std::min(program.find_first_not_of(' '), program.size()));
  return std::string(program.substr(0, program.find_first_of(" \n")));
}

std::string find_interpreter(FdRef base) {
  for (const char* path : {"/usr/bin/dnf-3", "/usr/bin/dnf4", "/usr/bin/dnf"}) {
    const auto program = try_open_in_root(base, path, O_RDONLY | O_NONBLOCK);
    if (!program) continue;
    std::string first(256, '\0');
    const ssize_t count = ::pread(program->get(), first.data(), first.size(), 0);
    first.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (std::string interpreter = interpreter_of(first); !interpreter.empty()) return interpreter;
  }
  throw Error(ErrorCode::Unsupported, "the image has dnf 5 only, and this version resolves with dnf 4",
              "use an image that has dnf 4, too (dnf install python3-dnf in it gives /usr/bin/dnf-3)");
}

}  // namespace karapace::runtime::dnf
