// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <string>
#include <vector>

#include "karapace/cli/program.hpp"

int main(int argc, char** argv) {
  // Heaps of threads that have ended keep what was freed in them (mallopt(3)): the next step of a commit
  // would take its memory on top of that of the step before.
  ::mallopt(M_ARENA_MAX, 1);
  // execve(2) allows an empty argv.
  return karapace::cli::run_program(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
