// SPDX-License-Identifier: Apache-2.0
// WWW-Authenticate: what a registry wants to see before it answers.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace karapace::remote::oci {

struct Challenge {
  std::string scheme;                             // "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case: "realm", "service", "scope"
  [[nodiscard]] std::string get(const std::string& name) const;
};

/// One header may hold several. What is malformed ends the list.
[[nodiscard]] std::vector<Challenge> parse_challenges(std::string_view header);

/// For the query of a URL and for forms: everything but letters, digits and "-._~" as %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace karapace::remote::oci
