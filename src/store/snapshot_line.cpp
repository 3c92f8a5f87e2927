// SPDX-License-Identifier: Apache-2.0
// A line is compact JSON whose last key is its checksum, made as in all records: over the bytes before it.
// Reading hundreds of them must take a millisecond, so what we wrote ourselves, in our order of keys, is read
// by a scanner; everything else goes to the JSON parser.
#include "snapshot_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/text.hpp"
#include "record_text.hpp"

namespace karapace::store {
namespace {

constexpr ChecksumForm kForm{",\"checksum\":\"", "}"};
constexpr std::size_t kMaxLayers = 501;  // 500 and a base
constexpr std::string_view kIdDomain = "karapace snapshot v1\n";

void check(bool good, const char* problem) {
  if (!good) throw Error(ErrorCode::InvalidInput, problem);
}

SnapshotKind parse_kind(std::string_view text) {
  if (text == "commit") return SnapshotKind::Commit;
  check(text == "safety", "the kind is neither commit nor safety");
  return SnapshotKind::Safety;
}

void check_snapshot(const SnapshotRecord& snapshot) {
  check(!snapshot.parent || Digest::is_valid(*snapshot.parent), "the parent is not the id of a snapshot");
  check(Digest::is_valid(snapshot.layer), "the layer is not a digest");
  check(!snapshot.layers.empty() && snapshot.layers.size() <= kMaxLayers,
        "there are no layers, or more than 501");
  check(std::ranges::all_of(snapshot.layers, [](const auto& layer) { return Digest::is_valid(layer); }),
        "one of the layers is not a digest");
  check(snapshot.ownership == "flat" || snapshot.ownership == "mapped",
        "ownership is neither flat nor mapped");
  check(snapshot.message.size() <= kMaxSnapshotMessageBytes, "the message is longer than 4096 bytes");
  check(is_utf8(snapshot.message), "the message is not UTF-8");
  check(snapshot.created_at.size() <= 64, "the time is too long");
}

/// All members but id and checksum, without braces.
std::string members_of(const SnapshotRecord& snapshot) {
  OrderedJson json;
  json["parent"] = snapshot.parent ? OrderedJson(*snapshot.parent) : OrderedJson(nullptr);
  json["layer"] = snapshot.layer;
  json["layers"] = snapshot.layers;
  json["ownership"] = snapshot.ownership;
  json["kind"] = std::string(to_string(snapshot.kind));
  json["message"] = snapshot.message;
  json["created_at"] = snapshot.created_at;
  json["entries"] = snapshot.entries;
  json["bytes"] = snapshot.bytes;
  const std::string text = json.dump();
  return text.substr(1, text.size() - 2);
}

std::string id_of(std::string_view members) {
  Hasher hasher;
  hasher.update(kIdDomain);
  hasher.update(members);
  return hasher.finish().hex();
}

/// Reads what members_of wrote, and says no to everything else.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool read(SnapshotRecord& snapshot) {
    std::string kind;
    if (!take("{\"id\":") || !string(snapshot.id)) return false;
    if (!take(",\"parent\":")) return false;
    if (!take("null") && !string(snapshot.parent.emplace())) return false;
    if (!take(",\"layer\":") || !string(snapshot.layer)) return false;
    if (!take(",\"layers\":[")) return false;
    do {
      if (!string(snapshot.layers.emplace_back())) return false;
    } while (take(","));
    if (!take("],\"ownership\":") || !string(snapshot.ownership)) return false;
    if (!take(",\"kind\":") || !string(kind)) return false;
    if (!take(",\"message\":") || !string(snapshot.message)) return false;
    if (!take(",\"created_at\":") || !string(snapshot.created_at)) return false;
    if (!take(",\"entries\":") || !number(snapshot.entries)) return false;
    if (!take(",\"bytes\":") || !number(snapshot.bytes) || !text_.empty()) return false;
    snapshot.kind = parse_kind(kind);
    return true;
  }

 private:
  bool take(std::string_view what) {
    if (!text_.starts_with(what)) return false;
    text_.remove_prefix(what.size());
    return true;
  }

  /// Without escapes: a message that has one is for the JSON parser.
  bool string(std::string& value) {
    if (!take("\"")) return false;
    const std::size_t end = text_.find('"');
    if (end == std::string_view::npos || text_.substr(0, end).contains('\\')) return false;
    value.assign(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return true;
  }

  bool number(std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc{}) return false;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return true;
  }

  std::string_view text_;
};

SnapshotRecord from_json(const Json& json) {
  SnapshotRecord snapshot;
  snapshot.id = require_hash(json, "id");
  if (const Json& parent = require(json, "parent"); !parent.is_null())
    snapshot.parent = require_hash(json, "parent");
  snapshot.layer = require_hash(json, "layer");
  const Json& layers = require(json, "layers");
  check(layers.is_array(), "the layers are not an array");
  for (const Json& layer : layers) {
    check(layer.is_string(), "a layer is not a string");
    snapshot.layers.push_back(layer.get<std::string>());
  }
  snapshot.ownership = require_string(json, "ownership", 16);
  snapshot.kind = parse_kind(require_string(json, "kind", 16));
  snapshot.message = require_string(json, "message", kMaxSnapshotMessageBytes);
  snapshot.created_at = require_string(json, "created_at", 64);
  snapshot.entries = require_unsigned(json, "entries");
  snapshot.bytes = require_unsigned(json, "bytes");
  return snapshot;
}

}  // namespace

std::string_view to_string(SnapshotKind kind) noexcept {
  return kind == SnapshotKind::Commit ? "commit" : "safety";
}

std::string snapshot_id_of(const SnapshotRecord& snapshot) { return id_of(members_of(snapshot)); }

void set_snapshot_id(SnapshotRecord& snapshot) {
  check_snapshot(snapshot);
  snapshot.id = snapshot_id_of(snapshot);
}

std::string make_snapshot_line(const SnapshotRecord& snapshot) {
  check_snapshot(snapshot);
  const std::string members = members_of(snapshot);
  KARAPACE_ASSERT(snapshot.id == id_of(members));
  std::string line = fmt::format("{{\"id\":\"{}\",{}", snapshot.id, members);
  append_checksum(line, kForm);
  line += '\n';
  check(line.size() <= kMaxSnapshotLineBytes, "the record of the snapshot is longer than 64 KiB");
  return line;
}

SnapshotRecord parse_snapshot_line(std::string_view line, std::string_view what) {
  if (line.size() >= kMaxSnapshotLineBytes)
    throw CorruptError(what, "a line of at most 64 KiB", "a longer one");
  const std::string_view body = check_checksum(line, kForm, what);
  try {
    SnapshotRecord snapshot;
    if (!Scanner(body).read(snapshot)) snapshot = from_json(parse_json(line, what));
    check_snapshot(snapshot);
    check(Digest::is_valid(snapshot.id), "the id is not a digest");
    return snapshot;
  } catch (const Error& error) {
    throw CorruptError(what, "a valid snapshot", error.message());
  }
}

}  // namespace karapace::store
