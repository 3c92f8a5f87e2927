// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "commands/commands.hpp"
#include "context.hpp"
#include "output.hpp"
#include "size_text.hpp"
#include "terminal.hpp"

namespace karapace::cli {

namespace {

std::string line(std::string_view label, std::string_view value) {
  return fmt::format("{}{}\n", padded(fmt::format("{}:", label), 14), value);
}

std::string describe(const core::EnvironmentView& environment, const core::EnvironmentDetails& details,
                     bool colour) {
  const store::EnvRecord& record = environment.record;
  std::string text = line("env_id", printable(record.env_id));
  text += line("short_id", printable(record.short_id));
  text += line("name", record.name ? printable(*record.name) : "(none)");
  text += line("state", coloured_state(environment.state, colour));
  if (environment.holder_pid > 0) text += line("holder_pid", fmt::format("{}", environment.holder_pid));
  text += line("base_layer", record.base_layer.empty() ? "(none)" : printable(record.base_layer));
  text += line("deps", fmt::format("{}", record.dependency_layers.size()));
  text += line("ref_count", fmt::format("{}", record.ref_count));
  text += line("created_at", printable(record.created_at));
  text += line("updated_at", printable(record.updated_at));
  text += line("ownership", printable(record.ownership));
  text += line("manifest", printable(record.manifest_path, 4096));
  if (details.follows_lock == false) {
    text += line("layers", fmt::format("those of snapshot {}, not of its lock; karapace build goes back",
                                       printable(record.head.value_or("").substr(0, 12))));
  }
  const std::optional<store::DiskUse>& use = details.use;
  text += line("disk", use ? fmt::format("{} of its own, {} shared with others", size_text(use->exclusive),
                                         size_text(use->shared))
                           : "(cannot be measured; karapace verify-store tells why)");
  return text;
}

}  // namespace

int run_inspect(const Invocation& invocation) {
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::EnvironmentView environment = find_environment(engine, invocation);
  Details details = measure(engine, environment.record.env_id);
  if (invocation.json()) {
    print_json(record_json(environment, details));
  } else {
    write_stdout(describe(environment, details[environment.record.env_id], wants_colour(Stream::Out)));
  }
  return 0;
}

}  // namespace karapace::cli
