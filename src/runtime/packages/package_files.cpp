// SPDX-License-Identifier: Apache-2.0
#include "packages/package_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/rel_path.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::runtime {

std::string label_of(const LockedPackage& package) {
  return fmt::format("{} {}", package.name, package.version);
}

std::string file_name_of(const LockedPackage& package, std::string_view suffix) {
  std::string name = fmt::format("{}_{}_{}{}", package.name, package.version, package.arch, suffix);
  for (auto colon = name.find(':'); colon != std::string::npos; colon = name.find(':'))
    name.replace(colon, 1, "%3a");
  if (!is_path_component(name)) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("package '{}' has no usable name", printable(label_of(package))));
  }
  return name;
}

void link_packages(BuildContext& context, const std::vector<LockedPackage>& packages, const std::string& name,
                   std::string_view suffix) {
  const UniqueFd staging = context.operation.staging();
  make_directory_at(staging, name, 0755);
  const UniqueFd directory = open_directory(staging, name);
  const store::PackageStore artefacts(context.store);
  for (const LockedPackage& package : packages) {
    with_context([&] { return label_of(package); },
                 [&] { artefacts.link_into(package.sha256, directory, file_name_of(package, suffix)); });
  }
}

std::vector<LockedPackage> present_packages(const BuildContext& context,
                                            const std::vector<LockedPackage>& packages) {
  const store::PackageStore artefacts(context.store);
  std::vector<LockedPackage> present;
  std::ranges::copy_if(packages, std::back_inserter(present),
                       [&](const LockedPackage& package) { return artefacts.contains(package.sha256); });
  return present;
}

std::vector<Artefact> artefacts_of(const std::vector<LockedPackage>& packages,
                                   const std::vector<Repository>& repositories, const Mirrors& mirrors) {
  std::vector<Artefact> artefacts;
  for (const LockedPackage& package : packages) {
    const auto repository = std::ranges::find(repositories, package.repository, &Repository::name);
    if (repository == repositories.end()) {
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("package {}: the lock has no repository '{}'", printable(label_of(package)),
                              printable(package.repository)));
    }
    artefacts.push_back({label_of(package),
                         fmt::format("{}/{}", mirrors.url_for(repository->name, repository->url),
                                     percent_encode_path(package.path)),
                         package.sha256, package.size});
  }
  return artefacts;
}

void put_repository(std::vector<Repository>& repositories, const std::string& name, std::string url,
                    std::string_view fix) {
  while (url.ends_with('/')) url.pop_back();
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    throw Error(ErrorCode::Unsupported,
                fmt::format("the packages of repository '{}' cannot be fetched from '{}'", printable(name),
                            printable(url, 4096)),
                std::string(fix));
  }
  const auto place = std::ranges::lower_bound(repositories, name, {}, &Repository::name);
  if (place != repositories.end() && place->name == name) {
    place->url = std::move(url);
  } else {
    repositories.insert(place, {name, std::move(url), {}, {}});
  }
}

void sort_packages(std::vector<LockedPackage>& packages) {
  std::ranges::sort(packages, {}, [](const LockedPackage& p) { return std::tie(p.name, p.version, p.arch); });
}

std::string percent_decode(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      result += static_cast<char>(value);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string percent_encode_path(std::string_view path) {
  std::string result;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '/';
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

}  // namespace karapace::runtime
