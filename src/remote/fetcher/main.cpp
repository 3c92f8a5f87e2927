// SPDX-License-Identifier: Apache-2.0
// karapace-fetch: downloads what its standard input lists into the directory on descriptor 3, or answers
// questions
// (--ask). Only the remote library starts it; what they say to each other is in fetch_protocol.hpp.
#include <curl/curl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string_view>

#include "fetch_protocol.hpp"
#include "fetcher/asker.hpp"
#include "fetcher/scheduler.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/log.hpp"
#include "karapace/base/subprocess.hpp"

namespace karapace::fetcher {

namespace {

constexpr std::size_t kMaxRequestBytes = std::size_t{512} * 1024 * 1024;
constexpr int kStoppedStatus = 128 + SIGTERM;

/// A broken pipe is an error of write(2).
void ignore_broken_pipes() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGPIPE, &ignore, nullptr) != 0) throw_errno("sigaction");
}

/// Readable on SIGTERM, SIGINT or SIGHUP.
UniqueFd stop_signals() {
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
  ignore_broken_pipes();
  const UniqueFd stop = stop_signals();
  const CurlLibrary library;
  const auto request =
      remote::protocol::parse_request(read_all(FdRef::from_raw(STDIN_FILENO), kMaxRequestBytes));
  Scheduler scheduler(request, FdRef::from_raw(remote::protocol::kDownloadsFd),
                      FdRef::from_raw(remote::protocol::kPackagesFd), stop, FdRef::from_raw(STDOUT_FILENO));
  return scheduler.run() == Scheduler::End::Finished ? 0 : kStoppedStatus;
}

/// Keeps nothing that a signal could damage, so signals may end it.
int answer_questions() {
  ignore_broken_pipes();
  const CurlLibrary library;
  Asker::run(FdRef::from_raw(STDIN_FILENO), FdRef::from_raw(STDOUT_FILENO));
  return 0;
}

}  // namespace

}  // namespace karapace::fetcher

int main(int argument_count, char** arguments) {
  try {
    karapace::ignore_file_size_signal();
    if (argument_count == 2 && std::string_view(arguments[1]) == karapace::remote::protocol::kAskArgument)
      return karapace::fetcher::answer_questions();
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
