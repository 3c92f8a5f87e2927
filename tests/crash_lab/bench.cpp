// SPDX-License-Identifier: Apache-2.0
#include "bench.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "karapace/base/error.hpp"

namespace karapace::lab {
namespace {

namespace fs = std::filesystem;

void check(int result, const std::string& what) {
  if (result != 0) throw_errno(what);
}

/// Thousands of small stores: in memory where there is one, because it is not the disk that is tested.
std::string scratch_directory() {
  const char* chosen = std::getenv("TMPDIR");
  const std::string parent = chosen != nullptr ? chosen : fs::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
  std::string pattern = parent + "/karapace-lab-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw_errno("make a directory in " + parent);
  return pattern;
}

void put(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  fs::remove_all(path);  // as an overlay does: never into the file that is there
  std::ofstream(path, std::ios::binary) << content;
}

/// One change such as programs make them, at a name that later ones may meet again.
void write_one(const std::string& upper, Random& random) {
  const std::string directory = random.pick(std::vector<std::string>{"", "", "a/", "a/deep/er/", "b/"});
  const std::string path = upper + "/" + directory + fmt::format("f{}", random.below(12));
  const std::string text = fmt::format("text {}\n", random.below(5));
  switch (random.below(12)) {
    case 0:
      put(path, text);
      check(::chmod(path.c_str(), 04711), "chmod");
      break;
    case 1:
      put(path, text);
      check(::setxattr(path.c_str(), "user.lab", text.data(), text.size(), 0), "setxattr");
      break;
    case 2:
      put(path, text);
      fs::remove_all(path + "-twin");
      fs::create_hard_link(path, path + "-twin");
      break;
    case 3:
      put(path, "");
      break;
    case 4:
      put(path, "");
      fs::remove(path);
      fs::create_symlink(text, path);
      break;
    case 5:
      put(path, "");
      fs::remove(path);
      check(::mkfifo(path.c_str(), 0640), "mkfifo");
      break;
    case 6:  // what an overlay leaves where a file was deleted
      put(path, "");
      fs::remove(path);
      check(::mknod(path.c_str(), S_IFCHR, 0), "mknod");
      break;
    case 7:
      put(path + ".d/inside", text);
      check(::setxattr((path + ".d").c_str(), "user.overlay.opaque", "y", 1, 0), "setxattr");
      break;
    case 8:
      put(fmt::format("{} \xff\n{}", path, random.below(3)), text);
      break;
    case 9:
      put(path, std::string(70'000, 'x') + text);
      fs::permissions(path, fs::perms(0400));
      break;
    case 10:
      put(path, text);
      fs::resize_file(path, 300'000);
      break;
    default:
      put(path, text);
  }
}

/// The time of day is none of the seed's.
void set_times(const std::string& upper, Random& random) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(upper)) paths.push_back(entry.path());
  std::ranges::sort(paths);
  for (const std::string& path : paths) {
    const timespec time{static_cast<time_t>(random.below(2'000'000'000)),
                        static_cast<long>(random.below(1'000'000'000))};
    const timespec times[] = {time, time};
    check(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), "utimensat");
  }
}

}  // namespace

Bench::Bench(const std::string& place)
    : base_(scratch_directory()), root_((place.empty() ? base_ : place) + "/root") {
  clear();
}

Bench::~Bench() {
  try {
    remove_all(base_);
  } catch (const Error&) {
    // It is in a directory for what may go.
  }
}

void Bench::clear() {
  remove_all(root_);
  fs::create_directories(project());
  fs::create_directories(root_ + "/out");
}

void Bench::bring_back(const Image& image) {
  remove_all(root_);
  write_out(image, root_);
}

std::vector<std::pair<std::string, std::string>> Bench::environment() const {
  return {{"PATH", "/usr/bin:/bin:/usr/sbin:/sbin"},
          {"HOME", root_},
          {"LANG", "C.UTF-8"},
          {"KARAPACE_STORE", store()}};
}

RunResult Bench::run(const std::vector<std::string>& words) const {
  const UniqueFd out = anonymous_file();
  const UniqueFd err = anonymous_file();
  ChildProcess process = spawn({.program = karapace_program(),
                                .arguments = words,
                                .environment = environment(),
                                .fds = {{out, STDOUT_FILENO}, {err, STDERR_FILENO}},
                                .working_directory = project()});
  const std::optional<int> status = wait_patiently(process);
  return {status.value_or(-1), content_of(out), status ? content_of(err) : "it did not end in half a minute"};
}

RunResult Bench::run_ok(const std::vector<std::string>& words) const {
  RunResult result = run(words);
  if (result.status == 0) return result;
  throw Error(ErrorCode::External,
              fmt::format("karapace {} ended with {}: {}", fmt::join(words, " "), result.status, result.err));
}

Json Bench::run_json(std::vector<std::string> words) const {
  words.insert(words.begin(), "--json");
  return parse_json(run_ok(words).out, "standard output");
}

std::unique_ptr<ProcessTree> Bench::run_in_lab(const std::vector<std::string>& words,
                                               std::string_view socket) const {
  return std::make_unique<ProcessTree>(fmt::format("{}/{}.socket", base_, socket), words, project(),
                                       environment());
}

void Bench::write(const std::string& path, std::string_view content) const {
  put(root_ + "/" + path, content);
}

void Bench::write_manifest(std::string_view packages, const std::string& name, std::string_view image) const {
  const bool real = image != "rolling";
  write("project/" + name,
        fmt::format("manifest_version = 1\n[base]\nimage = \"{}\"\n[system]\npackages = [{}]\n"
                    "[runtime]\nbackend = \"{}\"\n",
                    image, packages, real ? "namespace" : "mock"));
}

std::string Bench::build(const std::string& name, std::string_view packages) const {
  write_manifest(packages, name + ".toml");
  return run_json({"build", name + ".toml", "--name", name}).at("env_id").get<std::string>();
}

void Bench::write_drift(const std::string& env_id, Random& random, int files) const {
  const std::string upper = store() + "/env/" + env_id + "/upper";
  for (int i = 0; i < files; ++i) write_one(upper, random);
  set_times(upper, random);
}

}  // namespace karapace::lab
