// SPDX-License-Identifier: Apache-2.0
#include "exit_code.hpp"

#include <csignal>

#include "karapace/store/layout.hpp"

namespace karapace::cli {

int exit_code(ErrorCode code) noexcept {
  // No default: a new code must be given its status here before this compiles.
  switch (code) {
    case ErrorCode::InvalidInput:
      return kBadInput;
    case ErrorCode::Corrupt:
      return kBadStore;
    case ErrorCode::NotFound:
    case ErrorCode::AlreadyExists:
    case ErrorCode::Conflict:
    case ErrorCode::Busy:
    case ErrorCode::PermissionDenied:
    case ErrorCode::Unsupported:
    case ErrorCode::NoSpace:
    case ErrorCode::Unavailable:
    case ErrorCode::External:
    case ErrorCode::Internal:
      return kFailure;
  }
  return kFailure;
}

int exit_code(const Error& error) noexcept {
  return dynamic_cast<const store::FormatError*>(&error) != nullptr ? kBadStore : exit_code(error.code());
}

int exit_code(const Cancelled& cancelled) noexcept {
  return 128 + (cancelled.signal_number() > 0 ? cancelled.signal_number() : SIGINT);
}

}  // namespace karapace::cli
