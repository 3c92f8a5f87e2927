# SPDX-License-Identifier: Apache-2.0
# One way to declare a library, a program and a test, so that warnings, sanitizers and include
# paths are the same everywhere and the module graph is what the link lines say.

set(KARAPACE_WARNINGS
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
    -Woverloaded-virtual -Wsuggest-override -Wformat=2 -Wcast-align -Wundef -Wvla -Wextra-semi
    -Wmissing-declarations)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND KARAPACE_WARNINGS -Wduplicated-cond -Wduplicated-branches -Wlogical-op)
endif()

function(karapace_options target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${KARAPACE_WARNINGS}>)
  if(KARAPACE_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
  if(KARAPACE_STATIC)
    target_compile_options(${target} PRIVATE -fPIE)
  endif()
  if(KARAPACE_FAULT_HOOK)
    target_compile_definitions(${target} PRIVATE KARAPACE_FAULT_HOOK=1)
  endif()
  if(KARAPACE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${KARAPACE_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${KARAPACE_SANITIZE})
  else()
    target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
    target_link_options(${target} PRIVATE -Wl,--gc-sections)
  endif()
  get_target_property(kind ${target} TYPE)
  if(kind STREQUAL "EXECUTABLE" AND NOT KARAPACE_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
  endif()
endfunction()

# karapace_module(store SOURCES a.cpp HEADERS include/karapace/store/a.hpp
#                 DEPENDS karapace::base [LIBS fmt::fmt] [PRIVATE_LIBS PkgConfig::curl])
# A static library karapace_<name> with alias karapace::<name>. Sources are listed, never globbed.
function(karapace_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;HEADERS;DEPENDS;LIBS;PRIVATE_LIBS" ${ARGN})
  set(target karapace_${name})
  add_library(${target} STATIC ${arg_SOURCES})
  add_library(karapace::${name} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC ${arg_DEPENDS} ${arg_LIBS} PRIVATE ${arg_PRIVATE_LIBS})
  karapace_options(${target})
endfunction()

# karapace_program(karapace-init SOURCES main.cpp DEPENDS karapace::base [STATIC] [LIBEXEC])
# STATIC: linked statically when KARAPACE_STATIC is on. LIBEXEC: installed where users do not look.
function(karapace_program name)
  cmake_parse_arguments(arg "STATIC;LIBEXEC" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS})
  karapace_options(${name})
  if(arg_STATIC AND KARAPACE_STATIC)
    # No libraries to find, map and bind: it starts in half the time (docs/architecture.md). As a PIE and not plain
    # -static: the latter registers its unwind tables at start and sorts them all when the first exception is
    # thrown, which takes 1.2 ms; here the linker's sorted table is used, and addresses are random.
    target_link_options(${name} PRIVATE -static-pie)
  endif()
  if(arg_LIBEXEC)
    install(TARGETS ${name} RUNTIME DESTINATION ${KARAPACE_LIBEXECDIR})
  else()
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

# Everything that the unit tests need: what the sanitizers build.
add_custom_target(unit_tests)

# karapace_test(store SOURCES tests/wal_test.cpp DEPENDS karapace::store [LABEL unit] [TIMEOUT 120])
# A GoogleTest program <name>_test. LABEL: unit functional crash stress tidy. The cases of unit and tidy programs
# are ctest tests of their own; those of the others share what is dear to set up, so the program is one test.
function(karapace_test name)
  if(NOT KARAPACE_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name}_test ${arg_SOURCES})
  target_include_directories(${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name}_test PRIVATE ${arg_DEPENDS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE
    KARAPACE_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/tests/data"
    KARAPACE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" KARAPACE_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  karapace_options(${name}_test)
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(arg_LABEL MATCHES "^(unit|tidy)$")
    gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
    add_dependencies(unit_tests ${name}_test)
  else()
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()

# karapace_fuzzer(manifest SOURCES fuzz/manifest_fuzz.cpp DEPENDS karapace::schema CORPUS fuzz/corpus/manifest)
# With clang and KARAPACE_SANITIZE containing "fuzzer": a libFuzzer program. Otherwise the same
# source is linked with a main that runs each corpus file once, as an ordinary test.
function(karapace_fuzzer name)
  if(NOT KARAPACE_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name}_fuzz ${arg_SOURCES})
  target_link_libraries(${name}_fuzz PRIVATE ${arg_DEPENDS})
  target_include_directories(${name}_fuzz PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  karapace_options(${name}_fuzz)
  set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(unit_tests ${name}_fuzz)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS})
  if(KARAPACE_FUZZ)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name}_fuzz COMMAND ${name}_fuzz -runs=20000 -max_total_time=20 ${corpus})
    # scripts/campaign begins with it, too.
    file(WRITE ${CMAKE_BINARY_DIR}/fuzz/${name}_fuzz.corpus ${corpus})
  else()
    target_sources(${name}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fuzz_corpus_main.cpp)
    add_test(NAME ${name}_fuzz COMMAND ${name}_fuzz ${corpus})
  endif()
  set_tests_properties(${name}_fuzz PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
