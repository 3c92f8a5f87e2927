// SPDX-License-Identifier: Apache-2.0
#include "fetcher/url.hpp"

#include <gtest/gtest.h>

namespace karapace::fetcher {

namespace {

TEST(FetchUrl, RedirectsNeverLeaveTlsOrTheWeb) {
  EXPECT_TRUE(redirect_is_allowed("http://a/", "http://b/"));
  EXPECT_TRUE(redirect_is_allowed("http://a/", "https://b/"));
  EXPECT_TRUE(redirect_is_allowed("HTTPS://a/", "Https://b/"));
  EXPECT_FALSE(redirect_is_allowed("https://a/", "http://b/"));
  EXPECT_FALSE(redirect_is_allowed("http://a/", "file:///etc/passwd"));
  EXPECT_FALSE(redirect_is_allowed("https://a/", "ftp://b/"));
  EXPECT_FALSE(redirect_is_allowed("http://a/", "httpx://b/"));
  EXPECT_FALSE(redirect_is_allowed("http://a/", ""));
}

TEST(FetchUrl, SecretsStayWithSchemeHostAndPort) {
  EXPECT_TRUE(same_origin("https://Host/a", "HTTPS://host:443/b?c"));
  EXPECT_TRUE(same_origin("http://h", "http://h:80"));
  EXPECT_TRUE(same_origin("http://[::1]:80/", "http://[::1]/"));
  EXPECT_FALSE(same_origin("https://h/", "http://h/"));
  EXPECT_FALSE(same_origin("https://h/", "https://h:444/"));
  EXPECT_FALSE(same_origin("https://h/", "https://h.evil/"));
  EXPECT_FALSE(same_origin("https://h/", "https://h\\@evil/"));
  EXPECT_FALSE(same_origin("https://h/", "https://h@evil/"));
  EXPECT_FALSE(same_origin("https://h/", "https://evil#h/"));
  EXPECT_FALSE(same_origin("ftp://h/", "ftp://h/"));
  EXPECT_FALSE(same_origin("", ""));
}

TEST(FetchUrl, ShownWithoutPasswordAndWithoutControlCharacters) {
  EXPECT_EQ(shown_url("http://host/a@b"), "http://host/a@b");
  EXPECT_EQ(shown_url("https://user:p@ss@host/x?y@z"), "https://host/x?y@z");
  EXPECT_EQ(shown_url("http://user@host"), "http://host");
  EXPECT_EQ(shown_url("http://h/\x1b[2J").find('\x1b'), std::string::npos);
  EXPECT_LE(shown_url("http://" + std::string(5000, 'a')).size(), 310U);
}

}  // namespace

}  // namespace karapace::fetcher
