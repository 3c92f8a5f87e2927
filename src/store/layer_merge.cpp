// SPDX-License-Identifier: Apache-2.0
#include "karapace/store/layer_merge.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_map>

#include "karapace/base/error.hpp"
#include "layer_text.hpp"

namespace karapace::store {
namespace {

using Entries = std::vector<IndexEntry>;

constexpr auto kByPath = [](const IndexEntry& entry) { return entry.path.view(); };

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

Entries::const_iterator find(const Entries& sorted, std::string_view path) {
  const auto at = std::ranges::lower_bound(sorted, path, {}, kByPath);
  return at != sorted.end() && at->path == path ? at : sorted.end();
}

/// Whether an entry of `upper` at a directory on the way to a path closes the view. Neighbours have the same
/// parent, so the last answer is kept.
class Cover {
 public:
  explicit Cover(const Entries& upper) : upper_(upper) {}

  bool hides(std::string_view path) {
    if (path.empty()) return false;
    const std::string_view parent = parent_of(path);
    if (!known_ || parent != parent_) {
      parent_ = parent;
      hides_ = is_closed(parent);
      known_ = true;
    }
    return hides_;
  }

 private:
  [[nodiscard]] bool is_closed(std::string_view directory) const {
    for (;;) {
      const auto found = find(upper_, directory);
      if (found != upper_.end() && (found->type != EntryType::Directory || found->opaque)) return true;
      if (directory.empty()) return false;
      directory = parent_of(directory);
    }
  }

  const Entries& upper_;
  std::string_view parent_;  // within an entry
  bool known_ = false;
  bool hides_ = false;
};

struct View {
  std::vector<bool> kept;    // of the lower entries
  std::vector<bool> opaque;  // upper directories that end the way down because of what they cover
};

View look_through(const Entries& lower, const Entries& upper) {
  View view{std::vector<bool>(lower.size()), std::vector<bool>(upper.size())};
  Cover cover(upper);
  std::size_t above = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    const IndexEntry& old = lower[i];
    while (above < upper.size() && upper[above].path < old.path) ++above;
    const bool hidden = cover.hides(old.path);
    if (above == upper.size() || upper[above].path != old.path) {
      view.kept[i] = !hidden;
    } else if (upper[above].type == EntryType::Directory && !hidden) {
      // What ends the way down in the lower layer must end it in the merged one.
      view.opaque[above] = old.opaque || old.type != EntryType::Directory;
    }
  }
  return view;
}

/// A hard-link group that lost its first name: the next one takes its place.
void choose_new_heads(Entries& lower, const std::vector<bool>& kept) {
  std::unordered_map<std::size_t, std::size_t> new_heads;  // by the position of the lost one
  for (std::size_t i = 0; i < lower.size(); ++i) {
    IndexEntry& entry = lower[i];
    if (!kept[i] || entry.type != EntryType::HardLink) continue;
    const auto target = find(lower, entry.link_target);
    KARAPACE_ASSERT(target != lower.end());
    const auto lost = static_cast<std::size_t>(target - lower.begin());
    if (kept[lost]) continue;
    const auto [head, first] = new_heads.try_emplace(lost, i);
    if (!first) {
      entry.link_target = lower[head->second].path;
      continue;
    }
    PackedBytes path = std::move(entry.path);
    entry = lower[lost];
    entry.path = std::move(path);
  }
}

}  // namespace

std::vector<IndexEntry> merge_layers(std::vector<IndexEntry> lower, std::vector<IndexEntry> upper) {
  KARAPACE_ASSERT(std::ranges::is_sorted(lower, {}, kByPath) && std::ranges::is_sorted(upper, {}, kByPath));
  const View view = look_through(lower, upper);
  choose_new_heads(lower, view.kept);
  for (std::size_t i = 0; i < upper.size(); ++i) upper[i].opaque = upper[i].opaque || view.opaque[i];
  std::size_t count = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (!view.kept[i]) continue;
    if (count != i) lower[count] = std::move(lower[i]);
    ++count;
  }
  lower.resize(count);
  // The larger one stays where it is: there may be millions.
  if (lower.size() > upper.size()) lower.swap(upper);
  const auto middle = static_cast<std::ptrdiff_t>(upper.size());
  upper.insert(upper.end(), std::make_move_iterator(lower.begin()), std::make_move_iterator(lower.end()));
  std::ranges::inplace_merge(upper, upper.begin() + middle, {}, kByPath);
  return upper;
}

std::vector<IndexEntry> drop_idle_whiteouts(
    std::vector<IndexEntry> layer,
    const std::function<std::optional<std::vector<IndexEntry>>()>& next_below) {
  std::vector<std::size_t> open;  // whiteouts of which it is not known yet whether they hide something
  std::vector<bool> idle(layer.size());
  {
    Cover own(layer);
    for (std::size_t i = 0; i < layer.size(); ++i) {
      if (layer[i].type != EntryType::Whiteout) continue;
      idle[i] = true;
      if (!own.hides(layer[i].path)) open.push_back(i);
    }
  }
  while (!open.empty()) {
    const std::optional<Entries> below = next_below();
    if (!below) break;
    Cover cover(*below);
    std::erase_if(open, [&](std::size_t i) {
      const auto found = find(*below, layer[i].path);
      if (found == below->end()) return cover.hides(layer[i].path);
      idle[i] = found->type == EntryType::Whiteout;
      return true;
    });
  }
  std::size_t index = 0;
  std::erase_if(layer, [&](const IndexEntry&) { return idle[index++]; });
  return layer;
}

std::vector<IndexEntry> visible_tree(std::vector<IndexEntry> layer) {
  std::erase_if(layer, [](const IndexEntry& entry) { return entry.type == EntryType::Whiteout; });
  for (IndexEntry& entry : layer) {
    entry.opaque = false;
    if (!entry.path.empty()) continue;
    Xattrs xattrs = entry.xattrs;
    std::erase_if(xattrs, [](const auto& item) { return is_layer_mark(item.first); });
    entry.xattrs = std::move(xattrs);
  }
  return layer;
}

}  // namespace karapace::store
