// SPDX-License-Identifier: Apache-2.0
#include "output.hpp"

#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"

namespace karapace::cli {

void write_stdout(std::string_view text) {
  try {
    write_all(FdRef::from_raw(STDOUT_FILENO), text);
  } catch (SystemError& error) {
    if (error.error_number() == EPIPE) throw OutputClosed();
    error.add_context("standard output");
    if (error.code() == ErrorCode::NoSpace) error.set_fix("Make space where the output goes.");
    throw;
  }
}

void print_json(const OrderedJson& document) { write_stdout(pretty_json(document) + "\n"); }

}  // namespace karapace::cli
