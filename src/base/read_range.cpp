// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/read_range.hpp"

#include <unistd.h>

#include <cerrno>

#include "karapace/base/error.hpp"

namespace karapace {

std::string read_range(FdRef fd, std::uint64_t offset, std::size_t size) {
  std::string content(size, '\0');
  std::size_t used = 0;
  while (used < size) {
    const ssize_t got =
        ::pread(fd.get(), content.data() + used, size - used, static_cast<off_t>(offset + used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno("read");
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  content.resize(used);
  return content;
}

}  // namespace karapace
