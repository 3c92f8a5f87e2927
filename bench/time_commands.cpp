// SPDX-License-Identifier: Apache-2.0
// Times whole commands in turn, A B C A B C ..., so that a drift of the machine hits all alike, and prints
// medians, ratios, and the memory of the largest process of each command.
//
//   time_commands [--runs N] [--warmup N] [--first N] [--record FILE --title TEXT]
//                 [--prepare NAME=COMMAND ...] NAME=COMMAND ...
//
// COMMAND is split at blanks; no shell. "%r" in it is the number of the round, which begins at --first
// (default 1) and goes up with each round, warm-up rounds too. What --prepare gives runs before each run of
// NAME, in the order given, and is not timed. The first command is what the others are compared with. The
// output of the commands is dropped; a status other than 0 ends the run with what the command wrote as its
// errors.
// --record appends a line per command: title, name, median, min and max in milliseconds, KiB, divided by
// tabs.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace {

using Words = std::vector<std::string>;

struct Subject {
  std::string name;
  Words words;
  std::vector<Words> prepare;
  std::vector<double> milliseconds;
  long peak_kib = 0;
};

struct Options {
  int runs = 21;
  int warmup = 3;
  int first = 1;
  std::string record;
  std::string title;
  std::vector<Subject> subjects;
};

struct Measured {
  double milliseconds = 0;
  long peak_kib = 0;
};

Words split(std::string_view text) {
  Words words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Words with_round(const Words& words, int round) {
  Words filled = words;
  for (std::string& word : filled)
    for (auto at = word.find("%r"); at != std::string::npos; at = word.find("%r", at))
      word.replace(at, 2, std::to_string(round));
  return filled;
}

/// Standard input and output are /dev/null; errors go to a file in memory, to be shown if the command fails.
class Runner {
 public:
  Runner() : errors_(::memfd_create("errors", MFD_CLOEXEC)) {
    posix_spawn_file_actions_init(&actions_);
    for (int fd = 0; fd < 2; ++fd) posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions_, errors_, 2);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() {
    posix_spawn_file_actions_destroy(&actions_);
    ::close(errors_);
  }

  Measured run(const std::string& name, const Words& words) {
    std::vector<char*> arguments;
    for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    if (::ftruncate(errors_, 0) != 0 || ::lseek(errors_, 0, SEEK_SET) != 0) fail(name, words, errno, 0);
    const auto begin = std::chrono::steady_clock::now();
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, arguments[0], &actions_, nullptr, arguments.data(), environ);
    int status = 0;
    struct rusage usage = {};
    if (error != 0 || ::wait4(pid, &status, 0, &usage) != pid || status != 0)
      fail(name, words, error, status);
    const auto taken = std::chrono::steady_clock::now() - begin;
    // Of the command and every process that was waited for below it, the largest.
    return {std::chrono::duration<double, std::milli>(taken).count(), usage.ru_maxrss};
  }

 private:
  [[noreturn]] void fail(const std::string& name, const Words& words, int error, int status) const {
    std::fprintf(stderr, "%s: cannot run, or status is not 0 (%s, wait status %d):", name.c_str(),
                 std::strerror(error), status);
    for (const auto& word : words) std::fprintf(stderr, " %s", word.c_str());
    std::fputc('\n', stderr);
    std::array<char, 4096> buffer = {};
    const ssize_t size = ::pread(errors_, buffer.data(), buffer.size(), 0);
    if (size > 0) std::fwrite(buffer.data(), 1, static_cast<std::size_t>(size), stderr);
    std::exit(1);
  }

  int errors_;
  posix_spawn_file_actions_t actions_ = {};
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int number(std::string_view text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool add_prepare(Options& options, std::string_view argument) {
  const auto equals = std::min(argument.find('='), argument.size());
  for (Subject& subject : options.subjects) {
    if (subject.name != argument.substr(0, equals) || equals == argument.size()) continue;
    subject.prepare.push_back(split(argument.substr(equals + 1)));
    return true;
  }
  std::fprintf(stderr, "--prepare %.*s: no such command\n", static_cast<int>(argument.size()),
               argument.data());
  return false;
}

bool parse(int argc, char** argv, Options& options) {
  std::vector<std::string_view> prepares;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    const bool is_option = argument.starts_with("--");
    if (is_option && i + 1 == argc) return false;
    if (argument == "--runs") {
      options.runs = number(argv[++i]);
    } else if (argument == "--warmup") {
      options.warmup = number(argv[++i]);
    } else if (argument == "--first") {
      options.first = number(argv[++i]);
    } else if (argument == "--record") {
      options.record = argv[++i];
    } else if (argument == "--title") {
      options.title = argv[++i];
    } else if (argument == "--prepare") {
      prepares.emplace_back(argv[++i]);
    } else if (const auto equals = argument.find('='); !is_option && equals != std::string_view::npos) {
      options.subjects.push_back(
          {std::string(argument.substr(0, equals)), split(argument.substr(equals + 1)), {}, {}, 0});
      if (options.subjects.back().words.empty()) return false;
    } else {
      return false;
    }
  }
  if (!std::ranges::all_of(prepares, [&](std::string_view text) { return add_prepare(options, text); }))
    return false;
  return !options.subjects.empty() && options.runs >= 1 && options.warmup >= 0;
}

void measure(Options& options) {
  Runner runner;
  for (int round = 0; round < options.warmup + options.runs; ++round) {
    for (Subject& subject : options.subjects) {
      const int shown = options.first + round;
      for (const Words& words : subject.prepare)
        runner.run(subject.name + " (prepare)", with_round(words, shown));
      const Measured measured = runner.run(subject.name, with_round(subject.words, shown));
      if (round < options.warmup) continue;
      subject.milliseconds.push_back(measured.milliseconds);
      subject.peak_kib = std::max(subject.peak_kib, measured.peak_kib);
    }
  }
}

bool print(const Options& options) {
  const double reference = median(options.subjects[0].milliseconds);
  FILE* record = options.record.empty() ? nullptr : std::fopen(options.record.c_str(), "ae");
  if (!options.record.empty() && record == nullptr) {
    std::fprintf(stderr, "cannot write %s: %s\n", options.record.c_str(), std::strerror(errno));
    return false;
  }
  std::printf("%-28s %10s %10s %10s %8s %9s\n", "command", "median ms", "min ms", "max ms", "ratio",
              "peak MiB");
  for (const Subject& subject : options.subjects) {
    const auto [low, high] = std::ranges::minmax(subject.milliseconds);
    const double middle = median(subject.milliseconds);
    std::printf("%-28s %10.2f %10.2f %10.2f %8.2f %9.1f\n", subject.name.c_str(), middle, low, high,
                middle / reference, static_cast<double>(subject.peak_kib) / 1024);
    if (record == nullptr) continue;
    std::fprintf(record, "%s\t%s\t%.3f\t%.3f\t%.3f\t%ld\n", options.title.c_str(), subject.name.c_str(),
                 middle, low, high, subject.peak_kib);
  }
  return record == nullptr || std::fclose(record) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: time_commands [--runs N] [--warmup N] [--first N] [--record FILE --title TEXT]\n"
                 "                     [--prepare NAME=COMMAND ...] NAME=COMMAND ...\n");
    return 2;
  }
  measure(options);
  return print(options) ? 0 : 1;
}
