// SPDX-License-Identifier: Apache-2.0
// One table says which names exist, what they are, and which provider can make them.
#include "karapace/runtime/image.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "packages/mirrors.hpp"

namespace karapace::runtime {
namespace {

struct Alias {
  std::string_view name;
  std::string_view canonical;
  std::string_view display_name;
};

constexpr std::array kAliases = {
    Alias{"debian", "debian/bookworm", "Debian 12 (bookworm)"},
    Alias{"debian/12", "debian/bookworm", "Debian 12 (bookworm)"},
    Alias{"debian/bookworm", "debian/bookworm", "Debian 12 (bookworm)"},
    Alias{"debian/13", "debian/trixie", "Debian 13 (trixie)"},
    Alias{"debian/trixie", "debian/trixie", "Debian 13 (trixie)"},
    Alias{"debian/sid", "debian/sid", "Debian unstable (sid)"},
    Alias{"debian/unstable", "debian/sid", "Debian unstable (sid)"},
    Alias{"rolling", "opensuse/tumbleweed", "openSUSE Tumbleweed"},
    Alias{"opensuse", "opensuse/tumbleweed", "openSUSE Tumbleweed"},
    Alias{"opensuse/tumbleweed", "opensuse/tumbleweed", "openSUSE Tumbleweed"},
    Alias{"tumbleweed", "opensuse/tumbleweed", "openSUSE Tumbleweed"},
    Alias{"opensuse/leap", "opensuse/15.6", "openSUSE Leap 15.6"},
    Alias{"leap", "opensuse/15.6", "openSUSE Leap 15.6"},
    Alias{"ubuntu", "ubuntu/noble", "Ubuntu 24.04 (Noble)"},
    Alias{"ubuntu/24.04", "ubuntu/noble", "Ubuntu 24.04 (Noble)"},
    Alias{"ubuntu/noble", "ubuntu/noble", "Ubuntu 24.04 (Noble)"},
    Alias{"ubuntu/22.04", "ubuntu/jammy", "Ubuntu 22.04 (Jammy)"},
    Alias{"ubuntu/jammy", "ubuntu/jammy", "Ubuntu 22.04 (Jammy)"},
    Alias{"ubuntu/20.04", "ubuntu/focal", "Ubuntu 20.04 (Focal)"},
    Alias{"ubuntu/focal", "ubuntu/focal", "Ubuntu 20.04 (Focal)"},
    Alias{"ubuntu/24.10", "ubuntu/oracular", "Ubuntu 24.10 (Oracular)"},
    Alias{"ubuntu/oracular", "ubuntu/oracular", "Ubuntu 24.10 (Oracular)"},
    Alias{"fedora", "fedora/41", "Fedora 41"},
    Alias{"fedora/41", "fedora/41", "Fedora 41"},
    Alias{"fedora/40", "fedora/40", "Fedora 40"},
    Alias{"fedora/42", "fedora/42", "Fedora 42"},
    Alias{"arch", "archlinux/current", "Arch Linux"},
    Alias{"archlinux", "archlinux/current", "Arch Linux"},
};

constexpr std::string_view kImageServer = "https://images.linuxcontainers.org";

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<AptSource> debian_sources(const std::string& suite) {
  constexpr std::string_view kMain = "http://deb.debian.org/debian";
  constexpr std::string_view kSecurity = "http://deb.debian.org/debian-security";
  std::vector<AptSource> sources;
  sources.push_back({"debian", std::string(kMain), suite, {"main"}});
  if (suite == "sid") return sources;  // unstable has neither updates nor a security archive
  sources.push_back({"debian", std::string(kMain), suite + "-updates", {"main"}});
  sources.push_back({"debian-security", std::string(kSecurity), suite + "-security", {"main"}});
  return sources;
}

// The image server has every name of the table; Debian's suites are better made from their packages.
ImageReference from_server(std::string name, std::string display_name) {
  ImageReference image;
  image.provider = BaseProvider::Lxc;
  image.canonical = std::move(name);
  image.display_name = std::move(display_name);
  image.url = kImageServer;
  return image;
}

ImageReference from_alias(const Alias& alias) {
  constexpr std::string_view kDebian = "debian/";
  if (!alias.canonical.starts_with(kDebian))
    return from_server(std::string(alias.canonical), std::string(alias.display_name));
  ImageReference image;
  image.provider = BaseProvider::Bootstrap;
  image.canonical = alias.canonical;
  image.display_name = alias.display_name;
  image.apt_sources = debian_sources(std::string(alias.canonical.substr(kDebian.size())));
  return image;
}

ImageReference from_server_name(std::string_view text) {
  const std::string name = lower_case(text);
  const bool plain = !name.empty() && !name.starts_with('/') && !name.ends_with('/') &&
                     std::ranges::count(name, '/') <= 2 && name.find("//") == std::string::npos &&
                     std::ranges::all_of(name, [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                              std::string_view("._+-/").find(c) != std::string_view::npos;
                     });
  if (!plain) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("image 'images:{}': not the name of an image", printable(text)),
                "write images:DISTRIBUTION/RELEASE, for example images:alpine/3.20");
  }
  return from_server(name, name);
}

// "<url>#sha256=<hex>", "<url>?sha256=<hex>", "<url> sha256=<hex>": the last mark counts.
ImageReference from_url(std::string_view text) {
  ImageReference image;
  image.provider = BaseProvider::Tar;
  constexpr std::string_view kKey = "sha256=";
  const auto key = text.rfind(kKey);
  if (key == std::string_view::npos || key == 0 ||
      std::string_view("#?& \t").find(text[key - 1]) == std::string_view::npos) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("image '{}' is a URL without a checksum", printable(text)),
                "append the sha256 of the archive: image = \"<url>#sha256=<64 hex digits>\"");
  }
  image.url = trimmed(text.substr(0, key - 1));
  image.sha256 = lower_case(trimmed(text.substr(key + kKey.size())));
  if (!Digest::is_valid(image.sha256)) {
    throw Error(ErrorCode::InvalidInput,
                fmt::format("image '{}': a sha256 has 64 hexadecimal digits", printable(text)));
  }
  image.canonical = image.url;
  image.display_name = image.url.substr(image.url.rfind('/') + 1);
  return image;
}

std::filesystem::path local_path(std::string_view image, std::string_view text,
                                 const std::string& manifest_directory,
                                 std::optional<BaseProvider> if_missing) {
  if (text.empty())
    throw Error(ErrorCode::InvalidInput, fmt::format("image '{}' names no path", printable(image)));
  std::filesystem::path path = std::filesystem::path(manifest_directory) / std::filesystem::path(text);
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (std::filesystem::is_directory(status) || std::filesystem::is_regular_file(status)) return path;
  if (if_missing && status.type() == std::filesystem::file_type::not_found) return path;
  throw Error(
      ErrorCode::InvalidInput,
      fmt::format("image '{}': {} {}", printable(image), printable(path.string(), 4096),
                  std::filesystem::exists(status) ? "is neither a file nor a directory" : "does not exist"));
}

ImageReference at_path(BaseProvider provider, const std::filesystem::path& path, std::string_view canonical) {
  ImageReference image;
  image.provider = provider;
  image.path = absolute_path(path);
  image.canonical = canonical;
  image.display_name = path.lexically_normal().filename().string();
  return image;
}

ImageReference from_path(std::string_view text, const std::string& manifest_directory,
                         std::optional<BaseProvider> if_missing) {
  const auto path = local_path(text, text, manifest_directory, if_missing);
  std::error_code failure;
  if (if_missing && !std::filesystem::exists(path, failure)) return at_path(*if_missing, path, text);
  if (!std::filesystem::is_directory(path, failure)) return at_path(BaseProvider::Tar, path, text);
  const bool is_layout = std::filesystem::is_regular_file(path / "oci-layout", failure) &&
                         std::filesystem::is_regular_file(path / "index.json", failure);
  return at_path(is_layout ? BaseProvider::Oci : BaseProvider::Dir, path, text);
}

/// "oci-layout:PATH[:TAG]", "oci-archive:PATH[:TAG]". A path that is there as it is has no tag.
ImageReference from_local_oci(std::string_view image, std::string_view text,
                              const std::string& manifest_directory, std::optional<BaseProvider> if_missing) {
  const auto colon = text.rfind(':');
  std::string_view tag;
  std::error_code failure;
  if (colon != std::string_view::npos && text.find('/', colon) == std::string_view::npos &&
      !std::filesystem::exists(std::filesystem::path(manifest_directory) / std::filesystem::path(text),
                               failure)) {
    tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  ImageReference found =
      at_path(BaseProvider::Oci, local_path(image, text, manifest_directory, if_missing), image);
  found.tag = tag;
  return found;
}

std::optional<std::string_view> after_prefix(std::string_view text,
                                             std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (text.starts_with(prefix)) return text.substr(prefix.size());
  }
  return std::nullopt;
}

[[noreturn]] void throw_unknown(std::string_view image) {
  std::vector<std::string_view> names;
  for (const Alias& alias : kAliases) names.push_back(alias.name);
  const std::string nearest = nearest_name(image, names);
  throw Error(ErrorCode::InvalidInput, fmt::format("unknown image '{}'", printable(image)),
              nearest.empty()
                  ? "an image is a name such as debian/12, oci:HOST/NAME:TAG, images:NAME, rootfs:PATH or "
                    "URL#sha256=HEX"
                  : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace

std::string host_architecture() {
  utsname names{};
  ::uname(&names);
  const std::string_view machine = names.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return std::string(machine);
}

ImageReference parse_image(std::string_view image, const std::string& manifest_directory,
                           std::optional<BaseProvider> if_missing) {
  const std::string_view text = trimmed(image);
  if (const auto path = after_prefix(text, {"rootfs:"}))
    return from_path(*path, manifest_directory, if_missing);
  if (text.starts_with("./") || text.starts_with("../") || text.starts_with("/")) {
    return from_path(text, manifest_directory, if_missing);
  }
  if (const auto local = after_prefix(text, {"oci-layout:", "oci-archive:"}))
    return from_local_oci(text, *local, manifest_directory, if_missing);
  if (const auto name = after_prefix(text, {"oci:", "docker:", "oci+http:", "oci+https:"})) {
    ImageReference found;
    found.provider = BaseProvider::Oci;
    found.reference = found.canonical = text;
    found.display_name = name->substr(name->starts_with("//") ? 2 : 0);
    return found;
  }
  if (const auto name = after_prefix(text, {"images:"})) return from_server_name(*name);
  const std::string lower = lower_case(text);
  if (lower.starts_with("http://") || lower.starts_with("https://")) return from_url(text);
  const auto alias = std::ranges::find(kAliases, std::string_view(lower), &Alias::name);
  if (alias == kAliases.end()) throw_unknown(text);
  return from_alias(*alias);
}

std::vector<std::string> image_aliases() {
  std::vector<std::string> names;
  for (const Alias& alias : kAliases) names.emplace_back(alias.name);
  return names;
}

std::string image_server_url(const ImageReference& image) {
  return Mirrors::from_environment().url_for("images", image.url);
}

}  // namespace karapace::runtime
