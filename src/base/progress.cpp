// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/progress.hpp"

namespace karapace {
namespace {

class NoProgress final : public ProgressSink {
 public:
  void step(std::string_view /*name*/, std::string_view /*detail*/) override {}
  void advance(std::uint64_t /*done*/, std::uint64_t /*total*/, std::string_view /*unit*/) override {}
  void note(std::string_view /*text*/) override {}
};

}  // namespace

ProgressSink& no_progress() {
  static NoProgress sink;
  return sink;
}

}  // namespace karapace
