// SPDX-License-Identifier: Apache-2.0
#include "power_cut.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"

namespace karapace::lab {
namespace {

using Bytes = std::shared_ptr<const std::string>;

constexpr std::array kBytes = {
    std::pair{PowerCut::Bytes::Missing, "missing"}, std::pair{PowerCut::Bytes::Zeros, "zeros"},
    std::pair{PowerCut::Bytes::Half, "half"}, std::pair{PowerCut::Bytes::There, "there"}};

bool is_sync(const Step& step) { return step.operation == "fsync" || step.operation == "syncfs"; }

/// An entry of a directory that a call changed: what it was, and what it became. 0 is nothing.
struct NameChange {
  Inode directory = 0;
  std::string name;
  Inode before = 0;
  Inode after = 0;
};

class Timeline {
 public:
  Timeline(Bench& bench, const Experiment& experiment) : root_(bench.root()) {
    bench.bring_back(experiment.start);
    const auto tree = bench.run_in_lab(experiment.words);
    while (auto step = tree->next()) {
      take_picture();
      steps_.push_back(std::move(*step));
      tree->answer({});
    }
    if (tree->status() != 0)
      throw Error(ErrorCode::External, fmt::format("{} ends with {}: {}", experiment.operation->name,
                                                   tree->status(), tree->output()));
    take_picture();
  }

  /// pictures()[n] is the disk after n calls.
  [[nodiscard]] const std::vector<Image>& pictures() const { return pictures_; }
  [[nodiscard]] unsigned long calls() const { return steps_.size(); }
  [[nodiscard]] const Step& call(unsigned long number) const { return steps_.at(number - 1); }

  /// The last call up to `after` that made names durable, of all directories.
  [[nodiscard]] unsigned long last_sync(unsigned long after) const {
    while (after > 0 && !is_sync(call(after))) --after;
    return after;
  }
  [[nodiscard]] std::vector<NameChange> changes(unsigned long number) const {
    std::vector<NameChange> result;
    const Image& before = pictures_[number - 1];
    const Image& after = pictures_[number];
    std::set<Inode> directories;
    for (const Image* image : {&before, &after}) {
      for (const auto& [inode, node] : image->nodes) {
        if (node->is_directory()) directories.insert(inode);
      }
    }
    for (const Inode directory : directories) compare_names(before, after, directory, result);
    return result;
  }
  /// What of the file's bytes is durable after so many calls; nothing if it was never synced.
  [[nodiscard]] Bytes durable_bytes(Inode inode, unsigned long after) const {
    for (; after > 0; --after) {
      const Step& step = call(after);
      if (step.operation == "syncfs" || (step.operation == "fsync" && step.inode == inode)) break;
    }
    // A file without a name is synced before it gets one, and can be seen only then.
    const bool may_be_unnamed = after > 0 && call(after).operation == "fsync";
    for (unsigned long picture = after; picture < pictures_.size(); ++picture) {
      const auto found = pictures_[picture].nodes.find(inode);
      if (found != pictures_[picture].nodes.end()) return found->second->bytes;
      if (!may_be_unnamed) break;
    }
    return nullptr;
  }
  /// True if what the call did to the names of `directory` is durable after `after` calls.
  [[nodiscard]] bool is_synced(Inode directory, unsigned long number, unsigned long after) const {
    for (unsigned long t = number + 1; t <= after; ++t) {
      const Step& step = call(t);
      if (step.operation == "syncfs" || (step.operation == "fsync" && step.inode == directory)) return true;
      // File systems that do not order keep the way to what is synced.
      if (step.operation == "fsync" && is_below(pictures_[t], directory, step.inode)) return true;
    }
    return false;
  }

 private:
  void take_picture() {
    Image image = capture(root_);
    if (!pictures_.empty()) {
      for (auto& [inode, node] : image.nodes) {
        const auto old = pictures_.back().nodes.find(inode);
        if (old != pictures_.back().nodes.end() && *old->second == *node) node = old->second;
      }
    }
    pictures_.push_back(std::move(image));
  }

  static void compare_names(const Image& before, const Image& after, Inode directory,
                            std::vector<NameChange>& result) {
    static const Node kNothing;
    const auto node_in = [&](const Image& image) -> const Node& {
      const auto found = image.nodes.find(directory);
      return found == image.nodes.end() ? kNothing : *found->second;
    };
    const Node& old = node_in(before);
    const Node& now = node_in(after);
    for (const auto& [name, inode] : old.names) {
      const auto found = now.names.find(name);
      const Inode became = found == now.names.end() ? 0 : found->second;
      if (became != inode) result.push_back({directory, name, inode, became});
    }
    for (const auto& [name, inode] : now.names) {
      if (!old.names.contains(name)) result.push_back({directory, name, 0, inode});
    }
  }

  static bool is_below(const Image& image, Inode directory, Inode wanted) {
    const auto node = image.nodes.find(directory);
    if (node == image.nodes.end()) return false;
    return std::ranges::any_of(node->second->names, [&](const auto& item) {
      return item.second == wanted || is_below(image, item.second, wanted);
    });
  }

  std::string root_;
  std::vector<Image> pictures_;
  std::vector<Step> steps_;
};

Bytes damaged(const Bytes& current, const Bytes& durable, PowerCut::Bytes how) {
  if (!current || (durable && *durable == *current) || how == PowerCut::Bytes::There) return current;
  // What was appended to is there up to where it was.
  const std::string kept = durable && current->starts_with(*durable) ? *durable : std::string();
  switch (how) {
    case PowerCut::Bytes::Missing:
      return durable ? durable : std::make_shared<std::string>();
    case PowerCut::Bytes::Zeros:
      return std::make_shared<std::string>(kept + std::string(current->size() - kept.size(), '\0'));
    default:
      return std::make_shared<std::string>(
          current->substr(0, kept.size() + (current->size() - kept.size()) / 2));
  }
}

/// Nothing if there can be no such state.
std::optional<Image> state_after(const Timeline& timeline, const PowerCut& cut) {
  Image image = timeline.pictures().at(cut.names);
  for (auto& [inode, node] : image.nodes) {
    if (!node->is_regular()) continue;
    const auto latest = timeline.pictures()[cut.after].nodes.find(inode);
    const Bytes current =
        latest == timeline.pictures()[cut.after].nodes.end() ? node->bytes : latest->second->bytes;
    auto changed = std::make_shared<Node>(*node);
    changed->bytes = damaged(current, timeline.durable_bytes(inode, cut.after), cut.bytes);
    node = std::move(changed);
  }
  if (cut.lost == 0) return image;
  const std::vector<NameChange> lost = timeline.changes(cut.lost);
  if (lost.empty()) return std::nullopt;
  for (const NameChange& change : lost) {
    if (timeline.is_synced(change.directory, cut.lost, cut.after)) return std::nullopt;
    const auto directory = image.nodes.find(change.directory);
    if (directory == image.nodes.end()) return std::nullopt;
    Node node = *directory->second;
    const auto now = node.names.find(change.name);
    // Somebody used the name again: then losing the first use is not what is seen.
    if ((now == node.names.end() ? 0 : now->second) != change.after) return std::nullopt;
    node.names.erase(change.name);
    if (change.before != 0) {
      node.names[change.name] = change.before;
      Node old = *timeline.pictures()[cut.lost - 1].nodes.at(change.before);
      // Of a directory that was removed: it was empty then. Of another one: as it is.
      image.nodes.try_emplace(change.before, std::make_shared<Node>(std::move(old)));
    }
    directory->second = std::make_shared<Node>(std::move(node));
  }
  return image;
}

std::string fingerprint(const Image& image) {
  std::string text;
  for (const auto& [inode, node] : image.nodes) {
    text +=
        fmt::format("{} {:o} {} {}\n", inode, node->mode, node->mtime_ns, node->bytes ? *node->bytes : "");
    for (const auto& [name, child] : node->names) text += fmt::format("{}={}\n", name, child);
  }
  return hash_bytes(text).hex();
}

/// The plan of a commit names an inode of this disk; on the copy it has another number.
void renumber_plans(Bench& bench, const Image& image, const std::map<Inode, Inode>& became) {
  for (const std::string& operation : image.list("store/store/staging")) {
    const std::string path = "store/store/staging/" + operation + "/plan";
    const Node* plan = image.node(path);
    if (plan == nullptr || !plan->bytes) continue;
    constexpr std::string_view kKey = "\"upper_inode\": ";
    constexpr std::string_view kEnd = ",\n  \"checksum\"";
    std::string text = *plan->bytes;
    const std::size_t at = text.find(kKey);
    const std::size_t checksum = text.find(kEnd);
    if (at == std::string::npos || checksum == std::string::npos) continue;
    text.resize(checksum);
    const std::size_t begin = at + kKey.size();
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto found = became.find(std::stoull(text.substr(begin, end - begin)));
    if (found == became.end()) continue;
    text.replace(begin, end - begin, std::to_string(found->second));
    const std::string sum = hash_bytes(text + "\n}").hex();
    bench.write(path, fmt::format("{}{}: \"{}\"\n}}", text, kEnd, sum));
  }
}

void try_state(Bench& bench, const Experiment& experiment, const Timeline& timeline, const PowerCut& cut,
               const Image& image, Tally& tally) {
  const std::string replay = fmt::format("--operation {} --seed {} --cut {}", experiment.operation->name,
                                         experiment.seed, cut.text());
  ++tally.power_cuts;
  try {
    remove_all(bench.root());
    renumber_plans(bench, image, write_out(image, bench.root()));
    check_reopened(bench, experiment, cut.after == timeline.calls(), replay, tally);
  } catch (const Error& error) {
    report(tally, Finding::Loss, std::string("the store cannot be looked at: ") + error.what(), replay);
  }
}

std::vector<PowerCut> all_cuts(const Timeline& timeline, Random& random) {
  std::vector<PowerCut> cuts;
  for (unsigned long after = 0; after <= timeline.calls(); ++after) {
    const unsigned long synced = timeline.last_sync(after);
    const unsigned long between = synced + random.below(after - synced + 1);
    for (const auto& [bytes, name] : kBytes) {
      for (const unsigned long names : {synced, between, after}) cuts.push_back({after, names, bytes, 0});
    }
    for (unsigned long lost = 1; lost <= after; ++lost)
      cuts.push_back({after, after, PowerCut::Bytes::There, lost});
  }
  return cuts;
}

}  // namespace

std::string PowerCut::text() const {
  const auto* known = std::ranges::find(kBytes, bytes, &std::pair<Bytes, const char*>::first);
  return lost != 0 ? fmt::format("{}-{}:{}", after, lost, known->second)
                   : fmt::format("{}/{}:{}", after, names, known->second);
}

PowerCut PowerCut::parse(const std::string& text) {
  PowerCut cut;
  std::size_t used = 0;
  cut.after = cut.names = std::stoul(text, &used);
  const std::size_t colon = text.find(':');
  if (used >= text.size() || colon == std::string::npos)
    throw Error(ErrorCode::InvalidInput, "not <calls>/<names>:<bytes>: " + text);
  (text[used] == '-' ? cut.lost : cut.names) = std::stoul(text.substr(used + 1));
  const auto* known =
      std::ranges::find_if(kBytes, [&](const auto& item) { return text.substr(colon + 1) == item.second; });
  if (known == kBytes.end()) throw Error(ErrorCode::InvalidInput, "what about the bytes? " + text);
  cut.bytes = known->first;
  return cut;
}

void cut_power(Bench& bench, const Operation& operation, std::uint64_t seed, unsigned long limit,
               Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  const Timeline timeline(bench, experiment);
  Random random(seed);
  std::vector<PowerCut> cuts = all_cuts(timeline, random);
  for (std::size_t i = cuts.size(); i > 1; --i) std::swap(cuts[i - 1], cuts[random.below(i)]);
  std::set<std::string> seen;
  for (const PowerCut& cut : cuts) {
    if (seen.size() >= limit) return;
    const auto image = state_after(timeline, cut);
    if (!image) continue;
    const bool done = cut.after == timeline.calls();
    if (seen.insert(fingerprint(*image) + (done ? " done" : "")).second)
      try_state(bench, experiment, timeline, cut, *image, tally);
  }
}

void cut_power_at(Bench& bench, const Operation& operation, std::uint64_t seed, const PowerCut& cut,
                  Tally& tally) {
  const Experiment experiment = prepare(bench, operation, seed);
  const Timeline timeline(bench, experiment);
  const auto image = state_after(timeline, cut);
  if (!image) throw Error(ErrorCode::InvalidInput, "there can be no such state");
  try_state(bench, experiment, timeline, cut, *image, tally);
}

}  // namespace karapace::lab
