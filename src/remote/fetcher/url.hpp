// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace karapace::fetcher {

enum class Scheme { Http, Https, Other };
[[nodiscard]] Scheme scheme_of(std::string_view url) noexcept;

/// Whether a server that answered for `from` may send us to `to`: http and https only, and never from https
/// back to http, where anybody on the way could read and change what we ask for.
[[nodiscard]] bool redirect_is_allowed(std::string_view from, std::string_view to) noexcept;

/// Same scheme, host and port: who may see what is meant for `a` may see it at `b`.
[[nodiscard]] bool same_origin(std::string_view a, std::string_view b);

/// For people: without user name and password, without control characters, at most 300 bytes.
[[nodiscard]] std::string shown_url(std::string_view url);

}  // namespace karapace::fetcher
