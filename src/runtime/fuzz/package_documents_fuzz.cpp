// SPDX-License-Identifier: Apache-2.0
// What package managers print, the indexes of repositories and the headers of packages: any bytes are read or
// refused.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "karapace/base/error.hpp"
#include "packages/apt_output.hpp"
#include "packages/pacman_output.hpp"
#include "packages/rpm.hpp"
#include "packages/rpm_contents.hpp"
#include "packages/zypper_output.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using namespace karapace;
using namespace karapace::runtime;

template <typename Read>
void read_or_refuse(Read&& read) {
  try {
    static_cast<void>(read());
  } catch (const Error& error) {
    KARAPACE_ASSERT(error.code() == ErrorCode::InvalidInput || error.code() == ErrorCode::External);
    for (const char c : std::string_view(error.what()))
      KARAPACE_ASSERT(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
  }
}

void read_apt(std::string_view text) {
  read_or_refuse([&] { return apt::parse_print_uris(text); });
  read_or_refuse([&] { return apt::parse_simulation(text); });
  read_or_refuse([&] { return apt::unknown_packages(text); });
  read_or_refuse([&] { return apt::packages_in_the_way(text, {"a", "git"}); });
  read_or_refuse([&] { return apt::virtual_providers(text, "awk"); });
  read_or_refuse([&] { return apt::parse_states(text); });
  read_or_refuse([&] {
    auto stanzas = apt::parse_stanzas(text);
    for (const apt::Stanza& stanza : stanzas) {
      const auto again = apt::parse_stanzas(stanza.text());
      KARAPACE_ASSERT(again.size() == 1 && again[0].text() == stanza.text());
    }
    return stanzas;
  });
}

void read_pacman(std::string_view text) {
  read_or_refuse([&] { return pacman::configuration_text(pacman::parse_configuration(text)); });
  read_or_refuse([&] { return pacman::parse_printed(text); });
  read_or_refuse([&] { return pacman::parse_description(text); });
  read_or_refuse([&] { return pacman::description_of(text, LockedPackage(), "a.pkg.tar.zst"); });
  read_or_refuse([&] { return pacman::unknown_targets(text); });
  read_or_refuse([&] { return pacman::parse_query(text); });
}

void read_rpm(std::string_view text) {
  read_or_refuse([&] { return parse_rpm_query(text); });
  read_or_refuse([&] { return parse_bad_signatures(text); });
  read_or_refuse([&] { return parse_rpm_header(text); });
}

void read_zypper(std::string_view text) {
  read_or_refuse([&] { return zypper::parse_repositories(text); });
  read_or_refuse([&] { return zypper::parse_plan(text); });
  read_or_refuse([&] { return zypper::parse_problems(text); });
  read_or_refuse([&] { return zypper::parse_names(text); });
  read_or_refuse([&] { return zypper::parse_descriptions(text); });
  read_or_refuse([&] { return zypper::with_mirrors(text, Mirrors()); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes are characters here
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_apt(text);
  read_pacman(text);
  read_rpm(text);
  read_zypper(text);
  return 0;
}
