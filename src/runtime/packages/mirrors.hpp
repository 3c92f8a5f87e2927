// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "karapace/schema/lock_file.hpp"

namespace karapace::runtime {

/// KARAPACE_MIRROR ("debian=http://127.0.0.1:8080/debian,debian-security=http://..."): what to contact
/// instead of the canonical URL. The lock never sees it.
class Mirrors {
 public:
  /// From the environment of this process. Throws InvalidInput on text that is not a list of name=url.
  [[nodiscard]] static Mirrors from_environment();
  [[nodiscard]] static Mirrors parse(std::string_view text);
  /// The URL to contact, without a slash at the end.
  [[nodiscard]] std::string url_for(std::string_view repository, std::string_view canonical_url) const;
  /// See unused_mirrors.
  [[nodiscard]] std::vector<std::string> unused(const std::vector<Repository>& repositories) const;
  /// Name and URL, as written.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const noexcept { return urls_; }

 private:
  std::vector<std::pair<std::string, std::string>> urls_;
};

}  // namespace karapace::runtime
