// SPDX-License-Identifier: Apache-2.0
#include "karapace/remote/image_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "karapace/base/digest.hpp"
#include "karapace/base/error.hpp"
#include "karapace/base/json.hpp"
#include "karapace/base/rel_path.hpp"
#include "oci/challenge.hpp"

namespace karapace::remote {

namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr std::uint64_t kMaxArchiveBytes = std::uint64_t{64} * 1024 * 1024 * 1024;

[[noreturn]] void refuse(std::string_view what, std::string_view reason, std::string fix = {}) {
  throw Error(ErrorCode::InvalidInput, fmt::format("{}: {}", printable(what, 400), reason), std::move(fix));
}

Json parse(std::string_view text, std::size_t limit, std::string_view what) {
  Json json;
  try {
    json = parse_json(text, "the index", {.max_bytes = limit, .max_depth = kMaxDepth});
  } catch (const Error& error) {
    refuse(what, error.message());
  }
  if (!json.is_object()) refuse(what, "the index is not a JSON object");
  return json;
}

const Json& member(const Json& object, const char* key) {
  static const Json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

std::string text_of(const Json& object, const char* key) {
  const Json& found = member(object, key);
  return found.is_string() ? found.get<std::string>() : std::string();
}

/// A path below the server, as it stands in a URL. Data never makes a URL of its own.
std::string url_path(const std::string& text, std::string_view what) {
  try {
    static_cast<void>(RelPath::parse(text));
  } catch (const Error& error) {
    refuse(what, error.message());
  }
  std::string path;
  for (std::size_t start = 0; start <= text.size();) {
    const auto end = std::min(text.find('/', start), text.size());
    if (start > 0) path += '/';
    path += oci::percent_encoded(std::string_view(text).substr(start, end - start));
    start = end + 1;
  }
  return path;
}

std::vector<std::string> names_of(const std::string& key, const Json& product) {
  std::vector<std::string> names;
  const std::string aliases = text_of(product, "aliases");
  for (std::size_t start = 0; start < aliases.size();) {
    const auto end = std::min(aliases.find(',', start), aliases.size());
    const auto first = aliases.find_first_not_of(' ', start);
    if (first < end) names.push_back(aliases.substr(first, end - first));
    start = end + 1;
  }
  // "debian:bookworm:amd64:default": the name of a product is one of the image, too.
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= key.size();) {
    const auto end = std::min(key.find(':', start), key.size());
    parts.push_back(key.substr(start, end - start));
    start = end + 1;
  }
  if (parts.size() == 4) {
    names.push_back(fmt::format("{}/{}/{}", parts[0], parts[1], parts[3]));
    if (parts[3] == "default") names.push_back(fmt::format("{}/{}", parts[0], parts[1]));
  }
  return names;
}

std::optional<ServerImage> archive_of(const Json& version, std::string_view what) {
  const Json& items = member(version, "items");
  if (!items.is_object()) return std::nullopt;
  for (const auto& item : items) {
    if (!text_of(item, "ftype").starts_with("root.tar")) continue;
    ServerImage image;
    image.sha256 = text_of(item, "sha256");
    const Json& size = member(item, "size");
    if (!Digest::is_valid(image.sha256) || !size.is_number_unsigned())
      refuse(what, "the index has no sha256 and size for it");
    image.size = size.get<std::uint64_t>();
    if (image.size == 0 || image.size > kMaxArchiveBytes)
      refuse(what, fmt::format("it has {} bytes, and 1 to {} are possible", image.size, kMaxArchiveBytes));
    image.path = url_path(text_of(item, "path"), what);
    return image;
  }
  return std::nullopt;
}

std::optional<ServerImage> newest(const Json& product, std::string_view what) {
  const Json& versions = member(product, "versions");
  if (!versions.is_object()) return std::nullopt;
  // Their names are times, so the last one in the order of bytes is the newest; the JSON reader keeps that
  // order.
  std::vector<std::pair<std::string, const Json*>> sorted;
  for (const auto& [name, version] : versions.items()) sorted.emplace_back(name, &version);
  for (auto version = sorted.rbegin(); version != sorted.rend(); ++version) {
    auto image = archive_of(*version->second, what);
    if (!image) continue;
    const bool plain = !version->first.empty() && version->first.size() <= 100 &&
                       std::ranges::all_of(version->first, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain) refuse(what, "the name of its newest build is damaged");
    image->version = version->first;
    return image;
  }
  return std::nullopt;
}

WebReply get(Web& web, const std::string& url, std::size_t limit) {
  WebReply reply = web.ask(
      {.url = url, .accept = "application/json", .authorization = {}, .form = {}, .max_bytes = limit});
  if (reply.status != 200)
    throw Error(ErrorCode::InvalidInput,
                fmt::format("the server answers {} for {}", reply.status, printable(url)));
  return reply;
}

}  // namespace

std::string parse_stream_index(std::string_view text, std::string_view what) {
  const Json json = parse(text, kMaxStreamIndexBytes, what);
  const Json& list = member(json, "index");
  if (text_of(json, "format") != "index:1.0" || !list.is_object()) refuse(what, "not an index of images");
  for (const auto& entry : list) {
    if (text_of(entry, "datatype") == "image-downloads" && text_of(entry, "format") == "products:1.0")
      return url_path(text_of(entry, "path"), what);
  }
  refuse(what, "the index lists no images");
}

ServerImage choose_server_image(std::string_view text, std::string_view name, std::string_view architecture,
                                std::string_view what) {
  const Json json = parse(text, kMaxStreamProductsBytes, what);
  const Json& products = member(json, "products");
  if (text_of(json, "format") != "products:1.0" || !products.is_object())
    refuse(what, "not a list of images");
  std::optional<ServerImage> best;
  std::set<std::string> known;
  const std::string distribution = fmt::format("{}/", name.substr(0, name.find('/')));
  bool without_archive = false;
  for (const auto& [key, product] : products.items()) {
    if (text_of(product, "arch") != architecture) continue;
    auto names = names_of(key, product);
    const bool matches = std::ranges::find(names, name) != names.end();
    for (const std::string& other : names) {
      // What a reader may have meant: releases of the same distribution.
      if (known.size() < 40 && other.starts_with(distribution) && std::ranges::count(other, '/') == 1)
        known.insert(other);
    }
    // An alias without a variant may be several products'; the default one is meant then.
    const std::string variant = text_of(product, "variant");
    if (!matches || (best && best->variant == "default")) continue;
    auto image = newest(product, what);
    without_archive = without_archive || !image;
    if (!image || (best && variant != "default")) continue;
    best = std::move(image);
    best->variant =
        variant.size() <= 100 && std::ranges::all_of(variant, [](char c) { return c > 0x20 && c < 0x7f; })
            ? variant
            : std::string();
  }
  if (best) return *best;
  if (without_archive) refuse(what, "the server has it, but not as a tar archive");
  const std::string releases = fmt::format("{}", fmt::join(known, ", "));
  refuse(what, fmt::format("the server has no image '{}' for {}", printable(name), architecture),
         releases.empty() ? "" : fmt::format("it has {}", printable(releases, 600)));
}

ServerImage find_server_image(Web& web, const std::string& url, std::string_view name,
                              std::string_view architecture) {
  const std::string what = fmt::format("image '{}' of {}", name, url);
  return with_context([&] { return printable(what, 400); },
                      [&] {
                        const WebReply index = get(web, url + "/streams/v1/index.json", kMaxStreamIndexBytes);
                        const std::string path = parse_stream_index(index.body, "streams/v1/index.json");
                        const WebReply list = get(web, url + "/" + path, kMaxStreamProductsBytes);
                        return choose_server_image(list.body, name, architecture, path);
                      });
}

}  // namespace karapace::remote
