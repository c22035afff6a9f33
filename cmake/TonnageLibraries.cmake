# Third-party libraries, one per job, all from the distribution. `make setup` installs them.

macro(tonnage_find)
  find_package(${ARGV} QUIET)
  if(NOT ${ARGV0}_FOUND)
    message(FATAL_ERROR "${ARGV0} was not found: run `make setup`")
  endif()
endmacro()

set(THREADS_PREFER_PTHREAD_FLAG ON)
tonnage_find(Threads)
tonnage_find(Python3 COMPONENTS Interpreter)
tonnage_find(Boost 1.81)
tonnage_find(OpenSSL)
tonnage_find(simdjson)
tonnage_find(nlohmann_json)
tonnage_find(yaml-cpp)
tonnage_find(CLI11)
tonnage_find(fmt)
tonnage_find(spdlog)
tonnage_find(prometheus-cpp)
tonnage_find(SQLite3)
tonnage_find(GTest)
tonnage_find(rapidcheck)
tonnage_find(benchmark)

# Asio and Beast compiled once: without this, every translation unit that includes them pays for
# their bodies too. TLS is an object of its own, so that a program without TLS does not need it.
add_library(tonnage_boost STATIC cmake/boost/asio.cc cmake/boost/asio_ssl.cc cmake/boost/beast.cc)
set_target_properties(tonnage_boost PROPERTIES UNITY_BUILD OFF)
target_link_libraries(tonnage_boost PUBLIC
  Boost::headers Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
target_compile_definitions(tonnage_boost PUBLIC
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
target_compile_options(tonnage_boost PRIVATE -w)  # third-party code in our files

# What the binary says about itself, and which cached engine build belongs to it.
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/engine key
  OUTPUT_VARIABLE TONNAGE_ENGINE_KEY OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(GLOB engine_patches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/engine/patches/*.patch)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/tools/engine ${CMAKE_SOURCE_DIR}/cmake/engine/engine.lock.json
  ${engine_patches})
add_library(tonnage_build_info INTERFACE)
target_compile_definitions(tonnage_build_info INTERFACE
  TONNAGE_VERSION="${PROJECT_VERSION}" TONNAGE_ENGINE_KEY="${TONNAGE_ENGINE_KEY}")
