# Compiler flags for every translation unit of this repository. Third-party headers come in as
# SYSTEM and are exempt.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Assertions stay on in release, so no NDEBUG. -g1 is enough for back-traces with line numbers.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

# Headers cost more to compile than what includes them: eight files at a time take a third of the
# time. So what anonymous namespaces of one folder declare needs different names. Whether each file
# includes what it needs is seen by tools/lint, which looks at one file at a time.
option(TONNAGE_UNITY "Compile the files of a folder eight at a time" ON)
if(TONNAGE_UNITY)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
endif()

option(TONNAGE_WERROR "Warnings are errors" ON)
set(TONNAGE_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for example address,undefined")

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The base folder lets two checkouts in different places share what was compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# No path of this machine gets into the programs, neither by __FILE__ nor by debug information.
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)

add_compile_options(
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  -Wold-style-cast -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wundef -Wunused
  # Aggregates with defaults, set by designated initializers, are the style here.
  -Wno-missing-field-initializers
)
if(TONNAGE_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wsuggest-override)
  # Takes each file but the first of a batch for a header, where such a type could differ by file.
  add_compile_options(-Wno-subobject-linkage)
  # g++ 12 sees impossible overlaps in std::string (GCC bug 105651) once it inlines operator+.
  add_compile_options(-Wno-restrict)
  if(TONNAGE_SANITIZE)
    # Instrumented code makes g++ 12 lose track of initialised optionals and variants.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
else()
  # Not with g++, whose -Wpedantic refuses __int128: the core compares ratios by 128-bit products.
  add_compile_options(-Wpedantic)
  # Clang counts sign conversions among -Wconversion, g++ does not; the warnings are to be the same.
  add_compile_options(-Winconsistent-missing-override -Wthread-safety -Wno-sign-conversion)
  # std::stable_sort of libstdc++ 12 calls what libstdc++ 12 deprecates; g++ reports ours.
  add_compile_options(-Wno-deprecated-declarations)
endif()

add_compile_options(-fno-plt)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
add_link_options(-Wl,-z,relro,-z,now)

if(TONNAGE_SANITIZE)
  add_compile_options(
    -fsanitize=${TONNAGE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TONNAGE_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-fstack-protector-strong)
  # Needs optimisation, and fights with ASan's own interceptors.
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
