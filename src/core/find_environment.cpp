// SPDX-License-Identifier: Apache-2.0
// From what the user typed to one environment.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "impl.hpp"
#include "karapace/base/json.hpp"
#include "karapace/core/engine.hpp"
#include "karapace/schema/lock_file.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMinPrefix = 4;  // a shorter one would let an empty shell variable pick an environment
constexpr std::size_t kMaxSuggestions = 5;
constexpr std::string_view kDefaultManifest = "karapace.toml";

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string label(const store::EnvRecord& record) {
  return record.name ? fmt::format("{} ({})", *record.name, record.short_id) : record.short_id;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

[[noreturn]] void throw_not_found(const store::MetadataStore& metadata, std::string_view reference) {
  std::string near;
  std::size_t count = 0;
  const std::string wanted = lower(reference);
  for (const auto& record : metadata.list().records) {
    const bool similar = (record.name && (lower(*record.name).find(wanted) != std::string::npos ||
                                          wanted.find(lower(*record.name)) != std::string::npos)) ||
                         record.short_id.find(wanted) != std::string::npos;
    if (similar && count++ < kMaxSuggestions) near += (near.empty() ? "" : ", ") + label(record);
  }
  throw Error(ErrorCode::NotFound, fmt::format("environment not found: '{}'", printable(reference)),
              near.empty() ? "karapace list shows what there is" : fmt::format("did you mean {}?", near));
}

std::string id_from_manifest(const std::string& manifest_path) {
  const std::string path = absolute_path(manifest_path);
  const auto lock = load_lock(lock_path_for(path));
  std::error_code failure;
  if (!lock && !std::filesystem::exists(path, failure)) {
    throw Error(ErrorCode::NotFound, fmt::format("{}: there is no such file", printable(manifest_path)),
                "name an environment, 'karapace list' shows them; or write a manifest: karapace new NAME");
  }
  if (!lock) {
    throw Error(ErrorCode::NotFound,
                fmt::format("{} was not built here: it has no lock file", printable(manifest_path)),
                fmt::format("karapace build {}, or name an environment", printable(manifest_path)));
  }
  return lock->env_id;
}

}  // namespace

EnvironmentView Engine::find_environment(std::string_view reference) const {
  const bool by_manifest = reference.empty() || reference.ends_with(".toml");
  const std::string wanted =
      by_manifest ? id_from_manifest(std::string(reference.empty() ? kDefaultManifest : reference))
                  : std::string(reference);
  const store::StoreLayout& layout = impl_->open();
  const store::MetadataStore metadata(layout);

  if (wanted.size() == EnvId::parse(std::string(64, '0')).str().size() && is_hex(wanted)) {
    if (auto record = metadata.find(wanted)) return make_view(layout, std::move(*record));
    if (by_manifest) {
      throw Error(ErrorCode::NotFound,
                  fmt::format("environment {} of this manifest is not in the store", wanted.substr(0, 12)),
                  "karapace build makes it from the lock file");
    }
    throw_not_found(metadata, reference);
  }
  // No environment has a name like a short id.
  const bool is_short_id = wanted.size() == EnvId::kShortLength && is_hex(wanted);
  if (!is_short_id) {
    if (auto record = metadata.find_by_name(wanted)) return make_view(layout, std::move(*record));
    if (const auto bad = metadata.bad_record_of_name(wanted)) {
      throw Error(ErrorCode::Corrupt, bad->reason,
                  fmt::format("bring store/metadata/{} back from a backup", bad->file));
    }
  }
  if (is_hex(wanted) && wanted.size() >= kMinPrefix) {
    const auto ids = metadata.ids_with_prefix(wanted);
    if (ids.size() > 1) {
      std::string all;
      for (const auto& id : ids) all += (all.empty() ? "" : ", ") + id.substr(0, EnvId::kShortLength);
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("'{}' is the beginning of several environments: {}", wanted, all),
                  "give more digits");
    }
    if (ids.size() == 1) {
      if (auto record = metadata.find(ids.front())) return make_view(layout, std::move(*record));
    }
  }
  throw_not_found(metadata, reference);
}

}  // namespace karapace::core
