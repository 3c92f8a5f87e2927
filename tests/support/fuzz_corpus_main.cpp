// SPDX-License-Identifier: Apache-2.0
// Stands in for libFuzzer's main where there is none: runs the fuzz target once over each file of the
// directories given, so that every past finding is an ordinary test with every compiler.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> corpus_files(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream.is_open() || stream.bad()) throw std::runtime_error("cannot read " + path.string());
  return bytes;
}

std::size_t run_directory(const std::filesystem::path& directory) {
  std::size_t count = 0;
  for (const std::filesystem::path& path : corpus_files(directory)) {
    // Before the input runs: if it ends the process, this line names it.
    std::fprintf(stderr, "running %s\n", path.c_str());
    // Copied to the heap in its exact size, so that a sanitizer sees a read past its end.
    const std::vector<std::uint8_t> bytes = read_file(path);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    ++count;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) count += run_directory(argv[i]);
    if (count == 0) {
      std::fprintf(stderr, "no corpus: nothing was tested\n");
      return 1;
    }
    std::fprintf(stderr, "%zu inputs\n", count);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
