// SPDX-License-Identifier: Apache-2.0
#include "karapace/schema/sbom.hpp"

#include <fmt/format.h>

#include <string>

#include "commands/commands.hpp"
#include "context.hpp"
#include "exit_code.hpp"
#include "karapace/base/clock.hpp"
#include "output.hpp"

namespace karapace::cli {

namespace {

/// The one time that everything Karapace makes has, as both formats want it.
std::string creation_time() {
  std::string time = format_rfc3339(Timestamp(std::chrono::seconds(store::kSourceDateEpoch)));
  return time.substr(0, time.rfind('+')) + "Z";
}

SbomFormat format_of(const Invocation& invocation) {
  try {
    return parse_sbom_format(invocation.value("format").value_or("spdx"));
  } catch (const Error& error) {
    throw UsageError(invocation.command, error.message(), error.fix());
  }
}

}  // namespace

int run_sbom(const Invocation& invocation) {
  const SbomFormat format = format_of(invocation);
  std::string reference = invocation.argument(0).value_or("karapace.lock");
  if (reference.ends_with(".toml")) reference = lock_path_for(reference);
  const core::Engine engine = open_engine(invocation, core::Access::Read, no_progress());
  const core::LockSource source = engine.find_lock(reference);
  write_stdout(make_sbom(source.lock, format, creation_time()));
  return kSuccess;
}

}  // namespace karapace::cli
