# SPDX-License-Identifier: Apache-2.0
# BLAKE3's own C library: the system's libblake3 where it is packaged, else the C sources that
# Debian's librust-blake3-dev installs, compiled here with the SIMD assembly of this machine's family.
# Target: Blake3::blake3
find_path(BLAKE3_INCLUDE_DIR blake3.h)
find_library(BLAKE3_LIBRARY blake3)
if(BLAKE3_INCLUDE_DIR AND BLAKE3_LIBRARY)
  add_library(Blake3::blake3 UNKNOWN IMPORTED)
  set_target_properties(Blake3::blake3 PROPERTIES IMPORTED_LOCATION ${BLAKE3_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${BLAKE3_INCLUDE_DIR})
else()
  file(GLOB blake3_candidates /usr/share/cargo/registry/blake3-*/c/blake3.c)
  if(NOT blake3_candidates)
    message(FATAL_ERROR "BLAKE3 not found: install libblake3-dev or librust-blake3-dev")
  endif()
  list(SORT blake3_candidates)
  list(GET blake3_candidates -1 blake3_c)
  get_filename_component(blake3_dir ${blake3_c} DIRECTORY)
  set(blake3_sources ${blake3_dir}/blake3.c ${blake3_dir}/blake3_dispatch.c ${blake3_dir}/blake3_portable.c)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND blake3_sources ${blake3_dir}/blake3_sse2_x86-64_unix.S ${blake3_dir}/blake3_sse41_x86-64_unix.S
         ${blake3_dir}/blake3_avx2_x86-64_unix.S ${blake3_dir}/blake3_avx512_x86-64_unix.S)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND blake3_sources ${blake3_dir}/blake3_neon.c)
  endif()
  add_library(karapace_blake3 STATIC ${blake3_sources})
  target_include_directories(karapace_blake3 SYSTEM PUBLIC ${blake3_dir})
  # A digest at debug speed makes every test slow, and there is nothing of ours to debug in it.
  target_compile_options(karapace_blake3 PRIVATE -O2)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    target_compile_definitions(karapace_blake3 PUBLIC BLAKE3_USE_NEON=1)
  endif()
  add_library(Blake3::blake3 ALIAS karapace_blake3)
endif()
set(Blake3_FOUND TRUE)
