// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/exchange.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "karapace/base/error.hpp"
#include "karapace/base/fault.hpp"
#include "karapace/base/text.hpp"

namespace karapace {

void exchange_at(FdRef a_dir, const std::string& a, FdRef b_dir, const std::string& b) {
  if (fault::injected("rename") ||
      ::renameat2(a_dir.get(), a.c_str(), b_dir.get(), b.c_str(), RENAME_EXCHANGE) != 0) {
    throw_errno(fmt::format("exchange \"{}\" and \"{}\"", printable(a), printable(b)));
  }
}

}  // namespace karapace
