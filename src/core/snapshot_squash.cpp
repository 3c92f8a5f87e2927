// SPDX-License-Identifier: Apache-2.0
// Long stacks of snapshot layers are made shorter, so that neither lookups nor the kernel's limit of 500 are
// ever felt.
//
// The topmost layers are merged into one, as many as are at most twice as large as all above them together:
// so each entry is merged a logarithmic number of times, and commits stay proportional to what was written.
// Snapshots keep the stacks they were taken with.
#include <algorithm>

#include "impl.hpp"
#include "karapace/runtime/worker.hpp"
#include "karapace/store/commit.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/layer_merge.hpp"
#include "karapace/store/object_store.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxSnapshotLayers = 16;

std::size_t layers_to_merge(const store::LayerStore& layers, const std::vector<std::string>& stack) {
  std::uint64_t above = 0;
  std::size_t count = 0;
  for (auto layer = stack.rbegin(); layer != stack.rend(); ++layer) {
    const std::uint64_t entries = layers.load(Digest::parse(*layer)).entries;
    if (count >= 2 && entries > 2 * above) break;
    above += entries;
    ++count;
  }
  return count;
}

std::vector<store::IndexEntry> load_entries(const store::StoreLayout& layout,
                                            const store::LayerRecord& layer) {
  const store::ObjectStore objects(layout);
  std::vector<store::IndexEntry> entries = store::decode_index(objects.load(layer.index_object));
  store::apply_mtimes(entries, objects.load(layer.mtimes_object));
  return entries;
}

}  // namespace

void squash(Engine::Impl& engine, LockedEnvironment& locked) {
  if (locked.record.snapshot_layers.size() <= kMaxSnapshotLayers) return;
  const store::StoreLayout& layout = *engine.layout;
  store::LayerStore layers(layout);
  std::vector<std::string> stack = locked.record.snapshot_layers;
  const std::size_t count = layers_to_merge(layers, stack);
  engine.progress.step("merge", "older snapshots");

  std::vector<store::IndexEntry> merged;
  for (std::size_t i = stack.size() - count; i < stack.size(); ++i) {
    engine.cancel.check();
    auto entries = load_entries(layout, layers.load(Digest::parse(stack[i])));
    merged = merged.empty() ? std::move(entries) : store::merge_layers(std::move(merged), std::move(entries));
  }
  std::vector<std::string> below = store::layer_stack(locked.record);
  below.resize(below.size() - count);
  merged =
      store::drop_idle_whiteouts(std::move(merged), [&]() -> std::optional<std::vector<store::IndexEntry>> {
        if (below.empty()) return std::nullopt;
        const store::LayerRecord layer = layers.load(Digest::parse(below.back()));
        below.pop_back();
        return load_entries(layout, layer);
      });
  store::mark_times(merged.front(), std::nullopt);
  std::string index = store::encode_index(merged);
  const std::string mtimes = store::encode_mtimes(merged);
  if (const auto same = layers.find(hash_bytes(index)); same && same->mtimes_object != hash_bytes(mtimes)) {
    store::mark_times(merged.front(), hash_bytes(mtimes));
    index = store::encode_index(merged);
  }
  store::LayerRecord layer;
  layer.hash = layer.index_object = hash_bytes(index);
  layer.mtimes_object = hash_bytes(mtimes);
  layer.kind = store::LayerKind::Snapshot;
  layer.ownership = locked.record.ownership;
  layer.entries = merged.size();
  for (const store::IndexEntry& entry : merged) layer.bytes += entry.size;
  layers.put(layer, index, mtimes);
  engine.ensure_trees({layer.hash.hex()}, locked.record.ownership);

  store::EnvRecord record = locked.record;
  stack.resize(stack.size() - count);
  stack.push_back(layer.hash.hex());
  record.snapshot_layers = std::move(stack);
  record.updated_at = next_update_time(record);
  store::MetadataStore(layout).put(record);
  locked.record = std::move(record);
}

}  // namespace karapace::core
