// SPDX-License-Identifier: Apache-2.0
// A line is compact JSON whose last key is its checksum, made as in all records: over the bytes before it.
// The stack, which is most of a line and which no listing needs, stands behind it and has a digest of its
// own. Reading hundreds of lines must take a millisecond, so what we wrote ourselves, in our order of keys,
// is read by a scanner; everything else goes to the JSON parser.
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
constexpr std::string_view kCommit = "commit";
constexpr std::string_view kSafety = "safety";
constexpr std::string_view kIdDomain = "karapace snapshot v1\n";

void check(bool good, const char* problem) {
  if (!good) throw Error(ErrorCode::InvalidInput, problem);
}

SnapshotKind parse_kind(std::string_view text) {
  if (text == kCommit) return SnapshotKind::Commit;
  check(text == kSafety, "the kind is neither commit nor safety");
  return SnapshotKind::Safety;
}

void check_stack(const SnapshotRecord& snapshot) {
  check(!snapshot.layers.empty() && snapshot.layers.size() <= kMaxLayers,
        "there are no layers, or more than 501");
  check(std::ranges::all_of(snapshot.layers, [](const auto& layer) { return Digest::is_valid(layer); }),
        "one of the layers is not a digest");
}

void check_heading(const SnapshotRecord& snapshot) {
  check(!snapshot.parent || Digest::is_valid(*snapshot.parent), "the parent is not the id of a snapshot");
  check(Digest::is_valid(snapshot.layer), "the layer is not a digest");
  check(snapshot.ownership == "flat" || snapshot.ownership == "mapped",
        "ownership is neither flat nor mapped");
  check(snapshot.message.size() <= kMaxSnapshotMessageBytes, "the message is longer than 4096 bytes");
  check(is_utf8(snapshot.message), "the message is not UTF-8");
  check(snapshot.created_at.size() <= 64, "the time is too long");
}

void check_snapshot(const SnapshotRecord& snapshot) {
  check_heading(snapshot);
  check_stack(snapshot);
}

std::string without_braces(const OrderedJson& json) {
  const std::string text = json.dump();
  return text.substr(1, text.size() - 2);
}

std::string leading_members(const SnapshotRecord& snapshot) {
  OrderedJson json;
  json["parent"] = snapshot.parent ? OrderedJson(*snapshot.parent) : OrderedJson(nullptr);
  json["layer"] = snapshot.layer;
  return without_braces(json);
}

std::string trailing_members(const SnapshotRecord& snapshot) {
  OrderedJson json;
  json["ownership"] = snapshot.ownership;
  json["kind"] = std::string(to_string(snapshot.kind));
  json["message"] = snapshot.message;
  json["created_at"] = snapshot.created_at;
  json["entries"] = snapshot.entries;
  json["bytes"] = snapshot.bytes;
  return without_braces(json);
}

std::string stack_text(const SnapshotRecord& snapshot) { return Json(snapshot.layers).dump(); }

/// The members from which the id is made, without braces.
std::string identity_of(const SnapshotRecord& snapshot, std::string_view stack) {
  return fmt::format("{},\"layers\":{},{}", leading_members(snapshot), stack, trailing_members(snapshot));
}

std::string id_of(std::string_view members) { return hash_pieces({kIdDomain, members}).hex(); }

/// What a line says of itself before anybody believes it.
struct Heading {
  SnapshotRecord snapshot;
  std::string stack;        // digest of what stands behind the object; empty if the stack is a member
  std::string_view object;  // with its checksum
};

/// Reads what make_snapshot_line wrote, and says no to everything else. Where the object ends follows from
/// reading it: to look for it would be another pass over the line.
class Scanner {
 public:
  explicit Scanner(std::string_view line) : line_(line), rest_(line) {}

  bool read(Heading& heading) {
    SnapshotRecord& snapshot = heading.snapshot;
    std::string_view kind;
    if (!take("{\"id\":") || !string(snapshot.id)) return false;
    if (!take(",\"parent\":")) return false;
    if (!take("null") && !string(snapshot.parent.emplace())) return false;
    if (!take(",\"layer\":") || !string(snapshot.layer)) return false;
    if (!take(",\"ownership\":") || !string(snapshot.ownership)) return false;
    if (!take(",\"kind\":") || !view(kind)) return false;
    if (!take(",\"message\":") || !string(snapshot.message)) return false;
    if (!take(",\"created_at\":") || !string(snapshot.created_at)) return false;
    if (!take(",\"entries\":") || !number(snapshot.entries)) return false;
    if (!take(",\"bytes\":") || !number(snapshot.bytes)) return false;
    if (!take(",\"stack\":") || !string(heading.stack)) return false;
    std::string_view checksum;
    if (!take(kForm.before) || !digits(checksum) || !take(kForm.close)) return false;
    if (kind != kCommit && kind != kSafety) return false;
    snapshot.kind = kind == kCommit ? SnapshotKind::Commit : SnapshotKind::Safety;
    heading.object = line_.substr(0, line_.size() - rest_.size());
    return true;
  }

 private:
  /// Inline, so that the compiler compares with a known text of known length.
  [[gnu::always_inline]] bool take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }

  /// Without escapes: a message that has one is for the JSON parser.
  bool view(std::string_view& value) {
    if (!take("\"")) return false;
    const std::size_t end = rest_.find('"');
    if (end == std::string_view::npos) return false;
    value = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return !value.contains('\\');
  }

  bool string(std::string& value) {
    std::string_view found;
    if (!view(found)) return false;
    value.assign(found);
    return true;
  }

  bool digits(std::string_view& value) {
    if (rest_.size() < 2 * Digest::kSize + 1 || rest_[2 * Digest::kSize] != '"') return false;
    value = rest_.substr(0, 2 * Digest::kSize);
    rest_.remove_prefix(value.size() + 1);
    return true;
  }

  bool number(std::uint64_t& value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{}) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }

  std::string_view line_;
  std::string_view rest_;
};

void read_layers(const Json& layers, SnapshotRecord& snapshot) {
  check(layers.is_array(), "the layers are not an array");
  for (const Json& layer : layers) {
    check(layer.is_string(), "a layer is not a string");
    snapshot.layers.push_back(layer.get<std::string>());
  }
}

/// What a scanner does not know: escapes, keys of a later version, and the lines of earlier ones, in which
/// the stack is a member and needs no digest.
Heading read_json(std::string_view object, std::string_view what) {
  Heading heading;
  heading.object = object;
  SnapshotRecord& snapshot = heading.snapshot;
  const Json json = parse_json(object, what);
  snapshot.id = require_hash(json, "id");
  if (const Json& parent = require(json, "parent"); !parent.is_null())
    snapshot.parent = require_hash(json, "parent");
  snapshot.layer = require_hash(json, "layer");
  snapshot.ownership = require_string(json, "ownership", 16);
  snapshot.kind = parse_kind(require_string(json, "kind", 16));
  snapshot.message = require_string(json, "message", kMaxSnapshotMessageBytes);
  snapshot.created_at = require_string(json, "created_at", 64);
  snapshot.entries = require_unsigned(json, "entries");
  snapshot.bytes = require_unsigned(json, "bytes");
  if (json.contains("layers")) {
    read_layers(json["layers"], snapshot);
  } else {
    heading.stack = require_hash(json, "stack");
  }
  return heading;
}

/// The object that a line begins with. A quote within a string is escaped, so the first place that looks
/// like the checksum is it.
std::string_view find_object(std::string_view line) {
  const std::size_t checksum = line.find(kForm.before);
  if (checksum == std::string_view::npos) return line;
  return line.substr(0, checksum + kForm.before.size() + 2 * Digest::kSize + 1 + kForm.close.size());
}

/// With its checksum checked.
Heading read_heading(std::string_view line, std::string_view what) {
  Heading heading;
  const bool scanned = Scanner(line).read(heading);
  const std::string_view object = scanned ? heading.object : find_object(line);
  static_cast<void>(check_checksum(object, kForm, what));
  return scanned ? std::move(heading) : read_json(object, what);
}

void read_stack(std::string_view text, std::string_view digest, SnapshotRecord& snapshot) {
  check(hash_bytes(text).hex() == digest, "the layers are not those of its digest");
  read_layers(parse_json(text, "the layers"), snapshot);
}

}  // namespace

std::string_view to_string(SnapshotKind kind) noexcept {
  return kind == SnapshotKind::Commit ? kCommit : kSafety;
}

std::string snapshot_id_of(const SnapshotRecord& snapshot) {
  return id_of(identity_of(snapshot, stack_text(snapshot)));
}

void set_snapshot_id(SnapshotRecord& snapshot) {
  check_snapshot(snapshot);
  snapshot.id = snapshot_id_of(snapshot);
}

std::string make_snapshot_line(const SnapshotRecord& snapshot) {
  check_snapshot(snapshot);
  const std::string stack = stack_text(snapshot);
  KARAPACE_ASSERT(snapshot.id == id_of(identity_of(snapshot, stack)));
  std::string line =
      fmt::format("{{\"id\":\"{}\",{},{},\"stack\":\"{}\"", snapshot.id, leading_members(snapshot),
                  trailing_members(snapshot), hash_bytes(stack).hex());
  append_checksum(line, kForm);
  line += fmt::format("{}\n", stack);
  check(line.size() <= kMaxSnapshotLineBytes, "the record of the snapshot is longer than 64 KiB");
  return line;
}

SnapshotRecord parse_snapshot_line(std::string_view line, std::string_view what, Stacks stacks) {
  if (line.size() >= kMaxSnapshotLineBytes)
    throw CorruptError(what, "a line of at most 64 KiB", "a longer one");
  try {
    Heading heading = read_heading(line, what);
    SnapshotRecord& snapshot = heading.snapshot;
    const std::string_view layers = line.substr(heading.object.size());
    // Two lines with a damaged end between them are not one.
    check(!layers.contains('{'), "something follows the layers");
    check(heading.stack.empty() == layers.empty(), "the layers are missing, or nothing says what they are");
    if (stacks == Stacks::Read && !layers.empty()) read_stack(layers, heading.stack, snapshot);
    check(Digest::is_valid(snapshot.id), "the id is not a digest");
    check_heading(snapshot);
    if (stacks == Stacks::Read) check_stack(snapshot);
    return std::move(snapshot);
  } catch (const CorruptError&) {
    throw;
  } catch (const Error& error) {
    throw CorruptError(what, "a valid snapshot", error.message());
  }
}

}  // namespace karapace::store
