// SPDX-License-Identifier: Apache-2.0
#include "packages/unpack_order.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace karapace::runtime::apt {
namespace {

/// Calls `seen` with each name of a relation field: "a (>= 1) | b:any [amd64], c" has a, b and c. All
/// alternatives: which of them was chosen is what the closure says.
template <typename Seen>
void for_each_name(std::string_view relations, Seen seen) {
  constexpr std::string_view kBetween = ",| \t\n";
  constexpr std::string_view kAfterName = ",| \t\n:([";
  for (std::size_t at = 0; (at = relations.find_first_not_of(kBetween, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(relations.find_first_of(kAfterName, at), relations.size());
    if (end > at) seen(relations.substr(at, end - at));
    at = std::min(relations.find_first_of(",|", end), relations.size());
  }
}

using Edges = std::vector<std::vector<std::size_t>>;

/// For each package those that it depends on.
Edges dependencies(const std::vector<Stanza>& controls) {
  std::map<std::string_view, std::vector<std::size_t>> by_name;
  for (std::size_t i = 0; i < controls.size(); ++i) {
    by_name[controls[i].get("Package")].push_back(i);
    for_each_name(controls[i].get("Provides"), [&](std::string_view name) {
      std::vector<std::size_t>& providers = by_name[name];
      if (providers.empty() || providers.back() != i) providers.push_back(i);
    });
  }
  Edges edges(controls.size());
  for (std::size_t i = 0; i < controls.size(); ++i) {
    std::set<std::string_view> seen;
    for (const std::string_view field : {"Pre-Depends", "Depends"}) {
      for_each_name(controls[i].get(field), [&](std::string_view name) {
        const auto found = by_name.find(name);
        if (found != by_name.end() && seen.insert(name).second)
          edges[i].insert(edges[i].end(), found->second.begin(), found->second.end());
      });
    }
  }
  return edges;
}

/// A walk into depth that names each package when all below it are named. Without recursion: how deep it goes
/// is for the authors of packages to say.
class Walk {
 public:
  explicit Walk(const Edges& edges) : edges_(edges), seen_(edges.size(), false) {}

  void from(std::size_t root) {
    enter(root);
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next == edges_[step.package].size()) {
        order_.push_back(step.package);
        path_.pop_back();
      } else {
        enter(edges_[step.package][step.next++]);
      }
    }
  }
  [[nodiscard]] std::vector<std::size_t> take() { return std::move(order_); }

 private:
  struct Step {
    std::size_t package;
    std::size_t next;  // of its edges
  };

  void enter(std::size_t package) {
    if (seen_[package]) return;
    seen_[package] = true;
    path_.push_back({package, 0});
  }

  const Edges& edges_;
  std::vector<bool> seen_;
  std::vector<Step> path_;
  std::vector<std::size_t> order_;
};

}  // namespace

std::vector<std::size_t> unpack_order(const std::vector<Stanza>& controls) {
  const Edges edges = dependencies(controls);
  Walk walk(edges);
  for (std::size_t i = 0; i < controls.size(); ++i) walk.from(i);
  return walk.take();
}

}  // namespace karapace::runtime::apt
