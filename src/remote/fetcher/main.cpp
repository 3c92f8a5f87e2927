// SPDX-License-Identifier: Apache-2.0
// karapace-fetch: downloads what its standard input lists into the directory on descriptor 3. Only fetch_all
// of the remote library starts it; what they say to each other is in fetch_protocol.hpp.
#include <curl/curl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "fetch_protocol.hpp"
#include "fetcher/scheduler.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"

namespace karapace::fetcher {

namespace {

constexpr std::size_t kMaxRequestBytes = std::size_t{512} * 1024 * 1024;
constexpr int kStoppedStatus = 128 + SIGTERM;

/// Readable on SIGTERM, SIGINT or SIGHUP. A broken pipe is an error of write(2).
UniqueFd stop_signals() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGPIPE, &ignore, nullptr) != 0) throw_errno("sigaction");
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) throw_errno("sigprocmask");
  UniqueFd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw_errno("signalfd");
  return fd;
}

class CurlLibrary {
 public:
  CurlLibrary() {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      throw Error(ErrorCode::External, "libcurl does not start");
  }
  CurlLibrary(const CurlLibrary&) = delete;
  CurlLibrary& operator=(const CurlLibrary&) = delete;
  ~CurlLibrary() { curl_global_cleanup(); }
};

int run() {
  const UniqueFd stop = stop_signals();
  const CurlLibrary library;
  const auto request =
      remote::protocol::parse_request(read_all(FdRef::from_raw(STDIN_FILENO), kMaxRequestBytes));
  Scheduler scheduler(request, FdRef::from_raw(remote::protocol::kDownloadsFd),
                      FdRef::from_raw(remote::protocol::kPackagesFd), stop, FdRef::from_raw(STDOUT_FILENO));
  return scheduler.run() == Scheduler::End::Finished ? 0 : kStoppedStatus;
}

}  // namespace

}  // namespace karapace::fetcher

int main(int argument_count, char** /*arguments*/) {
  try {
    if (argument_count > 1 || ::isatty(STDIN_FILENO) == 1) {
      std::fputs("karapace-fetch is started by karapace; there is nothing to start by hand.\n", stderr);
      return 2;
    }
    return karapace::fetcher::run();
  } catch (const std::exception& error) {
    karapace::log::write(karapace::log::Level::Error, error.what());
    return 1;
  }
}
