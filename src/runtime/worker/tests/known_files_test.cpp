// SPDX-License-Identifier: Apache-2.0
#include "worker/known_files.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/tests/scratch.hpp"

namespace karapace::worker {
namespace {

class KnownFiles : public ::testing::Test {
 protected:
  void put(const std::string& path, std::string_view content = "x") {
    scratch_.write("tree/" + path, content);
  }
  [[nodiscard]] WorkTree tree() const { return {tree_, {}, Owners::Flat}; }
  bool has(const std::string& path) { return find_beneath(tree_, path).has_value(); }
  std::vector<std::string> matches(std::string_view pattern) {
    std::vector<std::string> found;
    for_each_match(tree(), pattern, [&](const std::string& path) { found.push_back(path); });
    return found;
  }

  Scratch scratch_;
  UniqueFd tree_ = scratch_.make_directory("tree");
};

TEST_F(KnownFiles, APatternFitsNamesAndNeverAWayThroughALink) {
  put("a/one.cfg");
  put("a/two.cfg");
  put("a/three.txt");
  put("b/one.cfg");
  put("d/*/y");  // a name that looks like a pattern
  put("d/deep/x");
  symlink_at("a", tree_, "link");
  using Paths = std::vector<std::string>;
  EXPECT_EQ((Paths{"a/one.cfg", "a/two.cfg"}), matches("a/*.cfg"));
  EXPECT_EQ((Paths{"a/one.cfg"}), matches("a/one.cfg"));
  EXPECT_EQ((Paths{"d/*/y"}), matches("d/*/y"));
  EXPECT_EQ((Paths{"d/deep/x"}), matches("d/*/x"));
  EXPECT_EQ(Paths{}, matches("link/*"));
  EXPECT_EQ(Paths{}, matches("missing/*/x"));
  EXPECT_EQ(Paths{}, matches("a/one.cfg/*"));
}

TEST_F(KnownFiles, OfTheFirstLineThatFitsTheEndIsCut) {
  EXPECT_EQ("# made\nx on y\n", cut_line("# made on monday\nx on y\n", "# made", " on "));
  EXPECT_EQ("a\n# made", cut_line("a\n# made on monday", "# made", " on "));
  EXPECT_FALSE(cut_line("a\n# made\nx on y\n", "# made", " on "));
  EXPECT_FALSE(cut_line("a\n", "# made", " on "));
  EXPECT_FALSE(cut_line("", "# made", " on "));
}

TEST_F(KnownFiles, SecretsThatScriptsMakeAreInNoLayer) {
  const std::vector<std::string> secrets = {
      "etc/backuppc/htpasswd",
      "etc/bacula/bacula-fd.conf",
      "etc/bacula/common_default_passwords",
      "etc/bind/rndc.key",
      "etc/courier/dhparams.pem",
      "etc/cron.d/apticron",
      "etc/dnssec-trigger/dnssec_trigger_server.key",
      "etc/dropbear/dropbear_ed25519_host_key",
      "etc/ejabberd/ejabberd.pem",
      "etc/firebird/3.0/SYSDBA.password",
      "etc/iscsi/initiatorname.iscsi",
      "etc/mail/access.db",
      "etc/mail/tls/sendmail-common.key",
      "etc/mail/tls/sendmail-server.crt",
      "etc/munge/munge.key",
      "etc/nsd/nsd_control.pem",
      "etc/nvme/hostnqn",
      "etc/popularity-contest.conf",
      "etc/sasldb2",
      "etc/ssh/ssh_host_rsa_key",
      "etc/ssl/private/ssl-cert-snakeoil.key",
      "etc/tripwire/karapace-local.key",
      "etc/varnish/secret",
      "etc/xrdp/rsakeys.ini",
      "usr/share/emacs/site-lisp/elpa/x-1.0/Install.log.gz",
      "var/lib/firebird/3.0/system/security3.fdb",
      "var/lib/heimdal-kdc/m-key",
      "var/lib/phpmyadmin/blowfish_secret.inc.php",
      "var/lib/rabbitmq/.erlang.cookie",
  };
  const std::vector<std::string> others = {"etc/bind/named.conf", "etc/dropbear/run",
                                           "etc/mail/tls/sendmail-server.cfg", "etc/nsd/nsd.conf"};
  for (const auto* paths : {&secrets, &others})
    for (const std::string& path : *paths) put(path);
  clean_known_files(tree());
  for (const std::string& path : secrets) EXPECT_FALSE(has(path)) << path;
  for (const std::string& path : others) EXPECT_TRUE(has(path)) << path;
}

TEST_F(KnownFiles, PasswordsOfDatabasesThatNobodyHasAreForgotten) {
  put("etc/phpmyadmin/config-db.php", "<?php\n$dbuser='x';\n$dbpass='JHwy';\n");
  put("etc/dbconfig-common/phpmyadmin.conf", "# dbc_dbpass: x\ndbc_dbpass='JHwy'\n");
  clean_known_files(tree());
  EXPECT_EQ(read_file_at(tree_, "etc/phpmyadmin/config-db.php", 1000), "<?php\n$dbuser='x';\n$dbpass='';\n");
  EXPECT_EQ(read_file_at(tree_, "etc/dbconfig-common/phpmyadmin.conf", 1000),
            "# dbc_dbpass: x\ndbc_dbpass=''\n");
}

TEST_F(KnownFiles, RoundcubeHasNoKeyThatEverybodyKnows) {
  put("etc/roundcube/config.inc.php", "<?php\n$config['des_key'] = 'AbC/+d==';\n$config['plugins'] = [];\n");
  put("var/lib/ucf/cache/:etc:roundcube:config.inc.php");
  put("var/lib/ucf/hashfile", "aa  /etc/roundcube/config.inc.php\n");
  clean_known_files(tree());
  EXPECT_EQ(read_file_at(tree_, "etc/roundcube/config.inc.php", 1000),
            "<?php\n$config['des_key'] = '';\n$config['plugins'] = [];\n");
  EXPECT_FALSE(has("var/lib/ucf/cache/:etc:roundcube:config.inc.php"));
  EXPECT_EQ(read_file_at(tree_, "var/lib/ucf/hashfile", 1000), "");
}

TEST_F(KnownFiles, UcfKnowsNothingOfWhatIsGone) {
  put("etc/bacula/bacula-fd.conf");
  put("etc/default/bacula-fd");
  put("var/lib/ucf/cache/:etc:bacula:bacula-fd.conf");
  put("var/lib/ucf/cache/:etc:default:bacula-fd");
  put("var/lib/ucf/hashfile", "aa  /etc/bacula/bacula-fd.conf\nbb  /etc/default/bacula-fd\n");
  put("var/lib/ucf/hashfile.0", "aa  /etc/bacula/bacula-fd.conf\n");
  put("var/lib/ucf/registry", "bacula-fd \t /etc/default/bacula-fd\nbacula-fd \t /etc/bacula/bacula-fd.conf");
  clean_known_files(tree());
  EXPECT_FALSE(has("var/lib/ucf/cache/:etc:bacula:bacula-fd.conf"));
  EXPECT_TRUE(has("var/lib/ucf/cache/:etc:default:bacula-fd"));
  EXPECT_FALSE(has("var/lib/ucf/hashfile.0"));
  EXPECT_EQ(read_file_at(tree_, "var/lib/ucf/hashfile", 1000), "bb  /etc/default/bacula-fd\n");
  EXPECT_EQ(read_file_at(tree_, "var/lib/ucf/registry", 1000), "bacula-fd \t /etc/default/bacula-fd\n");
}

TEST_F(KnownFiles, DatabasesThatScriptsMakeAreEmptied) {
  for (const char* path :
       {"var/lib/mysql/ibdata1", "var/lib/mariadb/ibdata1", "var/lib/ldap/data.mdb",
        "etc/ldap/slapd.d/cn=config.ldif", "var/lib/postgresql/15/main/PG_VERSION",
        "etc/postgresql/15/main/postgresql.conf", "var/lib/texmf/luatex-cache/context/a.luc"})
    put(path);
  clean_known_files(tree());
  for (const char* left : {"var/lib/mysql", "var/lib/mariadb", "var/lib/ldap", "etc/ldap/slapd.d",
                           "var/lib/postgresql/15", "etc/postgresql/15", "var/lib/texmf/luatex-cache"}) {
    ASSERT_TRUE(has(left)) << left;
    EXPECT_TRUE(list_directory(open_directory(tree_, left)).empty()) << left;
  }
}

TEST_F(KnownFiles, CommentsDoNotTellWhenTheirFileWasMade) {
  put("etc/mail/sendmail.cf", "#\n##### built by root@karapace on Mon Nov 30 22:11:00 UTC 2026\nV10\n");
  put("etc/mail/Makefile", "##### by: root@karapace\n##### on: Mon Nov 30 22:11:00 2026\nall:\n");
  put("etc/fpc-3.2.2.cfg", "#\n# Config file generated by fpcmkcfg on 24-11-26 - 04:46:30\n#\n-v0\n");
  put("usr/share/octave/octave_packages",
      "# Created by Octave 7.3.0, Tue Nov 24 04:46:30 2026 UTC <root@karapace>\n# name: global_packages\n");
  clean_known_files(tree());
  EXPECT_EQ("#\n# Config file generated by fpcmkcfg\n#\n-v0\n",
            read_file_at(tree_, "etc/fpc-3.2.2.cfg", 1000));
  EXPECT_EQ("# Created by Octave 7.3.0\n# name: global_packages\n",
            read_file_at(tree_, "usr/share/octave/octave_packages", 1000));
  EXPECT_EQ("#\n##### built by root@karapace\nV10\n", read_file_at(tree_, "etc/mail/sendmail.cf", 1000));
  EXPECT_EQ("##### by: root@karapace\n##### on:\nall:\n", read_file_at(tree_, "etc/mail/Makefile", 1000));
}

}  // namespace
}  // namespace karapace::worker
