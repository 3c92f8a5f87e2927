// SPDX-License-Identifier: Apache-2.0
#include "packages/step_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "karapace/base/file_at.hpp"
#include "karapace/base/text.hpp"

namespace karapace::runtime {
namespace {

bool tells_of_full_disk(const RunResult& result) {
  constexpr std::string_view kFull = "No space left on device";
  return result.out.contains(kFull) || result.err.contains(kFull);
}

/// Progress, of which there can be so much that what went wrong would not be among the last lines.
bool is_noise(std::string_view line) {
  return line.empty() || line.starts_with("status: ") || line.starts_with("processing: ") ||
         line.ends_with("already installed, skipping");
}

/// What apt says of an index without a signature, with a wrong one, or with other bytes than were signed.
bool tells_of_forged_index(std::string_view errors) {
  constexpr std::array kWords = {"is not signed",
                                 "GPG error",
                                 "signatures were invalid",
                                 "signatures couldn't be verified",
                                 "Hash Sum mismatch",
                                 "unexpected size",
                                 "Clearsigned file isn't valid"};
  return std::ranges::any_of(kWords, [&](std::string_view words) { return errors.contains(words); });
}

}  // namespace

std::string last_lines(std::string_view out, std::string_view err, std::size_t count) {
  std::vector<std::string_view> lines;
  for (const std::string_view text : {out, err}) {
    for_each_line(text, [&](std::string_view line) {
      if (!is_noise(line)) lines.push_back(line);
    });
  }
  std::string result;
  for (std::size_t i = lines.size() > count ? lines.size() - count : 0; i < lines.size(); ++i) {
    if (!result.empty()) result += '\n';
    result += printable(lines[i], 400);
  }
  return result;
}

void check_step(const RunResult& result, ErrorCode code, std::string_view what) {
  if (result.status == 0) return;
  throw Error(code, fmt::format("{}:\n{}", what, last_lines(result.out, result.err)));
}

void throw_unreachable(std::string_view what, const RunResult& result) {
  if (tells_of_full_disk(result)) {
    throw Error(ErrorCode::NoSpace, fmt::format("{}: no space left on the disk of the store", what),
                "Make space on the disk and try again.");
  }
  const std::string failed = fmt::format("{}:\n{}", what, last_lines(result.out, result.err));
  if (tells_of_forged_index(result.err)) {
    throw Error(
        ErrorCode::InvalidInput, failed,
        "what came is not what the archive's owner signed: try again later if the mirror is just being "
        "updated, or name another, KARAPACE_MIRROR=debian=http://HOST/debian");
  }
  std::string fix = "check the network, or name a mirror: KARAPACE_MIRROR=debian=http://HOST/debian";
  // apt refuses old or future lists, because an attacker could keep security updates away with them.
  if (result.err.contains(" is expired") || result.err.contains("is not valid yet")) {
    fix =
        "the clock of this machine is wrong, or the mirror is out of date: name another, "
        "KARAPACE_MIRROR=debian=http://HOST/debian";
  }
  throw Error(ErrorCode::Unavailable, failed, fix);
}

void throw_install_failed(const BuildContext& context, std::string_view what, const RunResult& result) {
  constexpr std::uint64_t kNearlyFull = 1024 * 1024;
  if (tells_of_full_disk(result) || free_bytes(context.store.root()) < kNearlyFull) {
    throw Error(
        ErrorCode::NoSpace, fmt::format("{}: no space left on the disk of the store", what),
        fmt::format("make room on the file system of {} and build again, or remove environments and run "
                    "'karapace gc'",
                    context.store.root_path()));
  }
  throw Error(ErrorCode::External,
              fmt::format("{} (status {}):\n{}", what, result.status, last_lines(result.out, result.err)));
}

}  // namespace karapace::runtime
