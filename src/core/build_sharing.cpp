// SPDX-License-Identifier: Apache-2.0
// Two manifests with one identity have one environment, and whatever was written in it. That is meant, and
// must not happen to anybody unseen: what a build does to an environment of another manifest is told, and
// what its owner decided about it is not undone.

#include <fcntl.h>
#include <fmt/format.h>

#include <filesystem>

#include "build.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::core {
namespace {

constexpr std::size_t kMaxShownPath = 4096;

/// "3f2a91c07d5e of /work/a/karapace.toml".
std::string owned(const store::EnvRecord& record) {
  return fmt::format("{} of {}", record.short_id, printable(record.manifest_path, kMaxShownPath));
}

void refuse_kept(const store::EnvRecord& record, std::string_view why) {
  const bool frozen = record.state == store::EnvState::Frozen;
  if (!frozen && record.state != store::EnvState::Archived) return;
  throw Error(
      ErrorCode::Conflict,
      fmt::format("{}, and environment {} is {}", why, owned(record), store::to_lower_string(record.state)),
      fmt::format("if its project agrees: karapace {} {}", frozen ? "thaw" : "unarchive", record.short_id));
}

/// Whoever is in it knows it by its name.
void refuse_in_use(const store::StoreLayout& layout, const store::EnvRecord& record) {
  if (make_view(layout, record).state != store::EnvState::Running) return;
  throw Error(ErrorCode::Conflict,
              fmt::format("environment {} would lose its name '{}', and a session is open in it",
                          owned(record), record.name.value_or("")),
              fmt::format("karapace stop {}, or build without --name", record.short_id));
}

bool has_home(const store::StoreLayout& layout, const std::string& env_id) {
  const auto home =
      try_open_beneath(layout.root(), "env/" + env_id + "/home", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return home && !list_directory(*home).empty();
}

bool has_changes(const store::StoreLayout& layout, const store::EnvRecord& record) {
  using enum store::EnvState;
  if (record.state != Built && record.state != Frozen) return false;
  try {
    return !is_upper_clean(layout, record);
  } catch (const SystemError&) {
    return true;  // a tree that is gone: nobody can tell
  }
}

}  // namespace

bool is_of_another_manifest(const store::EnvRecord& record, const BuildInputs& inputs) {
  if (record.manifest_path.empty() || record.manifest_path == inputs.manifest_path) return false;
  std::error_code failure;  // another way to the same file is the same project
  return !std::filesystem::equivalent(record.manifest_path, inputs.manifest_path, failure);
}

bool Build::takes_name_of(const store::EnvRecord& existing) const {
  return existing.name && inputs_.name && !inputs_.name_is_default && *existing.name != *inputs_.name;
}

void Build::refuse_other_projects(const std::optional<store::EnvRecord>& existing) const {
  const store::StoreLayout& layout = *engine_.layout;
  if (existing && is_of_another_manifest(*existing, inputs_)) {
    refuse_kept(*existing, "both manifests have one identity, so one environment");
    if (takes_name_of(*existing)) refuse_in_use(layout, *existing);
  }
  if (!inputs_.name || inputs_.name_is_default) return;
  const auto owner = store::MetadataStore(layout).find_by_name(*inputs_.name);
  if (!owner || owner->env_id == lock_.env_id || !is_of_another_manifest(*owner, inputs_)) return;
  refuse_kept(*owner, fmt::format("name '{}' is taken", *inputs_.name));
  refuse_in_use(layout, *owner);
}

void Build::tell_who_shares(const store::EnvRecord& existing) {
  if (is_of_another_manifest(existing, inputs_)) {
    const bool there = std::filesystem::exists(std::filesystem::path(existing.manifest_path));
    progress_.note(fmt::format(
        "{} was made for {}{}: manifests with one identity share one environment, with everything in it and "
        "its home; directories relative to the manifest and runtime.home are those of {} from now on",
        existing.short_id, printable(existing.manifest_path, kMaxShownPath),
        there ? "" : ", which is not there any more", printable(inputs_.manifest_path, kMaxShownPath)));
  }
  if (takes_name_of(existing))
    progress_.note(fmt::format("{} was called '{}' and is called '{}' now", existing.short_id, *existing.name,
                               *inputs_.name));
}

void Build::tell_what_stays(const store::EnvRecord& old) {
  const bool changes = has_changes(*engine_.layout, old);
  const bool home = has_home(*engine_.layout, old.env_id);
  const std::string of =
      is_of_another_manifest(old, inputs_) ? " of " + printable(old.manifest_path, kMaxShownPath) : "";
  std::string text =
      fmt::format("name '{}' moves here from {}{}, which stays as it is", *old.name, old.short_id, of);
  if (changes || home) {
    text += fmt::format(", with {}{}{} in it", changes ? "what was not committed" : "",
                        changes && home ? " and " : "", home ? "the files of its home" : "");
    if (changes) text += fmt::format("; karapace diff {} shows it", old.short_id);
    text += fmt::format(
        "; karapace destroy {} removes it; karapace rebuild in place of build carries all of it over",
        old.short_id);
  }
  progress_.note(text);
}

}  // namespace karapace::core
