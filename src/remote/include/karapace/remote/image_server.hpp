// SPDX-License-Identifier: Apache-2.0
// Image servers of the Linux Containers project: an index in the simplestreams format, and root file systems
// beside it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/remote/web.hpp"

namespace karapace::remote {

inline constexpr std::size_t kMaxStreamIndexBytes = std::size_t{1} * 1024 * 1024;
inline constexpr std::size_t kMaxStreamProductsBytes = std::size_t{64} * 1024 * 1024;

struct ServerImage {
  std::string variant;  // "default"
  std::string version;  // "20260220_04:20"
  std::string path;     // of the root file system, a tar archive, below the server's address; fit for a URL
  std::string sha256;
  std::uint64_t size = 0;
};

/// The path of the list of products in streams/v1/index.json. All throw InvalidInput with `what` in front.
[[nodiscard]] std::string parse_stream_index(std::string_view text, std::string_view what);
/// The newest build of `name` ("debian/bookworm", "alpine/3.20/cloud") for `architecture` that has a root
/// file system as a tar archive. An unknown name is answered with the releases of its distribution.
[[nodiscard]] ServerImage choose_server_image(std::string_view text, std::string_view name,
                                              std::string_view architecture, std::string_view what);
/// Both, from the server at `url` (without a slash at its end).
[[nodiscard]] ServerImage find_server_image(Web& web, const std::string& url, std::string_view name,
                                            std::string_view architecture);

}  // namespace karapace::remote
