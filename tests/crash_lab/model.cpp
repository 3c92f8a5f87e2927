// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "karapace/base/digest.hpp"
#include "karapace/base/text.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/object_store.hpp"
#include "karapace/store/snapshot_log.hpp"

namespace karapace::lab {
namespace {

// As overlayfs with userxattr has them.
constexpr std::string_view kOverlayPrefix = "user.overlay.";
constexpr std::string_view kOpaque = "user.overlay.opaque";
// Trees of ordinary users have no setuid bits on disk; the index has them, and its digest is compared.
constexpr std::uint32_t kSpecialBits = 06000;

/// A name that somebody inside sees. Names of one inode are told from copies of it.
struct Seen {
  std::string description;
  std::pair<std::size_t, Inode> file;  // which layer, which inode of it; nothing for a directory
};
using Paths = std::map<std::string, Seen>;

void erase_below(Paths& paths, const std::string& path) {
  const std::string prefix = path + "/";
  auto at = paths.lower_bound(prefix);
  while (at != paths.end() && at->first.starts_with(prefix)) at = paths.erase(at);
}

std::string describe_xattrs(const std::vector<std::pair<std::string, std::string>>& xattrs) {
  std::string text;
  for (const auto& [key, value] : xattrs) {
    if (!key.starts_with(kOverlayPrefix)) text += fmt::format(" {}={}", printable(key), printable(value));
  }
  return text;
}

class Merge {
 public:
  explicit Merge(const Image& image) : image_(image) {}

  void add(Inode layer) {
    ++layers_;
    walk(layer, "");
  }
  [[nodiscard]] std::string text() const {
    std::map<std::pair<std::size_t, Inode>, std::vector<std::string>> names;
    for (const auto& [path, seen] : paths_) names[seen.file].push_back(path);
    std::string result;
    for (const auto& [path, seen] : paths_) {
      const auto& twins = names.at(seen.file);
      const bool is_linked = seen.file.second != 0 && twins.size() > 1;
      result += fmt::format("{} {}{}\n", printable(path), seen.description,
                            is_linked ? " = " + printable(twins.front()) : "");
    }
    return result;
  }

 private:
  void walk(Inode inode, const std::string& path) {
    const Node& node = *image_.nodes.at(inode);
    const bool opaque = std::ranges::any_of(
        node.xattrs, [](const auto& item) { return item.first == kOpaque && item.second == "y"; });
    if (opaque) erase_below(paths_, path);
    for (const auto& [name, child_inode] : node.names) {
      const std::string child_path = path + "/" + name;
      const Node& child = *image_.nodes.at(child_inode);
      if (!child.is_directory()) erase_below(paths_, child_path);
      if (child.is_whiteout()) {
        paths_.erase(child_path);
        continue;
      }
      paths_[child_path] = describe(child_inode, child);
      if (child.is_directory()) walk(child_inode, child_path);
    }
  }

  Seen describe(Inode inode, const Node& node) const {
    if (node.is_directory()) {
      return {fmt::format("dir {:o} {}{}", node.mode & 07777U, node.mtime_ns, describe_xattrs(node.xattrs)),
              {}};
    }
    const std::pair file(layers_, inode);
    if (S_ISLNK(node.mode)) return {fmt::format("link {} {}", node.mtime_ns, printable(*node.bytes)), file};
    const std::string content =
        node.bytes ? fmt::format("{} {}", node.bytes->size(), hash_bytes(*node.bytes).hex().substr(0, 16))
                   : "fifo";
    return {fmt::format("file {:o} {} {}{}", node.mode & 07777U & ~kSpecialBits, node.mtime_ns, content,
                        describe_xattrs(node.xattrs)),
            file};
  }

  const Image& image_;
  Paths paths_;
  std::size_t layers_ = 0;
};

/// A tree that is not laid out: what its index says it would be, as nodes of the image.
class IndexTrees {
 public:
  IndexTrees(Image& image, const store::StoreLayout& layout) : image_(image), layout_(layout) {}

  Inode add(const std::string& layer) {
    const store::LayerRecord record = store::LayerStore(layout_).load(Digest::parse(layer));
    const store::ObjectStore objects(layout_);
    auto entries = store::decode_index(objects.load(record.index_object));
    store::apply_mtimes(entries, objects.load(record.mtimes_object));
    std::map<std::string, Inode> by_path;
    std::map<Inode, std::shared_ptr<Node>> made;
    for (const store::IndexEntry& entry : entries) {
      const std::string path = entry.path;
      const std::size_t slash = path.rfind('/');
      const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
      Inode inode = next_--;
      if (entry.type == store::EntryType::HardLink) {
        inode = by_path.at(entry.link_target);
      } else {
        made[inode] = make_node(entry, objects);
      }
      by_path[path] = inode;
      if (!path.empty())
        made.at(by_path.at(parent))->names[path.substr(slash == std::string::npos ? 0 : slash + 1)] = inode;
    }
    for (auto& [inode, node] : made) image_.nodes[inode] = std::move(node);
    return by_path.at("");
  }

 private:
  static std::shared_ptr<Node> make_node(const store::IndexEntry& entry, const store::ObjectStore& objects) {
    auto node = std::make_shared<Node>();
    node->mtime_ns = entry.mtime_ns;
    node->xattrs = entry.xattrs;
    switch (entry.type) {
      case store::EntryType::Directory:
        node->mode = S_IFDIR | entry.mode;
        if (entry.opaque) node->xattrs.emplace_back(kOpaque, "y");
        break;
      case store::EntryType::Symlink:
        node->mode = S_IFLNK | entry.mode;
        node->bytes = std::make_shared<std::string>(entry.link_target);
        break;
      case store::EntryType::Fifo:
        node->mode = S_IFIFO | entry.mode;
        break;
      case store::EntryType::Whiteout:
        node->mode = S_IFCHR;
        break;
      default:
        node->mode = S_IFREG | entry.mode;
        node->bytes = std::make_shared<std::string>(entry.size == 0 ? "" : objects.load(entry.content));
    }
    return node;
  }

  Image& image_;
  const store::StoreLayout& layout_;
  Inode next_ = ~Inode{0};
};

class Reader {
 public:
  Reader(Image image, const store::StoreLayout& layout)
      : image_(std::move(image)), layout_(layout), trees_(image_, layout) {}

  EnvModel read(const store::EnvRecord& record) {
    EnvModel model;
    model.state = store::to_string(record.state);
    model.name = record.name.value_or("(none)");
    model.layers = store::layer_stack(record);
    const auto upper = image_.find("env/" + record.env_id + "/upper");
    model.view = view(model.layers, upper);
    if (const auto home = image_.find("env/" + record.env_id + "/home"))
      model.home = view_of(image_, {*home});
    std::vector<std::string> ids;
    for (const store::SnapshotRecord& snapshot : store::SnapshotLog(layout_).read(record.env_id).snapshots) {
      const auto index_of = [&](const std::optional<std::string>& id) {
        const auto found = id ? std::ranges::find(ids, *id) : ids.end();
        return found == ids.end() ? (id ? -2 : -1) : static_cast<int>(found - ids.begin());
      };
      model.snapshots.push_back({std::string(store::to_string(snapshot.kind)), snapshot.message,
                                 index_of(snapshot.parent), snapshot.layers, view(snapshot.layers, {})});
      // Which snapshot a safety snapshot came before is in its message, as an id.
      if (snapshot.kind == store::SnapshotKind::Safety) model.snapshots.back().message.clear();
      ids.push_back(snapshot.id);
    }
    if (record.head) {
      const auto found = std::ranges::find(ids, *record.head);
      model.head = found == ids.end() ? -2 : static_cast<int>(found - ids.begin());
    }
    return model;
  }

 private:
  std::string view(const std::vector<std::string>& layers, const std::optional<Inode>& upper) {
    std::vector<Inode> stack;
    for (const std::string& layer : layers) {
      if (const auto tree = image_.find("trees/" + layer)) {
        stack.push_back(*tree);
        continue;
      }
      auto [made, is_new] = from_index_.try_emplace(layer, 0);
      if (is_new) made->second = trees_.add(layer);
      stack.push_back(made->second);
    }
    if (upper) stack.push_back(*upper);
    return view_of(image_, stack);
  }

  Image image_;
  const store::StoreLayout& layout_;
  IndexTrees trees_;
  std::map<std::string, Inode> from_index_;
};

/// What an export makes has the time at which it was made, and what it did not finish is named so.
void disregard_new_files(Image& image, Inode directory) {
  Node out = *image.nodes.at(directory);
  for (auto at = out.names.begin(); at != out.names.end();) {
    if (at->first.starts_with(".tmp-")) {
      at = out.names.erase(at);
      continue;
    }
    Node node = *image.nodes.at(at->second);
    if (node.is_regular()) node.mtime_ns = 0;
    image.nodes[at->second] = std::make_shared<Node>(node);
    ++at;
  }
  image.nodes[directory] = std::make_shared<Node>(out);
}

std::string indent(const std::string& text, std::string_view prefix) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) result += fmt::format("{}{}\n", prefix, line);
  return result;
}

}  // namespace

std::string view_of(const Image& image, const std::vector<Inode>& bottom_first) {
  Merge merge(image);
  for (const Inode layer : bottom_first) merge.add(layer);
  return merge.text();
}

std::string StoreModel::text() const {
  std::string result = indent(outside, "outside ");
  for (const auto& [id, env] : environments) {
    const std::string prefix = id.substr(0, 6);
    result += fmt::format("{} {} {} head {} layers {}\n", prefix, env.name, env.state, env.head, env.layers);
    result += indent(env.view, prefix + " ") + indent(env.home, prefix + " home");
    for (std::size_t i = 0; i < env.snapshots.size(); ++i) {
      const SnapshotModel& snapshot = env.snapshots[i];
      result += fmt::format("{} snapshot {} {} \"{}\" parent {} layers {}\n", prefix, i, snapshot.kind,
                            snapshot.message, snapshot.parent, snapshot.layers);
      result += indent(snapshot.view, fmt::format("{} snapshot {} ", prefix, i));
    }
  }
  return result;
}

StoreModel read_model(const std::string& root) {
  StoreModel model;
  Image all = capture(root);
  if (const auto out = all.find("out")) {
    disregard_new_files(all, *out);
    model.outside = view_of(all, {*out});
  }
  std::optional<store::StoreLayout> layout;
  try {
    layout = store::StoreLayout::open_existing(root + "/store");
  } catch (const store::FormatError&) {
    // Format 1: it has nothing that this program can show.
  }
  if (!layout) return model;
  Image image = all;
  image.root = all.find("store").value();
  Reader reader(std::move(image), *layout);
  for (const store::EnvRecord& record : store::MetadataStore(*layout).list().records)
    model.environments[record.env_id] = reader.read(record);
  return model;
}

std::string difference(const std::string& expected, const std::string& found) {
  const auto lines_of = [](const std::string& text) {
    std::multiset<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.insert(line);
    return lines;
  };
  const auto left = lines_of(expected);
  const auto right = lines_of(found);
  std::vector<std::string> gone;
  std::vector<std::string> came;
  std::ranges::set_difference(left, right, std::back_inserter(gone));
  std::ranges::set_difference(right, left, std::back_inserter(came));
  std::string text;
  for (const std::string& line : gone) text += "  - " + line + "\n";
  for (const std::string& line : came) text += "  + " + line + "\n";
  return text;
}

}  // namespace karapace::lab
