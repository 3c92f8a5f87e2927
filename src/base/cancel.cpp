// SPDX-License-Identifier: Apache-2.0
#include "karapace/base/cancel.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "karapace/base/error.hpp"

namespace karapace {
namespace {

static_assert(std::atomic<int>::is_always_lock_free && std::atomic<CancelToken*>::is_always_lock_free,
              "the signal handler may not wait for a lock");

// Set before the handlers are, so that they never run the initialisation of a static.
std::atomic<CancelToken*> g_token{nullptr};

extern "C" void on_cancel_signal(int signal_number) noexcept {
  CancelToken* token = g_token.load(std::memory_order_relaxed);
  if (token->requested()) ::_exit(128 + signal_number);
  token->request(signal_number);
}

}  // namespace

CancelToken::CancelToken() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw_errno("eventfd");
}

CancelToken& CancelToken::process() {
  // Never destroyed: a signal may come while the process ends.
  static CancelToken* const token = new CancelToken;
  return *token;
}

bool CancelToken::requested() const noexcept { return signal_.load(std::memory_order_acquire) != 0; }

int CancelToken::signal_number() const noexcept { return signal_.load(std::memory_order_acquire); }

void CancelToken::check() const {
  if (const int number = signal_number(); number != 0) throw Cancelled(number);
}

FdRef CancelToken::poll_fd() const noexcept { return event_; }

void CancelToken::request(int signal_number) noexcept {
  int none = 0;
  if (!signal_.compare_exchange_strong(none, signal_number, std::memory_order_acq_rel)) return;
  const int saved = errno;
  const std::uint64_t one = 1;
  // Cannot fail: 8 bytes, and the counter is far from its end.
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
  errno = saved;
}

void CancelToken::reset() noexcept {
  std::uint64_t ignored = 0;
  [[maybe_unused]] const ssize_t got = ::read(event_.get(), &ignored, sizeof ignored);
  signal_.store(0, std::memory_order_release);
}

void install_cancel_handlers() {
  g_token.store(&CancelToken::process(), std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = on_cancel_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(signal_number, nullptr, &before) != 0) throw_errno("sigaction");
    if (before.sa_handler == SIG_IGN) continue;
    if (::sigaction(signal_number, &action, nullptr) != 0) throw_errno("sigaction");
  }
}

}  // namespace karapace
