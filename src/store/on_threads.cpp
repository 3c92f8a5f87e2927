// SPDX-License-Identifier: Apache-2.0
#include "on_threads.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "karapace/base/fault.hpp"

namespace karapace::store {

void for_each_index(std::size_t count, unsigned threads,
                    const std::function<void(std::size_t index, bool reports)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // protects what follows
  std::exception_ptr failure;
  const auto run = [&](bool reports) noexcept {
    try {
      for (std::size_t index = next++; index < count; index = next++) work(index, reports);
    } catch (...) {
      const std::lock_guard guard(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> helpers;
    try {
      for (unsigned i = 1; i < threads && i < count && !fault::in_lab(); ++i)
        helpers.emplace_back([&run] { run(false); });
    } catch (const std::system_error&) {
      // No more threads: those that are there do it.
    }
    run(true);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace karapace::store
