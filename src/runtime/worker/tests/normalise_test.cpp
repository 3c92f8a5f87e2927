// SPDX-License-Identifier: Apache-2.0
#include "worker/normalise.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "karapace/base/xattr.hpp"
#include "worker/tests/scratch.hpp"

namespace karapace::worker {
namespace {

class NormaliseLayer : public ::testing::Test {
 protected:
  NormaliseLayer() : upper_(scratch_.make_directory("upper")), base_(scratch_.make_directory("base")) {}
  void upper(const std::string& path, std::string_view content) { scratch_.write("upper/" + path, content); }
  void base(const std::string& path, std::string_view content) { scratch_.write("base/" + path, content); }
  void run() {
    std::vector<UniqueFd> lowers;
    lowers.push_back(duplicate(base_));
    normalise_layer(WorkTree(upper_, std::move(lowers), Owners::Flat));
  }
  bool has(const std::string& path) { return find_beneath(upper_, path).has_value(); }
  std::string read(const std::string& path) { return read_file_at(upper_, path, 1 << 20); }

  Scratch scratch_;
  UniqueFd upper_;
  UniqueFd base_;
};

TEST_F(NormaliseLayer, PacmanDoesNotTellWhenItInstalled) {
  upper("var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
  upper("var/lib/pacman/local/a-1-1/desc", "%NAME%\na\n\n%INSTALLDATE%\n1795417157\n\n%SIZE%\n1\n");
  run();
  EXPECT_EQ(read("var/lib/pacman/local/a-1-1/desc"), "%NAME%\na\n\n%INSTALLDATE%\n1735689600\n\n%SIZE%\n1\n");
}

TEST_F(NormaliseLayer, LogsOfTheBaseShowAgainAndOthersStayEmpty) {
  base("var/log/faillog", "base");
  upper("var/log/faillog", "changed");
  upper("var/log/dpkg.log", "x");
  upper("var/log/apt/term.log", "x");
  upper("var/log/postgresql/main.log", "secret");
  run();
  EXPECT_FALSE(has("var/log/faillog"));
  EXPECT_FALSE(has("var/log/dpkg.log"));
  EXPECT_FALSE(has("var/log/apt"));
  EXPECT_EQ(read("var/log/postgresql/main.log"), "");
}

TEST_F(NormaliseLayer, NothingThatNamesTheMachineStays) {
  base("etc/machine-id", "");
  upper("etc/machine-id", "0123");
  for (const char* path : {"etc/hosts", "etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id",
                           "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_rsa_key.pub",
                           "etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"}) {
    upper(path, "x");
  }
  upper("etc/ssh/sshd_config", "keep");
  symlink_at("ssl-cert-snakeoil.pem", upper_, "etc/ssl/certs/abcdef01.0");
  symlink_at("other.pem", upper_, "etc/ssl/certs/abcdef02.0");
  run();
  EXPECT_FALSE(has("etc/machine-id"));
  for (const char* path : {"etc/hosts", "etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id",
                           "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_rsa_key.pub",
                           "etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem",
                           "etc/ssl/certs/abcdef01.0"}) {
    EXPECT_FALSE(has(path)) << path;
  }
  EXPECT_TRUE(has("etc/ssh/sshd_config"));
  EXPECT_TRUE(has("etc/ssl/certs/abcdef02.0"));
}

TEST_F(NormaliseLayer, CachesAndBackupsGo) {
  for (const char* path :
       {"var/cache/ldconfig/aux-cache", "var/cache/apt/pkgcache.bin", "var/lib/dpkg/status-old",
        "var/cache/debconf/config.dat-old", "var/lib/apt/lists/x_Packages", "tmp/x", "run/x/y",
        "var/cache/man/index.db", "usr/share/info/dir"}) {
    upper(path, "x");
  }
  upper("var/lib/dpkg/status", "keep");
  upper("var/lib/apt/lists/partial/x", "x");
  run();
  EXPECT_FALSE(has("var/lib/dpkg/status-old"));
  EXPECT_FALSE(has("tmp/x"));
  EXPECT_FALSE(has("run/x"));
  EXPECT_FALSE(has("var/lib/apt/lists/x_Packages"));
  EXPECT_FALSE(has("var/lib/apt/lists/partial/x"));
  EXPECT_TRUE(has("var/lib/apt/lists/partial"));
  EXPECT_FALSE(has("var/cache/man/index.db"));
  EXPECT_FALSE(has("usr/share/info/dir"));
  EXPECT_EQ(read("var/lib/dpkg/status"), "keep");
}

TEST_F(NormaliseLayer, OurPolicyGoesAndAPackagesOwnStays) {
  upper("usr/sbin/policy-rc.d", kPolicyRcD);
  run();
  EXPECT_FALSE(has("usr/sbin/policy-rc.d"));
  upper("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n");
  run();
  EXPECT_TRUE(has("usr/sbin/policy-rc.d"));
}

TEST_F(NormaliseLayer, OpaqueMarkStaysOnlyWhereItHidesADirectory) {
  base("opt/both/x", "x");
  base("opt/file", "x");
  for (const char* path : {"opt/both", "opt/new", "opt/file"}) {
    scratch_.make_directory("upper/" + std::string(path));
    set_xattr(upper_, path, "user.overlay.opaque", "y");
  }
  run();
  EXPECT_EQ(list_xattrs(upper_, "opt/both").size(), 1U);
  EXPECT_TRUE(list_xattrs(upper_, "opt/new").empty());
  EXPECT_TRUE(list_xattrs(upper_, "opt/file").empty());
}

TEST_F(NormaliseLayer, SocketsThatScriptsLeaveGo) {
  upper("var/lib/spamassassin/keys/kept", "x");
  ASSERT_EQ(0, ::mknodat(upper_.get(), "var/lib/spamassassin/keys/S.gpg-agent", S_IFSOCK | 0600, 0));
  run();
  EXPECT_FALSE(has("var/lib/spamassassin/keys/S.gpg-agent"));
  EXPECT_TRUE(has("var/lib/spamassassin/keys/kept"));
}

TEST_F(NormaliseLayer, RootDirectoryLooksLikeTheBases) {
  ASSERT_EQ(::fchmod(upper_.get(), 0700), 0);
  ASSERT_EQ(::fchmod(base_.get(), 0755), 0);
  run();
  EXPECT_EQ(stat_fd(upper_).st_mode & 07777, 0755U);
}

TEST_F(NormaliseLayer, LinksInTheTreeLeadNowhere) {
  scratch_.write("outside/log/victim", "safe");
  scratch_.make_directory("upper/var");
  symlink_at("../../outside/log", upper_, "var/log");
  symlink_at("../../outside", upper_, "var/cache");
  symlink_at("../outside", upper_, "tmp");
  run();
  EXPECT_EQ(read_file_at(scratch_.fd(), "outside/log/victim", 100), "safe");
}

TEST(WorkTree, MissingParentsLookLikeTheBases) {
  const Scratch scratch;
  const UniqueFd upper = scratch.make_directory("upper");
  const UniqueFd secret = scratch.make_directory("base/etc/private");
  ASSERT_EQ(::fchmod(secret.get(), 0710), 0);
  std::vector<UniqueFd> lowers;
  lowers.push_back(scratch.make_directory("base"));
  const WorkTree tree(upper, std::move(lowers), Owners::Flat);
  tree.write("etc/private/new/file", "x", 0640);
  EXPECT_EQ(stat_at(upper, "etc/private")->st_mode & 07777, 0710U);
  EXPECT_EQ(stat_at(upper, "etc/private/new")->st_mode & 07777, 0755U);
  EXPECT_EQ(stat_at(upper, "etc/private/new/file")->st_mode & 07777, 0640U);
}

}  // namespace
}  // namespace karapace::worker
