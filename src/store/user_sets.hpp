// SPDX-License-Identifier: Apache-2.0
// Sets of users, each kept once: hundreds of thousands of files have a few dozen different ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

namespace karapace::store {

class UserSets {
 public:
  using User = std::uint32_t;
  using Id = std::uint32_t;
  static constexpr Id kNobody = 0;

  UserSets() { intern({}); }
  [[nodiscard]] Id of(User user) { return intern({user}); }
  [[nodiscard]] Id unite(Id a, Id b) {
    if (a == b || b == kNobody) return a;
    if (a == kNobody) return b;
    const std::uint64_t key = (std::uint64_t{std::min(a, b)} << 32) | std::max(a, b);
    if (const auto found = unions_.find(key); found != unions_.end()) return found->second;
    std::vector<User> both;
    std::ranges::set_union(sets_[a], sets_[b], std::back_inserter(both));
    const Id id = intern(std::move(both));
    unions_.emplace(key, id);
    return id;
  }
  [[nodiscard]] const std::vector<User>& members(Id id) const { return sets_[id]; }
  [[nodiscard]] bool contains(Id id, User user) const { return std::ranges::binary_search(sets_[id], user); }

 private:
  Id intern(std::vector<User> users) {
    const auto [found, added] = ids_.try_emplace(std::move(users), static_cast<Id>(sets_.size()));
    if (added) sets_.push_back(found->first);
    return found->second;
  }
  std::vector<std::vector<User>> sets_;
  std::map<std::vector<User>, Id> ids_;
  std::unordered_map<std::uint64_t, Id> unions_;
};

}  // namespace karapace::store
