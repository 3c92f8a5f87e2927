// SPDX-License-Identifier: Apache-2.0
// Times whole commands in turn, A B C A B C ..., so that a drift of the machine hits all alike, and prints
// medians and ratios.
//
//   time_commands [--runs N] [--warmup N] name=COMMAND [name=COMMAND ...]
//
// COMMAND is split at blanks; no shell. The first one is what the others are compared with. Output of the
// commands is dropped, a status other than 0 ends the run.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace {

struct Subject {
  std::string name;
  std::vector<std::string> words;
  std::vector<double> milliseconds;
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

double run_once(const Subject& subject, const posix_spawn_file_actions_t& actions) {
  std::vector<char*> arguments;
  for (const auto& word : subject.words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  int status = 0;
  if (error != 0 || ::waitpid(pid, &status, 0) != pid || status != 0) {
    std::fprintf(stderr, "%s: cannot run, or status is not 0 (%s, wait status %d)\n", subject.name.c_str(),
                 std::strerror(error), status);
    std::exit(1);
  }
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int runs = 21;
  int warmup = 3;
  std::vector<Subject> subjects;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (argument == "--runs" && i + 1 < argc) {
      runs = std::atoi(argv[++i]);
    } else if (argument == "--warmup" && i + 1 < argc) {
      warmup = std::atoi(argv[++i]);
    } else if (const auto equals = argument.find('='); equals != std::string_view::npos) {
      subjects.push_back({std::string(argument.substr(0, equals)), split(argument.substr(equals + 1)), {}});
    }
  }
  if (subjects.empty() || runs < 1) {
    std::fprintf(stderr, "usage: time_commands [--runs N] [--warmup N] name=COMMAND ...\n");
    return 2;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 2; ++fd) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  for (int round = -warmup; round < runs; ++round) {
    for (auto& subject : subjects) {
      const double time = run_once(subject, actions);
      if (round >= 0) subject.milliseconds.push_back(time);
    }
  }
  const double reference = median(subjects[0].milliseconds);
  std::printf("%-28s %10s %10s %10s %8s\n", "command", "median ms", "min ms", "max ms", "ratio");
  for (const auto& subject : subjects) {
    const auto [low, high] = std::ranges::minmax(subject.milliseconds);
    const double middle = median(subject.milliseconds);
    std::printf("%-28s %10.2f %10.2f %10.2f %8.2f\n", subject.name.c_str(), middle, low, high,
                middle / reference);
  }
  posix_spawn_file_actions_destroy(&actions);
  return 0;
}
