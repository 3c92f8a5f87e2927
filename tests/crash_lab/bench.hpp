// SPDX-License-Identifier: Apache-2.0
// A directory with a project and a store that is filled, saved, destroyed by experiments, and brought back.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "image.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/subprocess.hpp"
#include "process_tree.hpp"

namespace karapace::lab {

/// The same numbers on every machine: the standard's distributions are not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  [[nodiscard]] std::uint64_t next() { return engine_(); }
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  template <typename Container>
  [[nodiscard]] const typename Container::value_type& pick(const Container& from) {
    return from[below(from.size())];
  }

 private:
  std::mt19937_64 engine_;
};

class Bench {
 public:
  /// In `place`, which stays; by default in a directory for what may go.
  explicit Bench(const std::string& place = {});
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench();

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string project() const { return root_ + "/project"; }
  [[nodiscard]] std::string store() const { return root_ + "/store"; }

  /// Everything empty again.
  void clear();
  [[nodiscard]] Image save() const { return capture(root_); }
  void bring_back(const Image& image);

  /// A clean run. One that does not end within half a minute has status -1.
  RunResult run(const std::vector<std::string>& words) const;
  /// The same; throws with what it said unless it succeeds.
  RunResult run_ok(const std::vector<std::string>& words) const;
  [[nodiscard]] Json run_json(std::vector<std::string> words) const;
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment() const;
  /// A run that stops before every mutating call. One more socket per run of the same moment.
  [[nodiscard]] std::unique_ptr<ProcessTree> run_in_lab(const std::vector<std::string>& words,
                                                        std::string_view socket = "a") const;

  void write(const std::string& path, std::string_view content) const;  // relative to root()
  void write_manifest(std::string_view packages, const std::string& name = "karapace.toml",
                      std::string_view image = "rolling") const;
  /// Builds an environment of the mock backend and returns its id.
  std::string build(const std::string& name, std::string_view packages) const;
  /// Writes into an upper directory what programs in a session may have written there.
  void write_drift(const std::string& env_id, Random& random, int files = 6) const;

 private:
  std::string base_;  // has the sockets, and root_ by default
  std::string root_;
};

}  // namespace karapace::lab
