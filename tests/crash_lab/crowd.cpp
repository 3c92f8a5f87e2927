// SPDX-License-Identifier: Apache-2.0
#include "crowd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/file_lock.hpp"
#include "karapace/store/layout.hpp"
#include "karapace/store/metadata.hpp"
#include "karapace/store/snapshot_log.hpp"
#include "model.hpp"
#include "walk.hpp"

namespace karapace::lab {
namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

constexpr std::size_t kEnvironments = 6;
// From this one on they may be destroyed, and then it is not always known what is left.
constexpr std::size_t kFirstMortal = 4;
constexpr std::chrono::seconds kPatience(120);
constexpr std::size_t kMaxOutput = 1024 * 1024;

/// A run of karapace, and when it is to be ended.
struct Client {
  Words words;
  std::size_t environment = 0;
  std::optional<ChildProcess> process;
  UniqueFd output;
  Clock::time_point began;
  std::optional<Clock::time_point> ends;
};

/// What is known for sure of one environment.
struct Known {
  std::string name;
  std::string id;
  bool may_be_destroyed = false;
  std::map<std::string, std::string> views;  // snapshots that were reported, and what they show at the end
};

class Crowd {
 public:
  Crowd(Bench& bench, std::uint64_t seed, Tally& tally) : bench_(bench), random_(seed), tally_(tally) {
    replay_ = fmt::format("--crowd 10 --seed {}", seed);
    bench_.clear();
    for (std::size_t i = 0; i < kEnvironments; ++i) {
      Known known;
      known.name = fmt::format("env{}", i);
      known.may_be_destroyed = i >= kFirstMortal;
      known.id = bench_.build(known.name, fmt::format("'git', 'package{}'", i));
      known_.push_back(std::move(known));
    }
  }

  void run(unsigned count, Clock::time_point until) {
    std::vector<Client> clients(count);
    while (true) {
      bool any = false;
      for (Client& client : clients) {
        if (!client.process && Clock::now() < until) begin(client);
        any = any || client.process;
      }
      if (!any) break;
      wait_for_one(clients);
      for (Client& client : clients) look_after(client);
    }
    fmt::print("{} runs, {} reported success, {} snapshots\n", runs_, done_, snapshots());
  }

  void check() {
    reopen(bench_);
    report_faults(tally_, find_faults(bench_.root()), replay_);
    check_snapshots("at the end");
    const RunResult collected = bench_.run({"gc"});
    if (collected.status != 0) report(tally_, Finding::Loss, "gc: " + collected.err, replay_);
    report_faults(tally_, find_orphans(bench_.root()), replay_);
    report_faults(tally_, find_faults(bench_.root()), replay_);
    check_snapshots("after gc");
    for (const Known& known : known_) {
      if (const RunResult result = bench_.run({"build", known.name + ".toml", "--name", known.name});
          result.status != 0)
        report(tally_, Finding::Loss, fmt::format("{} cannot be built any more: {}", known.name, result.err),
               replay_);
    }
  }

 private:
  [[nodiscard]] std::size_t snapshots() const {
    std::size_t count = 0;
    for (const Known& known : known_) count += known.views.size();
    return count;
  }

  /// As a program in a session does it: while it is open, nobody makes a layer of what it writes.
  void write_as_session(const Known& known) {
    const auto layout = store::StoreLayout::open_existing(bench_.store());
    const std::string directory = "env/" + known.id;
    if (!exists_at(layout->root(), directory + "/run") || !exists_at(layout->root(), directory + "/upper"))
      return;
    const auto lock = FileLock::try_acquire(
        open_beneath(layout->root(), directory + "/run/sessions", O_RDWR | O_CREAT, 0600), LockMode::Shared);
    if (!lock || is_pending(*layout, known.id)) return;
    const auto record = store::MetadataStore(*layout).find(known.id);
    if (record && record->state == store::EnvState::Built) bench_.write_drift(known.id, random_, 2);
  }

  /// A commit of it died half-way: a session would finish it before it starts.
  static bool is_pending(const store::StoreLayout& layout, const std::string& env_id) {
    const UniqueFd wal = layout.open_dir("store/wal");
    return std::ranges::any_of(list_directory(wal), [&](const DirectoryEntry& entry) {
      return try_read_file_at(wal, entry.name, kMaxOutput).value_or("").contains(env_id);
    });
  }

  Words choose(const Known& known) {
    const std::vector<Words> all = {{"--json", "commit", known.name, "-m", fmt::format("run {}", runs_)},
                                    {"--json", "commit", known.name, "-m", fmt::format("run {}", runs_)},
                                    {"--json", "commit", known.name, "-m", fmt::format("run {}", runs_)},
                                    {"build", known.name + ".toml", "--name", known.name},
                                    {"build", known.name + ".toml", "--name", known.name},
                                    {"freeze", known.name},
                                    {"thaw", known.name},
                                    {"archive", known.name},
                                    {"unarchive", known.name},
                                    {"gc"},
                                    {"verify-store"},
                                    {"list"},
                                    {"diff", known.name},
                                    {"snapshots", known.name}};
    if (known.may_be_destroyed && random_.chance(10)) return {"destroy", "--yes", known.name};
    if (random_.chance(10) && !known.views.empty()) {
      auto snapshot = known.views.begin();
      std::advance(snapshot, random_.below(known.views.size()));
      Words words = {"restore", known.name, snapshot->first};
      if (random_.chance(50)) words.insert(words.begin() + 1, "--discard");
      return words;
    }
    return random_.pick(all);
  }

  void begin(Client& client) {
    client.environment = random_.below(known_.size());
    Known& known = known_[client.environment];
    try {
      if (random_.chance(60)) write_as_session(known);
    } catch (const std::exception&) {
      // It was destroyed while we wrote: then nobody wants what we wrote.
    }
    client.words = choose(known);
    client.output = anonymous_file();
    client.process = spawn({.program = karapace_program(),
                            .arguments = client.words,
                            .environment = bench_.environment(),
                            .fds = {{client.output, STDOUT_FILENO}},
                            .working_directory = bench_.project()});
    ++runs_;
    client.began = Clock::now();
    client.ends.reset();
    if (random_.chance(25)) client.ends = client.began + std::chrono::microseconds(random_.below(60'000));
  }

  static void wait_for_one(const std::vector<Client>& clients) {
    std::vector<pollfd> fds;
    auto next = Clock::now() + std::chrono::seconds(1);
    for (const Client& client : clients) {
      if (!client.process) continue;
      fds.push_back({client.process->pidfd().get(), POLLIN, 0});
      if (client.ends) next = std::min(next, *client.ends);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<decltype(left)>(left, 0)));
  }

  void look_after(Client& client) {
    if (!client.process) return;
    if (client.ends && Clock::now() >= *client.ends) {
      client.process->signal(SIGKILL);
      client.ends.reset();
    }
    if (Clock::now() > client.began + kPatience) {
      report(tally_, Finding::Stuck, fmt::format("{} does not end", fmt::join(client.words, " ")), replay_);
      client.process->signal(SIGKILL);
    }
    const auto status = client.process->try_wait();
    if (!status) return;
    client.process.reset();
    if (*status == 128 + SIGKILL) {
      ++tally_.kills;
    } else if (*status == 0) {
      ++done_;
      learn(client);
    } else if (*status == 3 && client.words[0] != "gc") {
      // gc may meet a commit that was ended and cannot be finished now: what it says counts at the end.
      report(tally_, Finding::Loss,
             fmt::format("{} ends with {}: {}", fmt::join(client.words, " "), *status, output_of(client)),
             replay_);
    }
  }

  static std::string output_of(const Client& client) { return content_of(client.output); }

  void learn(const Client& client) {
    Known& known = known_[client.environment];
    if (client.words.at(std::min<std::size_t>(1, client.words.size() - 1)) != "commit") return;
    const Json done = parse_json(output_of(client), "answer of commit");
    if (!done.at("changed").get<bool>()) return;
    if (!known.may_be_destroyed) known.views[done.at("snapshot_hash").get<std::string>()] = "";
  }

  void check_snapshots(const char* when) {
    const auto layout = store::StoreLayout::open_existing(bench_.store());
    const StoreModel model = read_model(bench_.root());
    for (Known& known : known_) {
      if (known.may_be_destroyed) continue;
      const auto found = model.environments.find(known.id);
      if (found == model.environments.end()) {
        report(tally_, Finding::Loss, fmt::format("{}: {} is gone", when, known.name), replay_);
        continue;
      }
      const auto list = store::SnapshotLog(*layout).read(known.id).snapshots;
      for (auto& [id, view] : known.views) {
        const auto snapshot = std::ranges::find(list, id, &store::SnapshotRecord::id);
        if (snapshot == list.end()) {
          report(tally_, Finding::Loss, fmt::format("{}: snapshot {} of {} is gone", when, id, known.name),
                 replay_);
          continue;
        }
        const std::string& shown =
            found->second.snapshots.at(static_cast<std::size_t>(snapshot - list.begin())).view;
        if (view.empty()) view = shown;
        if (view != shown)
          report(tally_, Finding::Loss, fmt::format("{}: snapshot {} shows something else", when, id),
                 replay_);
      }
    }
  }

  Bench& bench_;
  Random random_;
  Tally& tally_;
  std::string replay_;
  std::vector<Known> known_;
  unsigned long runs_ = 0;
  unsigned long done_ = 0;
};

}  // namespace

void run_crowd(Bench& bench, std::uint64_t seed, unsigned clients, std::chrono::seconds duration,
               Tally& tally) {
  Crowd crowd(bench, seed, tally);
  crowd.run(clients, Clock::now() + duration);
  reap_orphans();
  crowd.check();
}

}  // namespace karapace::lab
