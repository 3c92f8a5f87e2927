// SPDX-License-Identifier: Apache-2.0
// How fast we hash, beside the b3sum program on one thread, with the same bytes in the same run.
//   base_hash_bench [MiB [rounds]]
// The contenders take turns within each round, so that a busy moment of the machine hits all of them; the
// medians are printed. The file is in the page cache: this measures hashing and reading, not the disk.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "karapace/base/clock.hpp"
#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/base/subprocess.hpp"

namespace {

using karapace::Digest;

struct Contender {
  std::string name;
  std::function<Digest()> hash;
  std::vector<double> seconds;
};

/// Bytes that no shortcut for zeros or repetitions could speed up.
std::string make_data(std::size_t size) {
  std::string data(size, '\0');
  std::uint64_t state = 0x9E3779B97F4A7C15U;
  for (char& byte : data) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(state >> 56U);
  }
  return data;
}

/// A file that is gone when the program ends.
class DataFile {
 public:
  explicit DataFile(const std::string& data) {
    const char* base = std::getenv("TMPDIR");
    path_ =
        fmt::format("{}/karapace-hash-bench-{}", base != nullptr ? base : "/tmp", karapace::random_hex(8));
    karapace::UniqueFd file = karapace::open_path(path_, O_WRONLY | O_CREAT | O_EXCL, 0600);
    karapace::write_all(file, data);
    file.close();
  }
  DataFile(const DataFile&) = delete;
  DataFile& operator=(const DataFile&) = delete;
  ~DataFile() { std::remove(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Digest run_b3sum(const std::vector<std::string>& options, const std::string& path) {
  karapace::Command command;
  command.program = "b3sum";
  command.arguments = options;
  command.arguments.insert(command.arguments.end(), {"--num-threads", "1", "--no-names", path});
  const std::string out = karapace::run_checked(command).out;
  return Digest::parse(std::string_view(out).substr(0, out.find('\n')));
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void run_rounds(std::vector<Contender>& contenders, int rounds, const Digest& expected) {
  // Round -1 warms caches up and is not counted.
  for (int round = -1; round < rounds; ++round) {
    for (Contender& contender : contenders) {
      const auto start = std::chrono::steady_clock::now();
      const Digest digest = contender.hash();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (digest != expected)
        throw karapace::CorruptError(contender.name + "'s digest", expected.hex(), digest.hex());
      if (round >= 0) contender.seconds.push_back(taken.count());
    }
  }
}

void print(const std::vector<Contender>& contenders, double gigabytes) {
  const double peer = median(contenders.back().seconds);
  for (const Contender& contender : contenders) {
    const double seconds = median(contender.seconds);
    fmt::print("{:<24} {:6.2f} GB/s   {:5.2f} x b3sum\n", contender.name, gigabytes / seconds,
               peer / seconds);
  }
}

int run(int argc, char** argv) {
  const unsigned long mebibytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 256;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 20;
  if (mebibytes == 0 || mebibytes > 16384 || rounds < 1) {
    fmt::print(stderr, "usage: base_hash_bench [MiB [rounds]]\n");
    return 1;
  }
  const std::string data = make_data(mebibytes << 20U);
  const DataFile file(data);
  const karapace::UniqueFd fd = karapace::open_path(file.path(), O_RDONLY);
  std::vector<Contender> contenders;
  contenders.push_back({"Hasher, in memory", [&] { return karapace::hash_bytes(data); }, {}});
  contenders.push_back({"hash_file", [&] { return karapace::hash_file(fd); }, {}});
  contenders.push_back({"b3sum, read", [&] { return run_b3sum({"--no-mmap"}, file.path()); }, {}});
  contenders.push_back({"b3sum, mapped", [&] { return run_b3sum({}, file.path()); }, {}});
  fmt::print("{} MiB, one thread, median of {} rounds\n", mebibytes, rounds);
  run_rounds(contenders, rounds, karapace::hash_bytes(data));
  print(contenders, static_cast<double>(data.size()) / 1e9);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "base_hash_bench: {}\n", error.what());
    return 1;
  }
}
