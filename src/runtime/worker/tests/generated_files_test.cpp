// SPDX-License-Identifier: Apache-2.0
#include "worker/generated_files.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <vector>

#include "worker/normalise.hpp"
#include "worker/tests/scratch.hpp"

namespace karapace::worker {
namespace {

std::string big_endian(std::uint64_t value, unsigned bytes) {
  std::string result;
  while (bytes-- > 0) result += static_cast<char>(value >> 8U * bytes & 0xffU);
  return result;
}

std::string certificate(const std::string& alias, std::uint64_t time, const std::string& content) {
  return big_endian(2, 4) + big_endian(alias.size(), 2) + alias + big_endian(time, 8) + big_endian(5, 2) +
         "X.509" + big_endian(content.size(), 4) + content;
}

std::string sealed(const std::string& data) {
  std::string text;
  for (const char c : std::string("changeit")) text += std::string("\0", 1) + c;
  text += "Mighty Aphrodite" + data;
  std::array<unsigned char, 20> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
  return data + std::string(digest.begin(), digest.end());
}

std::string keystore(const std::vector<std::string>& entries) {
  std::string data = big_endian(0xfeedfeed, 4) + big_endian(2, 4) + big_endian(entries.size(), 4);
  for (const std::string& entry : entries) data += entry;
  return sealed(data);
}

TEST(JavaKeystore, DoesNotTellWhenAndInWhichOrderCertificatesCame) {
  const auto one = normalise_java_keystore(keystore({certificate("a", 1, "A"), certificate("b", 2, "B")}));
  const auto two = normalise_java_keystore(keystore({certificate("b", 7, "B"), certificate("a", 9, "A")}));
  ASSERT_TRUE(one);
  EXPECT_EQ(one, two);
  constexpr std::uint64_t kTime = 1735689600000;
  EXPECT_EQ(*one, keystore({certificate("a", kTime, "A"), certificate("b", kTime, "B")}));
  EXPECT_EQ(normalise_java_keystore(*one), one);
  EXPECT_NE(one, normalise_java_keystore(keystore({certificate("a", 1, "A"), certificate("b", 2, "C")})));
}

TEST(JavaKeystore, WhatIsNoneOrHasKeysOrAnotherPasswordStaysAsItIs) {
  EXPECT_FALSE(normalise_java_keystore(""));
  EXPECT_FALSE(normalise_java_keystore("a text of more than twenty bytes"));
  std::string damaged = keystore({certificate("a", 1, "A")});
  damaged.back() = static_cast<char>(~damaged.back());
  EXPECT_FALSE(normalise_java_keystore(damaged));
  std::string key = certificate("a", 1, "A");
  key[3] = 1;
  EXPECT_FALSE(normalise_java_keystore(keystore({key})));
  EXPECT_FALSE(normalise_java_keystore(keystore({certificate("a", 1, "A"), certificate("a", 1, "B")})));
  EXPECT_FALSE(normalise_java_keystore(keystore({certificate("a", 1, "A") + "x"})));
  const std::string short_entry = certificate("a", 1, "A");
  EXPECT_FALSE(normalise_java_keystore(keystore({short_entry.substr(0, short_entry.size() - 1)})));
}

constexpr std::string_view kMagic = "% ls-R -- filename database; do not change this line.\n";

TEST(LsR, IsSortedAndNamesOnlyWhatIsThere) {
  const std::string one =
      std::string(kMagic) + "./:\nweb2c\nls-R\n\n./web2c:\nb.fmt\na.log\na.fmt\n\n./fonts:\n\n";
  const auto all = [](const std::string&) { return true; };
  EXPECT_EQ(normalise_ls_r(one, all),
            std::string(kMagic) + "./:\nls-R\nweb2c\n\n./fonts:\n\n./web2c:\na.fmt\na.log\nb.fmt\n\n");
  EXPECT_EQ(
      normalise_ls_r(one, [](const std::string& path) { return path != "web2c/a.log" && path != "ls-R"; }),
      std::string(kMagic) + "./:\nweb2c\n\n./fonts:\n\n./web2c:\na.fmt\nb.fmt\n\n");
  EXPECT_FALSE(normalise_ls_r("./:\nx\n", all));
  EXPECT_FALSE(normalise_ls_r(std::string(kMagic), all));
  EXPECT_FALSE(normalise_ls_r(std::string(kMagic) + "./:\nx\n\nno header\n", all));
  // What is before the first directory stays before it.
  EXPECT_FALSE(normalise_ls_r("% ls-R ./:\nx\n", all));
  EXPECT_FALSE(normalise_ls_r(std::string(kMagic) + "./b:\nx\n\n.a:\nx\n", all));
}

TEST(Pieces, AreInTheOrderOfTheirNamesAndNothingElseIs) {
  const std::vector<std::string> pieces = {"first\n", "", "second\n", "second\nmore\n"};
  EXPECT_EQ(normalise_pieces("# generated\nsecond\nmore\nsecond\nfirst\n", pieces),
            "# generated\nfirst\nsecond\nsecond\nmore\n");
  EXPECT_EQ(normalise_pieces("# generated\n", {}), "# generated\n");
  EXPECT_FALSE(normalise_pieces("# generated\nfirst\nsecond\nfirst\nmore\n", pieces));
  EXPECT_FALSE(normalise_pieces("short", pieces));
}

TEST(GitConfiguration, SettingsOfTheLargeFileFilterAreSortedAndNothingElseIs) {
  const std::string header = "[filter \"lfs\"]\n";
  const std::string smudge = "\tsmudge = git-lfs smudge -- %f\n";
  const std::string clean = "\tclean = git-lfs clean -- %f\n";
  EXPECT_EQ(normalise_lfs_filter(header + smudge + clean), header + clean + smudge);
  const std::string before = "[user]\n\tname = x\n\temail = y\n";
  const std::string after = "[core]\n\tpager = less\n\teditor = vi\n";
  EXPECT_EQ(normalise_lfs_filter(before + header + smudge + clean + after),
            before + header + clean + smudge + after);
  EXPECT_FALSE(normalise_lfs_filter(before + after));
  EXPECT_FALSE(normalise_lfs_filter(header + smudge + smudge));
  EXPECT_FALSE(normalise_lfs_filter(header + smudge + "\tsmudge = other\n"));
  EXPECT_FALSE(normalise_lfs_filter(header + "\tsmudge = a \\\n\tb\n"));
  EXPECT_FALSE(normalise_lfs_filter(header + "smudge = a\n"));
  EXPECT_EQ(normalise_lfs_filter(header), header);
  EXPECT_EQ(normalise_lfs_filter(header + after), header + after);
  EXPECT_FALSE(normalise_lfs_filter(header + smudge + "\n" + after));
}

TEST(GeneratedFiles, WhatScriptsMakeByChanceIsBroughtIntoFormOrGoes) {
  Scratch scratch;
  const UniqueFd upper = scratch.make_directory("upper");
  const std::string web2c = "upper/var/lib/texmf/web2c";
  scratch.write(web2c + "/luatex/luatex.fmt", "random");
  scratch.write(web2c + "/tex/tex.fmt", "ten to nine");
  scratch.write(web2c + "/pdftex/latex.fmt", "keep");
  scratch.write(web2c + "/pdftex/latex.log", "at ten to nine");
  scratch.write("upper/var/lib/texmf/ls-R",
                std::string(kMagic) + "./web2c/luatex:\nluatex.fmt\n\n./:\nweb2c\nls-R\n\n");
  const std::string lists = "upper/var/lib/tex-common/fmtutil-cnf/texlive/";
  scratch.write(lists + "10latex.cnf", "latex\n");
  scratch.write(lists + "20metapost.cnf", "mpost\n");
  scratch.write(lists + "20metapost.list", "not in it\n");
  scratch.write("upper/var/lib/texmf/fmtutil.cnf-TEXLIVEDIST", "###\nmpost\nlatex\n");
  scratch.write("upper/etc/gitconfig", "[filter \"lfs\"]\n\tsmudge = b\n\tclean = a\n");
  scratch.write("upper/etc/ssl/certs/java/cacerts", keystore({certificate("a", 1, "A")}));
  normalise_layer(WorkTree(upper, {}, Owners::Flat));
  const auto has = [&](const std::string& path) { return find_beneath(upper, path).has_value(); };
  EXPECT_FALSE(has("var/lib/texmf/web2c/luatex/luatex.fmt"));
  EXPECT_FALSE(has("var/lib/texmf/web2c/tex/tex.fmt"));
  EXPECT_TRUE(has("var/lib/texmf/web2c/pdftex/latex.fmt"));
  EXPECT_FALSE(has("var/lib/texmf/web2c/pdftex/latex.log"));
  EXPECT_EQ(read_file_at(upper, "var/lib/texmf/ls-R", 1000),
            std::string(kMagic) + "./:\nls-R\nweb2c\n\n./web2c/luatex:\n\n");
  EXPECT_EQ(read_file_at(upper, "var/lib/texmf/fmtutil.cnf-TEXLIVEDIST", 1000), "###\nlatex\nmpost\n");
  EXPECT_EQ(read_file_at(upper, "etc/gitconfig", 1000), "[filter \"lfs\"]\n\tclean = a\n\tsmudge = b\n");
  EXPECT_EQ(read_file_at(upper, "etc/ssl/certs/java/cacerts", 1000),
            keystore({certificate("a", 1735689600000, "A")}));
}

}  // namespace
}  // namespace karapace::worker
