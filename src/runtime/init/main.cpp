// SPDX-License-Identifier: Apache-2.0
// karapace-init carries out a LaunchPlan, which it gets as descriptor 3. Three processes run this program:
//   the supervisor stays outside, in the place of the command the user typed;
//   the holder is the first process of the environment's namespaces;
//   the session process becomes the user's program.
// It executes itself under the names of the latter two only where its file must be seen from a read-only
// mount.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "holder.hpp"
#include "karapace/base/error.hpp"
#include "karapace/runtime/plan/launch_plan.hpp"
#include "kernel.hpp"
#include "session_process.hpp"
#include "supervisor.hpp"

namespace {

using karapace::Error;
using karapace::ErrorCode;
using karapace::UniqueFd;

constexpr int kPlanFd = 3;
constexpr off_t kMaxPlanBytes = 64 * 1024 * 1024;

karapace::runtime::LaunchPlan read_plan() {
  struct stat info {};
  if (::fstat(kPlanFd, &info) != 0 || !S_ISREG(info.st_mode))
    throw Error(ErrorCode::InvalidInput, "karapace-init has no plan",
                "It is started by karapace and not by hand.");
  if (info.st_size > kMaxPlanBytes)
    throw Error(ErrorCode::InvalidInput, "the launch plan is larger than 64 MiB");
  std::string bytes(static_cast<std::size_t>(info.st_size), '\0');
  const ssize_t count = ::pread(kPlanFd, bytes.data(), bytes.size(), 0);
  if (count < 0) karapace::throw_errno("read the launch plan");
  bytes.resize(static_cast<std::size_t>(count));
  return karapace::runtime::decode_plan(bytes);
}

int number_argument(int argc, char** argv, int index) {
  const std::string_view text = index < argc ? argv[index] : "";
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    throw Error(ErrorCode::InvalidInput, "karapace-init is started by karapace and not by hand");
  return number;
}

int run(int argc, char** argv) {
  using namespace karapace::init;
  const std::string_view name = argc > 0 ? argv[0] : "";
  if (name == kHolderName) continue_holder(read_plan(), UniqueFd(number_argument(argc, argv, 1)));
  if (name == kSessionName) {
    check(::prctl(PR_SET_DUMPABLE, 0), "become undumpable");
    const SessionFiles files{.supervisor = number_argument(argc, argv, 1),
                             .terminal = number_argument(argc, argv, 2),
                             .nested_user = number_argument(argc, argv, 3)};
    return run_session_process(read_plan(), files);
  }
  return supervise(read_plan());
}

}  // namespace

int main(int argc, char** argv) {
  int status = karapace::init::kOwnFailure;
  try {
    status = run(argc, argv);
  } catch (const Error& error) {
    karapace::init::complain(error.message(), error.fix());
  } catch (const std::exception& error) {
    karapace::init::complain(error.what());
  }
  // Nothing is buffered, and nobody needs the memory back.
  ::_exit(status);
}
