// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/layer.hpp"
#include "karapace/store/object_store.hpp"
#include "layer_text.hpp"
#include "record_text.hpp"

namespace karapace::store {
namespace {

struct KindName {
  LayerKind kind;
  const char* name;
};
constexpr std::array kKinds = {
    KindName{LayerKind::Base, "Base"}, KindName{LayerKind::Dependency, "Dependency"},
    KindName{LayerKind::Policy, "Policy"}, KindName{LayerKind::Snapshot, "Snapshot"}};

void check(bool good, const char* problem) {
  if (!good) throw Error(ErrorCode::InvalidInput, problem);
}

LayerRecord from_json(const Json& json) {
  LayerRecord record;
  record.hash = Digest::parse(require_hash(json, "hash"));
  const std::string kind = require_string(json, "kind", 32);
  const auto* known = std::ranges::find(kKinds, kind, &KindName::name);
  check(known != kKinds.end(), "unknown kind of layer");
  record.kind = known->kind;
  const Json& references = require(json, "object_refs");
  check(references.is_array() && references.size() == 2 && references[0].is_string() &&
            references[1].is_string(),
        "\"object_refs\" are not index and times");
  record.index_object = Digest::parse(references[0].get<std::string>());
  record.mtimes_object = Digest::parse(references[1].get<std::string>());
  // A layer's name is the digest of its index, and so is the index object's.
  check(record.index_object == record.hash, "the index is of another layer");
  record.ownership = require_string(json, "ownership", 16);
  check(record.ownership == "flat" || record.ownership == "mapped", "ownership is neither flat nor mapped");
  record.entries = require_unsigned(json, "entries");
  record.bytes = require_unsigned(json, "bytes");
  return record;
}

LayerRecord parse_layer(std::string_view text, const std::string& name) {
  const std::string what = "layer " + name;
  const Json json = parse_record_text(text, what);
  LayerRecord record;
  try {
    record = from_json(json);
  } catch (const Error& error) {
    throw CorruptError(what, "a valid record", error.message());
  }
  if (record.hash.hex() != name) throw CorruptError(what, name, record.hash.hex());
  return record;
}

}  // namespace

std::string make_layer_text(const LayerRecord& record) {
  OrderedJson json;
  json["hash"] = record.hash.hex();
  json["kind"] = std::ranges::find(kKinds, record.kind, &KindName::kind)->name;
  json["parent"] = nullptr;
  json["object_refs"] = {record.index_object.hex(), record.mtimes_object.hex()};
  json["read_only"] = true;
  json["tar_hash"] = "";
  json["ownership"] = record.ownership;
  json["entries"] = record.entries;
  json["bytes"] = record.bytes;
  return make_record_text(json);
}

LayerStore::LayerStore(const StoreLayout& layout) : layout_(layout), dir_(layout.layers()) {}

std::optional<LayerRecord> find_layer(FdRef layers, const Digest& hash) {
  const std::string name = hash.hex();
  std::optional<std::string> text;
  try {
    text = try_read_file_at(layers, name, kMaxRecordBytes);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidInput) throw;
    throw CorruptError("layer " + name, "a small regular file", error.message());
  }
  if (!text) return std::nullopt;
  return parse_layer(*text, name);
}

std::optional<LayerRecord> LayerStore::find(const Digest& hash) const { return find_layer(dir_, hash); }

LayerRecord LayerStore::load(const Digest& hash) const {
  std::optional<LayerRecord> record = find(hash);
  if (!record) throw Error(ErrorCode::NotFound, fmt::format("layer {} is not in the store", hash.hex()));
  return std::move(*record);
}

void LayerStore::put(const LayerRecord& record, std::string_view index, std::string_view mtimes) {
  ObjectStore objects(layout_);
  LayerRecord complete = record;
  complete.index_object = objects.put(index);
  KARAPACE_ASSERT(complete.index_object == record.hash);
  KARAPACE_ASSERT(complete.ownership == "flat" || complete.ownership == "mapped");
  try {
    // The tree that is laid out keeps the times of who came first, so their record stays.
    const std::optional<LayerRecord> before = find(record.hash);
    if (before && objects.contains(before->mtimes_object)) return;
  } catch (const CorruptError&) {
    // It is about to be replaced by a good one.
  }
  complete.mtimes_object = objects.put(mtimes);
  // Last, because it is what makes the objects reachable.
  replace_file(dir_, record.hash.hex(), make_layer_text(complete));
}

std::vector<Digest> LayerStore::list() const {
  std::vector<Digest> hashes;
  for (const DirectoryEntry& entry : list_directory(dir_)) {
    if (Digest::is_valid(entry.name)) hashes.push_back(Digest::parse(entry.name));
  }
  return hashes;
}

bool LayerStore::is_laid_out(const Digest& hash) const {
  const std::optional<struct stat> tree = stat_at(layout_.trees(), hash.hex());
  return tree && S_ISDIR(tree->st_mode) && find(hash).has_value();
}

}  // namespace karapace::store
