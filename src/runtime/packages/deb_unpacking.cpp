// SPDX-License-Identifier: Apache-2.0
#include "packages/deb_unpacking.hpp"

#include <map>
#include <tuple>

#include "packages/step_output.hpp"

namespace karapace::runtime::apt {
namespace {

class Unpacking {
 public:
  Unpacking(BaseSystem& system, Dpkg& dpkg, const std::vector<DebFile>& files, const DebRelations& relations)
      : system_(system), dpkg_(dpkg), files_(files), relations_(relations), left_(relations.unpack_order()) {}

  void run() {
    for (Outcome outcome = unpack_left(); outcome != Outcome::Done;) {
      if (outcome == Outcome::Moved && configure_needed()) {
        outcome = unpack_left();
        continue;
      }
      static_cast<void>(dpkg_.run({kGoOn, "--configure", "--pending"}));
      outcome = unpack_left();
      if (outcome == Outcome::Stuck) outcome = force_first();
    }
  }

 private:
  enum class Outcome { Done, Moved, Stuck };
  static constexpr const char* kGoOn = "--abort-after=100000";  // each package that fails, not the first

  /// --auto-deconfigure, as apt does: what breaks a package of the base may come before that one's upgrade.
  RunResult unpack(std::vector<std::string> options, const std::vector<std::size_t>& packages) {
    options.insert(options.end(),
                   {"--no-triggers", "--auto-deconfigure", "--skip-same-version", kGoOn, "--unpack"});
    for (const std::size_t package : packages) options.push_back(files_[package].path);
    return dpkg_.run(std::move(options));
  }

  Outcome unpack_left() {
    if (unpack({}, left_).status == 0) return Outcome::Done;
    const std::size_t before = left_.size();
    look();
    if (left_.empty()) return Outcome::Done;
    return left_.size() < before ? Outcome::Moved : Outcome::Stuck;
  }

  /// False: there is nothing to configure.
  bool configure_needed() {
    std::vector<std::string> action = {"--no-triggers", kGoOn, "--configure"};
    const std::size_t options = action.size();
    for (const std::size_t package : relations_.needed_to_unpack(left_)) {
      const PackageState* state = state_of(files_[package].package);
      if (state != nullptr && (state->status == "unpacked" || state->status == "half-configured"))
        action.push_back(state->qualified);
    }
    if (action.size() == options) return false;
    static_cast<void>(dpkg_.run(std::move(action)));  // what it did is seen by who can be unpacked now
    return true;
  }

  /// What dpkg took is not tried again, though its file may hold another package than the lock says: that is
  /// for the check of what is installed to tell.
  Outcome force_first() {
    const RunResult result = unpack({"--force-depends"}, {left_.front()});
    if (result.status != 0)
      throw_install_failed(system_.context(), "dpkg cannot unpack the packages", result);
    left_.erase(left_.begin());
    look();
    return left_.empty() ? Outcome::Done : Outcome::Moved;
  }

  /// Asks dpkg what is unpacked, and takes that from `left_`. The version tells: one of the base may be there
  /// before its upgrade.
  void look() {
    states_.clear();
    for (PackageState& state : package_states(system_)) {
      if (!has_files(state)) continue;
      Key key{state.name, state.version, state.arch};
      states_.emplace(std::move(key), std::move(state));
    }
    std::erase_if(left_,
                  [this](std::size_t package) { return state_of(files_[package].package) != nullptr; });
  }

  /// Null: it is not unpacked.
  [[nodiscard]] const PackageState* state_of(const LockedPackage& package) const {
    const auto found = states_.find({package.name, package.version, package.arch});
    return found == states_.end() ? nullptr : &found->second;
  }

  using Key = std::tuple<std::string, std::string, std::string>;

  BaseSystem& system_;
  Dpkg& dpkg_;
  const std::vector<DebFile>& files_;
  const DebRelations& relations_;
  std::vector<std::size_t> left_;  // in the order of unpacking
  std::map<Key, PackageState> states_;
};

}  // namespace

void unpack_closure(BaseSystem& system, Dpkg& dpkg, const std::vector<DebFile>& files,
                    const DebRelations& relations) {
  Unpacking(system, dpkg, files, relations).run();
}

}  // namespace karapace::runtime::apt
