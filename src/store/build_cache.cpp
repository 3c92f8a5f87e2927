// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/durable.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/store/object_store.hpp"
#include "record_text.hpp"

namespace karapace::store {

BuildCache::BuildCache(const StoreLayout& layout) : dir_(layout.open_dir("store/builds")) {}

std::optional<Digest> BuildCache::find(const Digest& key) const {
  const std::string name = key.hex();
  try {
    const std::optional<std::string> text = try_read_file_at(dir_, name, kMaxRecordBytes);
    if (!text) return std::nullopt;
    const Json record = parse_record_text(*text, "build record " + name);
    // A record of another key would answer with the wrong layer.
    if (require_hash(record, "key") != name) return std::nullopt;
    return Digest::parse(require_hash(record, "layer"));
  } catch (const Error& error) {
    // What it says can be built again, so damage costs time only.
    if (error.code() != ErrorCode::Corrupt && error.code() != ErrorCode::InvalidInput) throw;
    log::debug("ignoring a damaged build record: {}", error.what());
    return std::nullopt;
  }
}

void BuildCache::put(const Digest& key, const Digest& layer) {
  OrderedJson record;
  record["key"] = key.hex();
  record["layer"] = layer.hex();
  replace_file(dir_, key.hex(), make_record_text(record));
}

}  // namespace karapace::store
