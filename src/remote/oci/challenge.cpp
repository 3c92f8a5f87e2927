// SPDX-License-Identifier: Apache-2.0
#include "oci/challenge.hpp"

#include <algorithm>
#include <optional>

namespace karapace::remote::oci {

namespace {

constexpr std::size_t kMaxChallenges = 8;
constexpr std::size_t kMaxParameters = 16;

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void skip(std::string_view set) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(set), rest_.size()));
  }
  bool take(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// In lower case; empty if there is none.
  std::string token() {
    std::string result;
    while (!rest_.empty() && is_token_char(rest_.front())) {
      const char c = rest_.front();
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      rest_.remove_prefix(1);
    }
    return result;
  }
  std::optional<std::string> value() {
    std::string result;
    if (!take('"')) {
      while (!rest_.empty() && is_token_char(rest_.front())) {
        result += rest_.front();
        rest_.remove_prefix(1);
      }
      return result.empty() ? std::nullopt : std::optional(result);
    }
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return result;
      if (c == '\\' && !rest_.empty()) {
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      result += c;
    }
    return std::nullopt;
  }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::string_view position() const { return rest_; }
  void go_to(std::string_view position) { rest_ = position; }

 private:
  std::string_view rest_;
};

}  // namespace

std::string Challenge::get(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> challenges;
  Scanner scanner(header);
  scanner.skip(" \t,");
  while (!scanner.at_end() && challenges.size() < kMaxChallenges) {
    Challenge challenge;
    challenge.scheme = scanner.token();
    if (challenge.scheme.empty()) return challenges;
    while (challenge.parameters.size() < kMaxParameters) {
      scanner.skip(" \t,");
      const auto before = scanner.position();
      std::string name = scanner.token();
      scanner.skip(" \t");
      if (name.empty() || !scanner.take('=')) {
        scanner.go_to(before);  // the next scheme
        break;
      }
      scanner.skip(" \t");
      auto value = scanner.value();
      if (!value) return challenges;
      challenge.parameters.emplace(std::move(name), std::move(*value));
    }
    challenges.push_back(std::move(challenge));
  }
  return challenges;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      result += c;
    } else {
      result.append({'%', kHex[byte >> 4U], kHex[byte & 15U]});
    }
  }
  return result;
}

}  // namespace karapace::remote::oci
