// SPDX-License-Identifier: Apache-2.0
// Any bytes are an archive or InvalidInput, nothing outside of the target changes, and what was accepted is
// the same tree after an export and another import. Also with the checksums of tar's headers made right,
// because hardly any change of a header survives them.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "karapace/base/clock.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/file_at.hpp"
#include "karapace/store/layer.hpp"
#include "worker/export_tree.hpp"
#include "worker/normalise.hpp"
#include "worker/unpack.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace karapace;
using namespace karapace::worker;

/// A directory with a file that nobody may touch, for one input.
class Place {
 public:
  Place() {
    make_directory_at(parent(), name_, 0755);
    directory_ = open_directory(parent(), name_);
    write_all(open_beneath(directory_, "victim", O_WRONLY | O_CREAT, 0644), kVictim);
    for (const char* name : {"first", "second", "objects"}) make_directory_at(directory_, name, 0755);
  }
  ~Place() { remove_tree_at(parent(), name_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] UniqueFd file(std::string_view content = {}) const {
    UniqueFd made = open_beneath(directory_, "archive", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write_all(made, content);
    rewind(made);
    return made;
  }
  [[nodiscard]] UniqueFd tree(const char* name) const { return open_directory(directory_, name); }
  static void rewind(FdRef file) { KARAPACE_ASSERT(::lseek(file.get(), 0, SEEK_SET) == 0); }

  void check() const {
    KARAPACE_ASSERT(read_file_at(directory_, "victim", 100) == kVictim);
    KARAPACE_ASSERT(stat_at(directory_, "victim")->st_nlink == 1);
    KARAPACE_ASSERT(list_directory(directory_).size() == 5);  // with the archive
  }

 private:
  static constexpr std::string_view kVictim = "safe";
  static FdRef parent() {
    static const UniqueFd opened = [] {
      const char* memory = "/dev/shm";
      const bool usable = ::access(memory, W_OK) == 0;
      return open_path(usable ? memory : "/tmp", O_RDONLY | O_DIRECTORY);
    }();
    return opened;
  }

  std::string name_ = "karapace-fuzz-" + random_hex(8);
  UniqueFd directory_;
};

/// An archive may say that a file has any size: it is too large for the disk, or for the limit of this
/// process.
bool is_too_large(const Error& error) {
  const auto* failure = dynamic_cast<const SystemError*>(&error);
  return error.code() == ErrorCode::NoSpace || (failure != nullptr && failure->error_number() == EFBIG);
}

/// False if it was refused.
bool unpack(FdRef archive, FdRef target, bool image_layer) {
  try {
    unpack_archive(archive, target,
                   {.owners = Owners::Flat, .expected_sha256 = {}, .image_layer = image_layer}, no_progress(),
                   CancelToken::process());
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidInput && !is_too_large(error)) {
      fmt::print(stderr, "{}: {}\n", to_string(error.code()), error.what());
      std::abort();
    }
  }
  return false;
}

std::vector<store::IndexEntry> scan(FdRef tree) {
  normalise_foreign(WorkTree(tree, {}, Owners::Flat));
  return store::scan_tree(tree, true, true, 1, CancelToken::process());
}

void try_archive(std::string_view bytes, bool image_layer) {
  const Place place;
  const UniqueFd first = place.tree("first");
  const UniqueFd objects = place.tree("objects");
  const bool accepted = unpack(place.file(bytes), first, image_layer);
  place.check();
  if (!accepted) return;

  ExportSource source{.entries = scan(first), .in_upper = {}, .upper = &first, .objects = objects};
  for (const store::IndexEntry& entry : source.entries) source.in_upper.insert(entry.path);
  const UniqueFd exported = place.file();
  export_to_tar(source, exported, no_progress(), CancelToken::process());
  Place::rewind(exported);
  const UniqueFd second = place.tree("second");
  KARAPACE_ASSERT(unpack(exported, second, false));
  KARAPACE_ASSERT(store::encode_index(scan(second)) == store::encode_index(source.entries));
  place.check();
}

/// Each header's checksum is made what it should be, where headers are expected.
std::string with_checksums(std::string bytes) {
  constexpr std::size_t kBlock = 512;
  constexpr std::size_t kSize = 124;
  constexpr std::size_t kSum = 148;
  for (std::size_t at = 0; at + kBlock <= bytes.size();) {
    const std::string_view header = std::string_view(bytes).substr(at, kBlock);
    std::size_t length = 0;
    std::from_chars(header.data() + kSize, header.data() + kSize + 11, length, 8);
    bytes.replace(at + kSum, 8, "        ");
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    bytes.replace(at + kSum, 8, fmt::format("{:06o}", sum) + '\0' + ' ');
    if (length > bytes.size()) break;
    at += kBlock + (length + kBlock - 1) / kBlock * kBlock;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool limited = [] {
    constexpr rlim_t kLargestFile = 16UL * 1024 * 1024;
    const rlimit limit{kLargestFile, kLargestFile};
    return ::setrlimit(RLIMIT_FSIZE, &limit) == 0 && ::signal(SIGXFSZ, SIG_IGN) != SIG_ERR;
  }();
  KARAPACE_ASSERT(limited);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are characters here
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  for (const bool image_layer : {false, true}) {
    try_archive(bytes, image_layer);
    try_archive(with_checksums(bytes), image_layer);
  }
  return 0;
}
