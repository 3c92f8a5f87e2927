// SPDX-License-Identifier: Apache-2.0
// The boundary: every failure of every command ends here, once, as text and as an exit status.
#include "karapace/cli/program.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <exception>
#include <string>

#include "command_line.hpp"
#include "context.hpp"
#include "error_report.hpp"
#include "exit_code.hpp"
#include "karapace/base/cancel.hpp"
#include "karapace/base/subprocess.hpp"
#include "output.hpp"
#include "store_trouble.hpp"
#include "terminal.hpp"
#include "usage.hpp"

namespace karapace::cli {

namespace {

/// How this call reports what goes wrong.
struct Manner {
  bool json = false;
  bool session = false;  // enter, exec: failures of ours end with 125
};

void print_version(bool json) {
  if (json) {
    print_json({{"name", "karapace"}, {"version", KARAPACE_VERSION}});
  } else {
    write_stdout("karapace " KARAPACE_VERSION "\n");
  }
}

void print_help(const Invocation& invocation) {
  const std::string text = invocation.command != nullptr ? command_help(*invocation.command) : program_help();
  if (invocation.json()) {
    print_json({{"help", text}});
  } else {
    write_stdout(text);
  }
}

int dispatch(const std::vector<std::string>& words, const Manner& manner) {
  // A session must find the signals as the caller left them; everything else is ours to end in order.
  if (!manner.session) ignore_broken_pipes();
  const Invocation invocation = parse_command_line(words);
  if (invocation.has("help") || invocation.has("version")) {
    ignore_broken_pipes();
    invocation.has("help") ? print_help(invocation) : print_version(invocation.json());
    return kSuccess;
  }
  if (invocation.command == nullptr) {
    if (manner.json) throw UsageError(nullptr, "which command?", "karapace --help lists them");
    write_stderr(program_help());
    return kBadInput;
  }
  apply_log_level(invocation);
  if (!manner.session) install_cancel_handlers();
  try {
    return invocation.command->run(invocation);
  } catch (const UsageError&) {
    throw;  // it has not come to a store
  } catch (Error& error) {
    explain_store_trouble(error, store_path(invocation));
    throw;
  }
}

void report(const Error& error, const Manner& manner) {
  if (manner.session) ignore_broken_pipes();
  if (manner.json) print_json(error_document(error));
  std::string text = error_text(error, wants_colour(Stream::Err));
  if (const auto* usage = dynamic_cast<const UsageError*>(&error)) {
    const CommandSpec* command = usage->command();
    text +=
        command != nullptr
            ? fmt::format("usage: {}\n'karapace {} --help' says more\n", synopsis(*command), command->name)
            : "usage: karapace [FLAGS] <command> [ARGUMENTS]\n'karapace --help' lists the commands\n";
  }
  write_stderr(text);
}

void report(const Cancelled& cancelled, const Manner& manner) {
  if (manner.json) {
    OrderedJson document;
    document["error"] = {{"code", "cancelled"},
                         {"message", cancelled.what()},
                         {"fix", ""},
                         {"signal", cancelled.signal_number()}};
    print_json(document);
  }
  write_stderr(fmt::format("karapace: {}\n", cancelled.what()));
}

int run_and_report(const std::vector<std::string>& words, Manner& manner) {
  try {
    ensure_standard_streams();
    ignore_file_size_signal();
    // Of the caller's umask only what it takes from others: without our own rights to what we make, a store
    // could not be used by anybody any more.
    ::umask(::umask(0) & 0077);
    manner = {.json = asks_for_json(words), .session = calls_a_program(words)};
    return dispatch(words, manner);
  } catch (const Cancelled& cancelled) {
    report(cancelled, manner);
    return exit_code(cancelled);
  } catch (const Error& error) {
    report(error, manner);
    return manner.session ? kSessionFailure : exit_code(error);
  } catch (const OutputClosed&) {
    throw;
  } catch (const std::exception& error) {
    // bad_alloc and the like: not foreseen, but still an answer and not a crash.
    report(Error(ErrorCode::Internal, error.what()), manner);
    return manner.session ? kSessionFailure : kFailure;
  }
}

}  // namespace

int run_program(const std::vector<std::string>& words) noexcept {
  Manner manner;
  try {
    return run_and_report(words, manner);
  } catch (const OutputClosed&) {
    return kSuccess;
  } catch (...) {
    // Reporting failed, too: standard output is full, or there is no memory.
    write_stderr("karapace: cannot write the result\n");
    return manner.session ? kSessionFailure : kFailure;
  }
}

}  // namespace karapace::cli
