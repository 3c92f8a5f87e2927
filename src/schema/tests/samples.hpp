// SPDX-License-Identifier: Apache-2.0
// Manifests and locks that several tests need.
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

#include "karapace/base/digest.hpp"
#include "karapace/schema/lock_file.hpp"

namespace karapace::testing {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// What the mock backend resolves: no dependencies, made-up hashes.
inline LockFile mock_lock(const Manifest& manifest) {
  LockFile lock;
  apply_policy(lock, manifest);
  lock.arch = "amd64";
  lock.base_image_digest = hash_bytes("mock-image:" + manifest.base_image).hex();
  lock.base.provider = BaseProvider::Mock;
  for (const auto* names : {&manifest.system_packages, &manifest.gui_apps}) {
    for (const std::string& name : *names) {
      LockedPackage package;
      package.name = name;
      package.version = "0.0.0-mock";
      package.arch = "all";
      package.sha256 = hash_bytes("mock-package:" + name).hex();
      package.requested = true;
      lock.resolved_packages.push_back(package);
    }
  }
  seal_identity(lock);
  return lock;
}

/// A lock that uses every field, different for every seed.
class RandomLock {
 public:
  explicit RandomLock(std::uint32_t seed) : random_(seed), only_plain_(coin()) {}

  LockFile make() {
    LockFile lock;
    lock.base_image = text();
    lock.base_image_digest = digest();
    lock.arch = coin() ? "amd64" : "x86_64";
    lock.ownership = coin() ? Ownership::Flat : Ownership::Mapped;
    if (coin()) lock.dependency_layer = digest();
    lock.base.provider = static_cast<BaseProvider>(below(6));
    if (coin()) lock.base.distribution = "debian/bookworm";
    if (coin()) lock.base.variant = "minbase";
    if (coin()) lock.base.url = "https://example.org/" + word();
    lock.base.sha256 = digest();
    lock.base.size = number();
    if (coin()) lock.base.version = word();
    if (coin()) lock.base.index_sha256 = digest();
    for (std::uint32_t i = below(4); i > 0; --i) {
      lock.base.files.push_back(
          {coin() ? "layer" : "manifest", coin() ? "https://example.org/" + word() : "", digest(), number()});
    }
    for (std::uint32_t i = below(4); i > 0; --i) {
      Repository& repository = lock.repositories.emplace_back();
      repository.name = fmt::format("r{}{}", i, word());
      repository.url = "http://example.org/" + word();
      if (coin()) repository.suite = word();
      for (std::uint32_t c = below(3); c > 0; --c) repository.components.push_back(word());
    }
    for (std::uint32_t i = below(8); i > 0; --i) lock.resolved_packages.push_back(package(lock, i));
    for (std::uint32_t i = below(8); i > 0; --i) lock.base.packages.push_back(package(lock, i));
    for (std::uint32_t i = below(4); i > 0; --i)
      lock.requested_packages.push_back(fmt::format("p{}{}", i, word()));
    for (std::uint32_t i = below(4); i > 0; --i)
      lock.resolved_apps.push_back(fmt::format("a{}{}", i, word()));
    lock.runtime_backend = coin() ? "namespace" : "mock";
    lock.hardware_gpu = coin();
    lock.hardware_audio = coin();
    lock.network_isolation = coin();
    for (std::uint32_t i = below(4); i > 0; --i) {
      lock.mounts.push_back({fmt::format("{}{}", i, text()), coin() ? "./" + text() : "/" + text(),
                             fmt::format("/m{}/{}", i, word()),
                             coin() ? MountAccess::ReadOnly : MountAccess::ReadWrite});
    }
    if (coin()) lock.cpu_shares = number();
    if (coin()) lock.memory_limit_mb = number();
    seal_identity(lock);
    return lock;
  }

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  bool coin() { return below(2) == 0; }

 private:
  std::uint64_t number() { return coin() ? below(3) : (std::uint64_t{random_()} << 21U) | below(7); }
  std::string digest() { return hash_bytes(std::to_string(random_())).hex(); }
  std::string word() {
    static constexpr std::string_view kLetters = "abcXYZ019+._-";
    std::string result(1, static_cast<char>('a' + below(26)));
    for (std::uint32_t i = below(12); i > 0; --i) result += kLetters[below(kLetters.size())];
    return result;
  }
  /// With everything that a careless writer would get wrong.
  std::string text() {
    static constexpr std::string_view kPieces[] = {"a", "/",  "\"", "\\", "'", "#", "=", "[",     "]",
                                                   "é", "日", " b", ",",  "{", "}", "n", "u0041", "😀"};
    std::string result = "x";
    for (std::uint32_t i = only_plain_ ? 0 : below(10); i > 0; --i)
      result += kPieces[below(std::size(kPieces))];
    return result + "y";
  }
  LockedPackage package(const LockFile& lock, std::uint32_t index) {
    LockedPackage package;
    package.name = fmt::format("{}{}", word(), index);
    package.version = fmt::format("{}:{}~{}", below(3), word(), index);
    package.arch = coin() ? "amd64" : "all";
    package.sha256 = digest();
    package.size = number();
    if (!lock.repositories.empty()) {
      package.repository =
          lock.repositories[below(static_cast<std::uint32_t>(lock.repositories.size()))].name;
      package.path = fmt::format("pool/{}/{}", word(), word());
    }
    package.requested = coin();
    return package;
  }

  std::mt19937 random_;
  bool only_plain_;  // half of the locks have nothing that needs an escape
};

}  // namespace karapace::testing
