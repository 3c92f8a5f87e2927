// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/error.hpp"

#include <fmt/format.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "karapace/base/text.hpp"

namespace karapace {
namespace {

/// What a user can do about an errno, where the number alone tells.
const char* fix_for_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOSPC:
      return "Make space on the disk and try again.";
    case EDQUOT:
      return "The disk quota is used up: delete something or have it raised.";
    case EROFS:
      return "The file system is mounted read-only: remount it for writing, or use another store (--store).";
    case EIO:
      return "The disk, or the network behind it, fails: see the kernel's messages (dmesg).";
    case EFBIG:
      return "Raise the limit on file sizes (ulimit -f unlimited) and try again.";
    case ENFILE:
    case EMFILE:
      return "Raise the limit of open files (ulimit -n 1024) and try again.";
    default:
      return "";
  }
}

/// The last line with something in it: programs tell the reason last.
std::string_view last_line(std::string_view text) noexcept {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  const auto start = text.rfind('\n');
  return start == std::string_view::npos ? text : text.substr(start + 1);
}

std::string describe_exit(std::string_view program, int status, std::string_view last_stderr) {
  std::string text = fmt::format("{} ended with status {}", printable(program), status);
  const char* signal_name = status > 128 ? sigabbrev_np(status - 128) : nullptr;
  if (signal_name != nullptr) text += fmt::format(" (SIG{})", signal_name);
  const std::string_view reason = last_line(last_stderr);
  if (!reason.empty()) text += fmt::format(": {}", printable(reason));
  return text;
}

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidInput:
      return "invalid_input";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::AlreadyExists:
      return "already_exists";
    case ErrorCode::Conflict:
      return "conflict";
    case ErrorCode::Busy:
      return "busy";
    case ErrorCode::PermissionDenied:
      return "permission_denied";
    case ErrorCode::Unsupported:
      return "unsupported";
    case ErrorCode::Corrupt:
      return "corrupt";
    case ErrorCode::NoSpace:
      return "no_space";
    case ErrorCode::Unavailable:
      return "unavailable";
    case ErrorCode::External:
      return "external";
    case ErrorCode::Internal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorCode code, std::string message, std::string fix)
    : code_(code), message_(std::move(message)), fix_(std::move(fix)) {}

void Error::add_context(std::string_view context) { message_.insert(0, fmt::format("{}: ", context)); }

SystemError::SystemError(int error_number, std::string_view what)
    : Error(code_for_errno(error_number), fmt::format("{}: {}", what, errno_text(error_number)),
            fix_for_errno(error_number)),
      error_number_(error_number) {}

CorruptError::CorruptError(std::string_view what, std::string expected, std::string found)
    : Error(ErrorCode::Corrupt,
            fmt::format("{} is corrupt: expected {}, found {}", what, printable(expected), printable(found))),
      expected_(std::move(expected)),
      found_(std::move(found)) {}

ProcessError::ProcessError(std::string_view program, int status, std::string last_stderr)
    : Error(ErrorCode::External, describe_exit(program, status, last_stderr)),
      status_(status),
      last_stderr_(std::move(last_stderr)) {}

std::string errno_text(int error_number) {
  // Both are plain tables: no locale, no shared buffer.
  const char* name = strerrorname_np(error_number);
  const char* text = strerrordesc_np(error_number);
  if (name == nullptr || text == nullptr) return fmt::format("unknown error ({})", error_number);
  return fmt::format("{} ({})", text, name);
}

ErrorCode code_for_errno(int error_number) noexcept {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
    case ENODATA:
      return ErrorCode::NotFound;
    case EEXIST:
      return ErrorCode::AlreadyExists;
    case ENOTEMPTY:
      return ErrorCode::Conflict;
    case EBUSY:
    case ETXTBSY:
    case EAGAIN:
      return ErrorCode::Busy;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::PermissionDenied;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::NoSpace;
    case EIO:
    case EUCLEAN:
    case EBADMSG:
    case ESTALE:
      return ErrorCode::Corrupt;
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case EILSEQ:
    case ENOEXEC:
    case E2BIG:
      return ErrorCode::InvalidInput;
    case ENOSYS:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case ENOLCK:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EFBIG:
    case EUSERS:
    case EMLINK:
      return ErrorCode::Unsupported;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
    case EPIPE:
      return ErrorCode::Unavailable;
    default:
      return ErrorCode::Internal;
  }
}

void throw_errno(std::string_view what) {
  const int error_number = errno;
  throw SystemError(error_number, what);
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  // No allocation: the heap may be what is broken.
  char buffer[512];
  const auto end = fmt::format_to_n(buffer, sizeof buffer - 1, "karapace: bug: {}:{}: {} does not hold\n",
                                    file, line, expression);
  if (::write(STDERR_FILENO, buffer, static_cast<std::size_t>(end.out - buffer)) < 0) std::abort();
  std::abort();
}

bool is_shortage(const Error& error) noexcept {
  const auto* system = dynamic_cast<const SystemError*>(&error);
  if (system == nullptr) return false;
  const int number = system->error_number();
  return number == EMFILE || number == ENFILE || number == ENOMEM;
}

}  // namespace karapace
