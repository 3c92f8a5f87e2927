// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "karapace/cli/program.hpp"

int main(int argc, char** argv) {
  // execve(2) allows an empty argv.
  return karapace::cli::run_program(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
