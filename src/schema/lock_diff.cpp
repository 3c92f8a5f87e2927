// SPDX-License-Identifier: Apache-2.0
// First every difference is found, then each consequence is put under its cause: another architecture,
// backend or image explains another base and other packages; a package that somebody asked for explains those
// it brought along.
#include "karapace/schema/lock_diff.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "package_diff.hpp"

namespace karapace {
namespace {

using Changes = std::vector<InputChange>;

constexpr std::string_view kBackendKey = "runtime.backend";
constexpr std::string_view kOwnershipKey = "system.ownership";

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(const std::optional<std::uint64_t>& limit) {
  return limit ? std::to_string(*limit) : std::string();
}
std::string text_of(const std::vector<std::string>& list) { return fmt::format("{}", fmt::join(list, " ")); }

ChangeSign sign_of(bool in_a, bool in_b) {
  if (in_a && in_b) return ChangeSign::Changed;
  return in_a ? ChangeSign::Removed : ChangeSign::Added;
}

InputChange make_change(std::string_view what, std::string_view name, std::vector<FieldChange> fields = {}) {
  InputChange change;
  change.what = what;
  change.name = name;
  change.fields = std::move(fields);
  return change;
}

void add_if_different(std::vector<FieldChange>& fields, std::string_view field, std::string from,
                      std::string to) {
  if (from != to) fields.push_back({std::string(field), std::move(from), std::move(to)});
}

/// "git=1:2.39", "git/bookworm-backports" and "git:amd64" are about git.
std::string package_of(const std::string& request) { return request.substr(0, request.find_first_of("=/:")); }

/// Pairs of `a` and `b` with equal keys; each absent side is nullptr. Both are sorted by that key.
template <typename Item, typename Key, typename Visit>
void visit_pairs(const std::vector<Item>& a, const std::vector<Item>& b, Key key, Visit visit) {
  std::map<std::string, std::pair<const Item*, const Item*>> pairs;
  for (const Item& item : a) pairs[key(item)].first = &item;
  for (const Item& item : b) pairs[key(item)].second = &item;
  for (const auto& [name, pair] : pairs) visit(name, pair.first, pair.second);
}

class Comparison {
 public:
  Comparison(const LockFile& a, const LockFile& b) : a_(a), b_(b), full_(is_resolved(a) && is_resolved(b)) {}

  Changes run() {
    format();
    policy();
    mounts();
    base();
    requests();
    if (full_) packages();
    if (full_) repositories();
    dependency_layer();
    arrange();
    for (InputChange& change : changes_) settle(change);
    std::stable_partition(changes_.begin(), changes_.end(),
                          [](const InputChange& change) { return change.identity; });
    return std::move(changes_);
  }

 private:
  void format() {
    if (a_.lock_version == b_.lock_version) return;
    changes_.push_back(make_change(
        "format", "", {{"lock_version", std::to_string(a_.lock_version), std::to_string(b_.lock_version)}}));
  }

  void policy_key(std::string_view key, std::string from, std::string to) {
    if (from == to) return;
    changes_.push_back(make_change("policy", key, {{"value", std::move(from), std::move(to)}}));
  }

  void policy() {
    if (full_ && a_.arch != b_.arch)
      changes_.push_back(make_change("arch", "", {{"value", a_.arch, b_.arch}}));
    policy_key(kBackendKey, a_.runtime_backend, b_.runtime_backend);
    policy_key(kOwnershipKey, std::string(to_string(a_.ownership)), std::string(to_string(b_.ownership)));
    policy_key("hardware.gpu", text_of(a_.hardware_gpu), text_of(b_.hardware_gpu));
    policy_key("hardware.audio", text_of(a_.hardware_audio), text_of(b_.hardware_audio));
    policy_key("runtime.network_isolation", text_of(a_.network_isolation), text_of(b_.network_isolation));
    policy_key("runtime.resource_limits.cpu_shares", text_of(a_.cpu_shares), text_of(b_.cpu_shares));
    policy_key("runtime.resource_limits.memory_limit_mb", text_of(a_.memory_limit_mb),
               text_of(b_.memory_limit_mb));
  }

  void mounts() {
    const auto label = [](const Mount& mount) { return mount.label; };
    visit_pairs(
        a_.mounts, b_.mounts, label, [&](const std::string& name, const Mount* from, const Mount* to) {
          if (from != nullptr && to != nullptr && *from == *to) return;
          InputChange change = make_change("mount", name);
          change.sign = sign_of(from != nullptr, to != nullptr);
          const auto field = [&](std::string_view field_name, const std::string Mount::*member) {
            add_if_different(change.fields, field_name, from ? from->*member : "", to ? to->*member : "");
          };
          field("host_path", &Mount::host_path);
          field("container_path", &Mount::container_path);
          const auto access = [](const Mount* mount) {
            return mount == nullptr ? "" : mount->access == MountAccess::ReadOnly ? "ro" : "rw";
          };
          if (from != nullptr && to != nullptr)
            add_if_different(change.fields, "access", access(from), access(to));
          changes_.push_back(std::move(change));
        });
  }

  void base() {
    const bool same_bytes = !full_ || a_.base_image_digest == b_.base_image_digest;
    InputChange change = make_change("base", "");
    add_if_different(change.fields, "image", a_.base_image, b_.base_image);
    change.identity = full_ ? !same_bytes : !change.fields.empty();
    if (full_) {
      // What an image is made from follows from its name.
      if (change.fields.empty()) pin_fields(change.fields);
      for (const PackagePair& pair : package_differences(a_.base.packages, b_.base.packages))
        change.includes.push_back(describe(pair, "base-package"));
      const bool explained =
          !change.fields.empty() || !change.includes.empty() || find_sweep(true) != nullptr;
      if (!same_bytes && !explained)
        change.fields.push_back({"digest", a_.base_image_digest, b_.base_image_digest});
    }
    if (!same_bytes || !change.fields.empty() || !change.includes.empty()) base_ = std::move(change);
  }

  void pin_fields(std::vector<FieldChange>& fields) const {
    const BasePin& from = a_.base;
    const BasePin& to = b_.base;
    add_if_different(fields, "provider", std::string(to_string(from.provider)),
                     std::string(to_string(to.provider)));
    add_if_different(fields, "distribution", from.distribution, to.distribution);
    add_if_different(fields, "variant", from.variant, to.variant);
    add_if_different(fields, "version", from.version, to.version);
    add_if_different(fields, "url", from.url, to.url);
    if (from.version == to.version) add_if_different(fields, "sha256", from.sha256, to.sha256);
    if (!fields.empty()) return;
    // Otherwise they follow from the manifest or the build that names them.
    add_if_different(fields, "index_sha256", from.index_sha256, to.index_sha256);
    for (std::size_t i = 0; i < std::max(from.files.size(), to.files.size()); ++i) {
      static const LockedFile kNone;
      const LockedFile& left = i < from.files.size() ? from.files[i] : kNone;
      const LockedFile& right = i < to.files.size() ? to.files[i] : kNone;
      add_if_different(fields, left.role.empty() ? right.role : left.role, left.sha256, right.sha256);
    }
  }

  /// Names in the manifest. Those that are the name of a package that differs go with it, see packages().
  void requests() {
    const auto same = [](const std::string& name) { return name; };
    const auto note = [&](std::string_view what) {
      return [this, what](const std::string& name, const std::string* from, const std::string* to) {
        if (from != nullptr && to != nullptr) return;
        Request& request = requests_[full_ ? package_of(name) : name];
        std::string& side = from != nullptr ? request.from : request.to;
        std::string& list = from != nullptr ? request.from_list : request.to_list;
        side = name;
        list = what;
      };
    };
    visit_pairs(a_.requested_packages, b_.requested_packages, same, note("package"));
    visit_pairs(a_.resolved_apps, b_.resolved_apps, same, note("app"));
    if (full_) return;
    for (const auto& [name, request] : requests_) asked_.push_back(request_change(name, request));
    requests_.clear();
  }

  struct Request {
    std::string from, to;            // as written; empty: not there
    std::string from_list, to_list;  // "package", "app"
  };

  InputChange request_change(const std::string& name, const Request& request) const {
    const std::string& list = request.to.empty() ? request.from_list : request.to_list;
    const bool app = request.from_list == "app" || request.to_list == "app";
    InputChange change = make_change(app ? "app" : full_ ? "request" : list, name);
    change.sign = sign_of(!request.from.empty(), !request.to.empty());
    request_fields(change.fields, request);
    change.identity = !full_ || app;  // a package's name by itself is none: the base may have it already
    return change;
  }

  static void request_fields(std::vector<FieldChange>& fields, const Request& request) {
    const bool both = !request.from.empty() && !request.to.empty();
    if (both && request.from != request.to) fields.push_back({"request", request.from, request.to});
    const auto key = [](const std::string& list) { return list == "app" ? "gui.apps" : "system.packages"; };
    if (both && request.from_list != request.to_list)
      fields.push_back({"list", key(request.from_list), key(request.to_list)});
  }

  void packages() {
    for (const PackagePair& pair : package_differences(a_.resolved_packages, b_.resolved_packages)) {
      InputChange change = describe(pair, "package");
      const auto request = requests_.find(change.name);
      if (request != requests_.end()) {
        InputChange asked = request_change(change.name, request->second);
        if (differs_in_request_only(pair)) {
          asked.identity = true;
          requests_.erase(request);
          asked_.push_back(std::move(asked));
          continue;
        }
        if (asked.what == "app") change.what = "app";
        change.identity = change.identity || asked.identity;
        change.fields.insert(change.fields.begin(), asked.fields.begin(), asked.fields.end());
        requests_.erase(request);
        asked_.push_back(std::move(change));
      } else {
        (pair.requested() && change.identity ? moved_ : brought_).push_back(std::move(change));
      }
    }
    for (const auto& [name, request] : requests_) asked_.push_back(request_change(name, request));
  }

  void repositories() {
    const auto name_of = [](const Repository& repository) { return repository.name; };
    visit_pairs(a_.repositories, b_.repositories, name_of,
                [&](const std::string& name, const Repository* from, const Repository* to) {
                  if (from != nullptr && to != nullptr && *from == *to) return;
                  static const Repository kNone;
                  const Repository& left = from != nullptr ? *from : kNone;
                  const Repository& right = to != nullptr ? *to : kNone;
                  InputChange change = make_change("repository", name);
                  change.sign = sign_of(from != nullptr, to != nullptr);
                  change.identity = false;
                  add_if_different(change.fields, "url", left.url, right.url);
                  add_if_different(change.fields, "suite", left.suite, right.suite);
                  add_if_different(change.fields, "components", text_of(left.components),
                                   text_of(right.components));
                  repositories_.push_back(std::move(change));
                });
  }

  /// The same inputs with another result: nobody's input, but what somebody who compares two locks looks for.
  void dependency_layer() {
    const bool built = !a_.dependency_layer.empty() && !b_.dependency_layer.empty();
    if (!full_ || !built || a_.dependency_layer == b_.dependency_layer) return;
    if (base_ || !brought_.empty() || !moved_.empty() || !asked_.empty()) return;
    if (a_.ownership != b_.ownership) return;
    InputChange change =
        make_change("dependency-layer", "", {{"digest", a_.dependency_layer, b_.dependency_layer}});
    change.identity = false;
    changes_.push_back(std::move(change));
  }

  /// The change that explains any difference of base and packages. Ownership explains the base only: packages
  /// are the same files.
  InputChange* find_sweep(bool ownership_too) {
    const auto named = [&](std::string_view what, std::string_view name) {
      const auto found = std::ranges::find_if(
          changes_, [&](const InputChange& change) { return change.what == what && change.name == name; });
      return found == changes_.end() ? nullptr : &*found;
    };
    const bool mocked = (a_.base.provider == BaseProvider::Mock) != (b_.base.provider == BaseProvider::Mock);
    InputChange* backend = named("policy", kBackendKey);
    if (full_ && backend != nullptr && mocked) return backend;
    if (InputChange* arch = named("arch", "")) return arch;
    return ownership_too ? named("policy", kOwnershipKey) : nullptr;
  }

  static void append(Changes& to, Changes& from) {
    std::ranges::move(from, std::back_inserter(to));
    from.clear();
  }

  void arrange() {
    Changes following;
    append(following, moved_);
    append(following, brought_);
    if (base_ && base_->identity && full_ && !base_->fields.empty() &&
        base_->fields.front().field == "image") {
      append(following, repositories_);
      append(base_->includes, following);
    }
    if (InputChange* sweep = find_sweep(false)) {
      append(following, repositories_);
      if (base_) sweep->includes.push_back(*std::exchange(base_, std::nullopt));
      append(sweep->includes, following);
    } else if (base_ && base_->fields.empty() && base_->includes.empty()) {
      find_sweep(true)->includes.push_back(*std::exchange(base_, std::nullopt));
    }
    if (base_) changes_.push_back(std::move(*base_));
    give_to_causes(following);
    append(changes_, repositories_);
  }

  /// `following` begins with packages that somebody asked for before: those changed by themselves.
  void give_to_causes(Changes& following) {
    const auto is_cause = [&](const InputChange& change) {
      const auto with_flag = [&](const std::vector<LockedPackage>& packages) {
        return std::ranges::any_of(packages, [&](const LockedPackage& package) {
          return package.requested && package.name == change.name;
        });
      };
      return change.identity && (with_flag(a_.resolved_packages) || with_flag(b_.resolved_packages));
    };
    Changes rest;
    for (InputChange& change : following) (is_cause(change) ? asked_ : rest).push_back(std::move(change));
    std::ranges::stable_sort(asked_, {}, &InputChange::name);
    Changes unexplained;
    Changes relocated;
    for (InputChange& change : rest) {
      InputChange* cause = only_cause(change);
      Changes& otherwise = change.identity ? unexplained : relocated;
      (cause != nullptr ? cause->includes : otherwise).push_back(std::move(change));
    }
    const bool grouped = !asked_.empty();
    append(changes_, asked_);
    append_group(grouped ? "dependencies" : "", unexplained);
    append_group("relocated", relocated);
  }

  void append_group(std::string_view what, Changes& members) {
    if (members.size() < 2 || what.empty()) return append(changes_, members);
    InputChange group = make_change(what, "");
    group.includes = std::exchange(members, {});
    changes_.push_back(std::move(group));
  }

  /// Without another hint only one candidate is an explanation: the only package somebody asked for that
  /// changed, or the only one that came (or went) as this one did.
  InputChange* only_cause(const InputChange& change) {
    if (!change.identity) return nullptr;
    InputChange* same_sign = nullptr;
    std::size_t alike = 0;
    for (InputChange& cause : asked_) {
      if (cause.sign != change.sign) continue;
      same_sign = &cause;
      ++alike;
    }
    if (alike == 1) return same_sign;
    return asked_.size() == 1 ? &asked_.front() : nullptr;
  }

  static void settle(InputChange& change) {
    // A group is what its members are.
    if (change.what == "dependencies" || change.what == "relocated") change.identity = false;
    for (InputChange& part : change.includes) {
      settle(part);
      if (change.what != "base") change.identity = change.identity || part.identity;
    }
  }

  const LockFile& a_;
  const LockFile& b_;
  const bool full_;
  Changes changes_;
  std::optional<InputChange> base_;
  std::map<std::string, Request> requests_;  // by the name of the package
  Changes asked_;                            // packages that one manifest names and the other does not
  Changes moved_;                            // packages that both name
  Changes brought_;                          // packages that nobody names
  Changes repositories_;
};

}  // namespace

std::string_view to_string(ChangeSign sign) noexcept {
  switch (sign) {
    case ChangeSign::Added:
      return "added";
    case ChangeSign::Removed:
      return "removed";
    case ChangeSign::Changed:
      break;
  }
  return "changed";
}

std::vector<InputChange> compare_inputs(const LockFile& a, const LockFile& b) {
  return Comparison(a, b).run();
}

LockFile unresolved_lock(const Manifest& manifest) {
  LockFile lock;
  apply_policy(lock, manifest);
  return lock;
}

bool is_resolved(const LockFile& lock) noexcept { return !lock.base_image_digest.empty(); }

}  // namespace karapace
