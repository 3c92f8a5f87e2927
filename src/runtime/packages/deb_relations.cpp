// SPDX-License-Identifier: Apache-2.0
#include "packages/deb_relations.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace karapace::runtime::apt {
namespace {

/// Calls `seen` with each name of a relation field: "a (>= 1) | b:any [amd64], c" has a, b and c.
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
using ByName = std::map<std::string_view, std::vector<std::size_t>>;

/// Who is meant by a name: itself, and who provides it.
ByName by_name(const std::vector<Stanza>& controls) {
  ByName packages;
  for (std::size_t i = 0; i < controls.size(); ++i) {
    packages[controls[i].get("Package")].push_back(i);
    for_each_name(controls[i].get("Provides"), [&](std::string_view name) {
      std::vector<std::size_t>& providers = packages[name];
      if (providers.empty() || providers.back() != i) providers.push_back(i);
    });
  }
  return packages;
}

/// For each package those that its `fields` name.
Edges named_in(const std::vector<Stanza>& controls, const ByName& packages,
               std::initializer_list<std::string_view> fields) {
  Edges edges(controls.size());
  for (std::size_t i = 0; i < controls.size(); ++i) {
    std::set<std::string_view> seen;
    for (const std::string_view field : fields) {
      for_each_name(controls[i].get(field), [&](std::string_view name) {
        const auto found = packages.find(name);
        if (found != packages.end() && seen.insert(name).second)
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

DebRelations::DebRelations(const std::vector<Stanza>& controls) {
  const ByName packages = by_name(controls);
  needs_ = named_in(controls, packages, {"Pre-Depends", "Depends"});
  pre_depends_ = named_in(controls, packages, {"Pre-Depends"});
}

std::vector<std::size_t> DebRelations::unpack_order() const {
  Walk walk(needs_);
  for (std::size_t i = 0; i < needs_.size(); ++i) walk.from(i);
  return walk.take();
}

std::vector<std::size_t> DebRelations::needed_to_unpack(const std::vector<std::size_t>& packages) const {
  Walk walk(needs_);
  for (const std::size_t package : packages) {
    for (const std::size_t needed : pre_depends_[package]) walk.from(needed);
  }
  return walk.take();
}

}  // namespace karapace::runtime::apt
