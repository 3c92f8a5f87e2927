// SPDX-License-Identifier: Apache-2.0
#include "offline_support.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace karapace::test {

namespace fs = std::filesystem;

OfflineTest::OfflineTest() {
  fs::create_directories(project() + "/rootfs/etc");
  write("rootfs/etc/greeting", "hello");
  const RunResult packed = run_program("/usr/bin/tar", {"--sort=name", "--mtime=@0", "--owner=0", "--group=0",
                                                        "-cf", "base.tar", "-C", "rootfs", "."});
  EXPECT_EQ(packed.status, 0) << packed.err;
  base_ = read("base.tar");
  base_sha256_ = sha256_of(base_);
  fs::remove_all(project() + "/rootfs");
  fs::remove(project() + "/base.tar");
  server_->add("/base.tar", base_);
}

std::string OfflineTest::sha256_of(const std::string& content) {
  return run_program("/usr/bin/sha256sum", {}, content).out.substr(0, 64);
}

std::string OfflineTest::manifest(std::string_view packages) const {
  return fmt::format("manifest_version = 1\n[base]\nimage = \"{} sha256={}\"\n[system]\npackages = [{}]\n",
                     server_->url("/base.tar"), base_sha256_, packages);
}

void OfflineTest::write_base_manifest() { write("karapace.toml", manifest("")); }

void OfflineTest::write_lock_of_packages() {
  write("karapace.toml", manifest("\"alpha\", \"gamma\""));
  LockFile lock;
  apply_policy(lock, load_manifest(project() + "/karapace.toml"));
  lock.arch = run_program("/usr/bin/uname", {"-m"}).out == "aarch64\n" ? "arm64" : "amd64";
  lock.base.provider = BaseProvider::Tar;
  lock.base.url = server_->url("/base.tar");
  lock.base.sha256 = base_sha256_;
  lock.base.size = base_.size();
  lock.base_image_digest = std::string(64, 'b');
  lock.repositories = {{"local", server_->url("/repo"), "stable", {"main"}}};
  hashes_ = {base_sha256_};
  for (const std::string name : {"alpha", "beta", "gamma"}) {
    LockedPackage package;
    const std::string content = fmt::format("the package {}\n", name);
    package.name = name;
    package.version = "1.0";
    package.arch = "all";
    package.sha256 = sha256_of(content);
    package.size = content.size();
    package.repository = "local";
    package.path = fmt::format("pool/{}_1.0_all.deb", name);
    package.requested = name != "beta";
    server_->add("/repo/" + package.path, content);
    hashes_.push_back(package.sha256);
    lock.resolved_packages.push_back(std::move(package));
  }
  std::ranges::sort(hashes_);
  lock.dependency_layer = std::string(64, 'd');
  seal_identity(lock);
  save_lock(project() + "/karapace.lock", lock);
}

std::vector<std::string> OfflineTest::stored() const {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(store() + "/store/packages", none))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

RunResult OfflineTest::karapace_without_network(const std::vector<std::string>& words) {
  std::vector<std::string> all = {"--user", "--map-current-user", "--net", karapace_binary()};
  all.insert(all.end(), words.begin(), words.end());
  return run_program("/usr/bin/unshare", all);
}

}  // namespace karapace::test
