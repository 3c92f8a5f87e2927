// SPDX-License-Identifier: Apache-2.0
#include "bundle_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/read_range.hpp"

namespace karapace::core {
namespace {

constexpr std::string_view kMagic = "karapace bundle 1\n";
// A lock and a manifest of the greatest size, with every byte escaped.
constexpr std::size_t kMaxHeader = 6 * (kMaxLockBytes + kMaxManifestBytes);
constexpr std::size_t kMaxLengthDigits = 10;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 50U;  // no JSON number that we write is larger

[[noreturn]] void refuse(const std::string& name, std::string_view what) {
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{} is no bundle that can be used: {}", printable(name), what),
              "export it again: karapace bundle export FILE");
}

struct HeaderPlace {
  std::size_t begin = 0;
  std::size_t length = 0;
  std::string digest;
};

/// The line with length and digest of the header.
HeaderPlace read_place(FdRef file, const std::string& name) {
  const std::string line = read_range(file, kMagic.size(), kMaxLengthDigits + 1 + 2 * Digest::kSize + 1);
  const std::size_t end = line.find('\n');
  const std::size_t blank = line.find(' ');
  HeaderPlace place;
  const auto fail = [&] { refuse(name, "its second line is not what was expected"); };
  if (end == std::string::npos || blank > end || line.starts_with('0')) fail();
  const auto [rest, error] = std::from_chars(line.data(), line.data() + blank, place.length);
  if (error != std::errc() || rest != line.data() + blank) fail();
  place.digest = line.substr(blank + 1, end - blank - 1);
  if (!Digest::is_valid(place.digest)) fail();
  if (place.length > kMaxHeader) refuse(name, "its header is too large");
  place.begin = kMagic.size() + end + 1;
  return place;
}

/// It becomes the name of a file, so it must be one and nothing more.
bool is_manifest_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '+';
  };
  return name.size() <= 200 && name.size() > 5 && name.ends_with(".toml") && !name.starts_with('.') &&
         std::ranges::all_of(name, allowed);
}

std::string framed(const std::string& text) {
  return fmt::format("{}{} {}\n{}", kMagic, text.size(), hash_bytes(text).hex(), text);
}

BundleHeader decode(const std::string& text, const std::string& name) {
  BundleHeader header;
  try {
    const Json json = parse_json(text, "header", {.max_bytes = kMaxHeader});
    header.name = json.at("name").get<std::string>();
    header.manifest = json.at("manifest").get<std::string>();
    header.lock = json.at("lock").get<std::string>();
    for (const Json& file : json.at("files"))
      header.files.push_back(
          {file.at("sha256").get<std::string>(), file.at("size").get<std::uint64_t>(), {}});
  } catch (const nlohmann::json::exception&) {
    refuse(name, "its header is not what was expected");
  } catch (const Error& error) {
    refuse(name, error.message());
  }
  if (std::ranges::any_of(header.files, [](const NamedFile& file) { return file.size > kMaxFileBytes; }))
    refuse(name, "one of its files is too large");
  // There is one way to write it, so that nothing can be said twice or be hidden in it.
  if (encode_bundle_header(header) != framed(text)) refuse(name, "its header is not what was expected");
  if (!is_manifest_name(header.name)) refuse(name, "the name of its manifest is none");
  return header;
}

/// The files are those of the lock, in the order of their hashes.
void check_files(BundleHeader& header, const LockFile& lock, const std::string& name) {
  const std::vector<NamedFile> expected = files_of_lock(lock);
  if (!std::ranges::equal(expected, header.files, {}, &NamedFile::sha256, &NamedFile::sha256))
    refuse(name, "its files are not those that its lock names");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    NamedFile& file = header.files[i];
    file.label = expected[i].label;
    if (expected[i].size != 0 && expected[i].size != file.size)
      refuse(name, fmt::format("{} has {} bytes in it and {} in its lock", printable(file.label), file.size,
                               expected[i].size));
  }
}

}  // namespace

std::vector<NamedFile> files_of_lock(const LockFile& lock) {
  if (lock.base.provider == BaseProvider::Dir) {
    throw Error(
        ErrorCode::Unsupported, "its base is a directory of this machine, which a lock names by no file",
        "make an archive of it: tar -cf rootfs.tar -C DIRECTORY . and image = \"rootfs:./rootfs.tar\"");
  }
  std::vector<NamedFile> files;
  const auto add = [&](const std::vector<LockedPackage>& packages) {
    for (const LockedPackage& package : packages) {
      if (package.repository.empty()) continue;  // of the mock backend: there is no such file
      files.push_back({package.sha256, package.size, fmt::format("{} {}", package.name, package.version)});
    }
  };
  if (lock.base.provider == BaseProvider::Tar)
    files.push_back({lock.base.sha256, lock.base.size, "the base"});
  for (const LockedFile& file : lock.base.files)
    files.push_back({file.sha256, file.size, fmt::format("{} of the base", file.role)});
  add(lock.base.packages);
  add(lock.resolved_packages);
  std::ranges::stable_sort(files, {}, &NamedFile::sha256);
  const auto same = [](const NamedFile& a, const NamedFile& b) { return a.sha256 == b.sha256; };
  files.erase(std::unique(files.begin(), files.end(), same), files.end());
  return files;
}

std::string encode_bundle_header(const BundleHeader& header) {
  Json files = Json::array();
  for (const NamedFile& file : header.files) files.push_back({{"sha256", file.sha256}, {"size", file.size}});
  const std::string text = canonical_json(Json{{"name", header.name},
                                               {"manifest", header.manifest},
                                               {"lock", header.lock},
                                               {"files", std::move(files)}});
  return framed(text);
}

OpenedBundle read_bundle_header(FdRef bundle, const std::string& name) {
  const struct stat status = stat_fd(bundle);
  if (!S_ISREG(status.st_mode)) refuse(name, "it is not a regular file");
  if (read_range(bundle, 0, kMagic.size()) != kMagic) refuse(name, "it does not begin like one");
  const HeaderPlace place = read_place(bundle, name);
  if (place.begin + place.length > static_cast<std::uint64_t>(status.st_size))
    refuse(name, "it ends too early");
  const std::string text = read_range(bundle, place.begin, place.length);
  if (hash_bytes(text).hex() != place.digest) refuse(name, "its header is damaged");
  OpenedBundle opened;
  opened.header = decode(text, name);
  opened.manifest = parse_manifest(opened.header.manifest, name + ": " + opened.header.name);
  const std::string lock_name = name + ": lock";
  opened.lock = parse_lock(opened.header.lock, lock_name);
  verify_integrity(opened.lock, lock_name);
  if (!compare_intent(opened.lock, opened.manifest).fits())
    refuse(name, "its lock does not fit its manifest");
  check_files(opened.header, opened.lock, name);
  opened.files_begin = place.begin + place.length;
  std::uint64_t left = static_cast<std::uint64_t>(status.st_size) - opened.files_begin;
  for (const NamedFile& file : opened.header.files) {
    if (file.size > left) refuse(name, "it ends too early");
    left -= file.size;
  }
  if (left > 0) refuse(name, "there is something behind its end");
  return opened;
}

}  // namespace karapace::core
