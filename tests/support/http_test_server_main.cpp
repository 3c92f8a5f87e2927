// SPDX-License-Identifier: Apache-2.0
// karapace-test-http-server DIR [--fault NAME[=PATTERN]]... [--times N] [--location URL]
// Serves the files below DIR on loopback and prints its port. Ends with its standard input, so that no test
// leaves one behind. --times and --location belong to the faults after them.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "http_test_server.hpp"
#include "karapace/base/error.hpp"

namespace {

using karapace::Error;
using karapace::ErrorCode;

void configure(karapace::test::HttpTestServer& server, const std::vector<std::string_view>& arguments) {
  karapace::test::HttpFault fault;
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) throw Error(ErrorCode::InvalidInput, "an option lacks its value");
    const std::string_view value = arguments[i + 1];
    if (arguments[i] == "--times") {
      if (std::from_chars(value.data(), value.data() + value.size(), fault.times).ec != std::errc())
        throw Error(ErrorCode::InvalidInput, fmt::format("not a number: {}", value));
    } else if (arguments[i] == "--location") {
      fault.location = value;
    } else if (arguments[i] == "--fault") {
      const auto kind = karapace::test::parse_http_fault(value.substr(0, value.find('=')));
      if (!kind) throw Error(ErrorCode::InvalidInput, fmt::format("no such fault: {}", value));
      fault.kind = *kind;
      server.set_fault(
          value.find('=') == std::string_view::npos ? "/" : std::string(value.substr(value.find('=') + 1)),
          fault);
    } else {
      throw Error(ErrorCode::InvalidInput, fmt::format("unknown option: {}", arguments[i]));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    if (arguments.empty()) {
      std::fputs(
          "usage: karapace-test-http-server DIR [--fault NAME[=PATTERN]]... [--times N] [--location URL]\n",
          stderr);
      return 2;
    }
    karapace::test::HttpTestServer server;
    server.serve_directory(std::string(arguments[0]));
    configure(server, arguments);
    fmt::print("{}\n", server.port());
    std::fflush(stdout);
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "karapace-test-http-server: {}\n", error.what());
    return 1;
  }
}
