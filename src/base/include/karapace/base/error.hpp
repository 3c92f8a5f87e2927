// SPDX-License-Identifier: Apache-2.0
// Failures: one exception type with a closed set of codes, a message, the fix if there is one, and
// context that callers add on the way up. Boundaries (main, server, D-Bus) catch once and map the code.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace karapace {

enum class ErrorCode {
  InvalidInput,  // what the user gave us is wrong: manifest, lock, argument, a declared download
  NotFound,
  AlreadyExists,
  Conflict,  // the state does not allow it now
  Busy,      // somebody else holds what we need
  PermissionDenied,
  Unsupported,  // the kernel or the host lacks something
  Corrupt,      // stored bytes are not what was written
  NoSpace,      // ENOSPC, EDQUOT
  Unavailable,  // network or server
  External,     // a program we ran failed
  Internal,     // our bug, noticed before it did harm
};

/// Stable lower-case name for JSON and logs: "invalid_input", "not_found", ...
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// A failed operation. what() is "outer context: inner context: message".
class Error : public std::exception {
 public:
  /// `fix` tells the user what to do about it, as one sentence; empty if there is nothing to say.
  Error(ErrorCode code, std::string message, std::string fix = {});

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::string& fix() const noexcept { return fix_; }

  /// Puts "context: " in front of the message. For use in with_context.
  void add_context(std::string_view context);
  void set_fix(std::string fix) { fix_ = std::move(fix); }

 private:
  ErrorCode code_;
  std::string message_;
  std::string fix_;
};

/// A failed system call. The message ends with the text of the errno.
class SystemError : public Error {
 public:
  SystemError(int error_number, std::string_view what);
  [[nodiscard]] int error_number() const noexcept { return error_number_; }

 private:
  int error_number_;
};

/// The machine lacks something for the moment (descriptors, memory): says nothing about what was looked at.
[[nodiscard]] bool is_shortage(const Error& error) noexcept;

/// Stored bytes do not match their name or checksum.
class CorruptError : public Error {
 public:
  CorruptError(std::string_view what, std::string expected, std::string found);
  [[nodiscard]] const std::string& expected() const noexcept { return expected_; }
  [[nodiscard]] const std::string& found() const noexcept { return found_; }

 private:
  std::string expected_;
  std::string found_;
};

/// A program we ran failed. `last_stderr` is the end of what it said, bounded.
class ProcessError : public Error {
 public:
  ProcessError(std::string_view program, int status, std::string last_stderr);
  /// Exit status, or 128 + signal number.
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::string& last_stderr() const noexcept { return last_stderr_; }

 private:
  int status_;
  std::string last_stderr_;
};

/// The user asked to stop. Not an Error, so that `catch (const Error&)` lets it through.
class Cancelled : public std::exception {
 public:
  explicit Cancelled(int signal_number = 0) : signal_number_(signal_number) {}
  [[nodiscard]] const char* what() const noexcept override { return "cancelled"; }
  [[nodiscard]] int signal_number() const noexcept { return signal_number_; }

 private:
  int signal_number_;
};

/// "No such file or directory (ENOENT)". Safe beside threads.
[[nodiscard]] std::string errno_text(int error_number);
[[nodiscard]] ErrorCode code_for_errno(int error_number) noexcept;

/// Throws SystemError for the current errno, which is read before anything else happens.
[[noreturn]] void throw_errno(std::string_view what);

/// Runs `body`; an Error that leaves it gets context() in front of its message.
template <typename Context, typename Body>
decltype(auto) with_context(Context&& context, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(context());
    throw;
  }
}

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace karapace

/// A bug in Karapace, never input, disk, network or kernel. On in every build: prints and aborts.
#define KARAPACE_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::karapace::assertion_failed(#expression, __FILE__, __LINE__))
