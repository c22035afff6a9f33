# Third-party libraries, one per job, all from the distribution. `make setup` installs them.

macro(vramd_find)
  find_package(${ARGV} QUIET)
  if(NOT ${ARGV0}_FOUND)
    message(FATAL_ERROR "${ARGV0} was not found: run `make setup`")
  endif()
endmacro()

set(THREADS_PREFER_PTHREAD_FLAG ON)
vramd_find(Threads)
vramd_find(Python3 COMPONENTS Interpreter)
vramd_find(Boost 1.81)
vramd_find(OpenSSL)
vramd_find(simdjson)
vramd_find(nlohmann_json)
vramd_find(yaml-cpp)
vramd_find(CLI11)
vramd_find(fmt)
vramd_find(spdlog)
vramd_find(prometheus-cpp)
vramd_find(SQLite3)
vramd_find(GTest)
vramd_find(rapidcheck)
vramd_find(benchmark)

# Asio and Beast compiled once: without this, every translation unit that includes them pays for
# their bodies too. TLS is an object of its own, so that a program without TLS does not need it.
add_library(vramd_boost STATIC cmake/boost/asio.cc cmake/boost/asio_ssl.cc cmake/boost/beast.cc)
set_target_properties(vramd_boost PROPERTIES UNITY_BUILD OFF)
target_link_libraries(vramd_boost PUBLIC
  Boost::headers Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
target_compile_definitions(vramd_boost PUBLIC
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
target_compile_options(vramd_boost PRIVATE -w)  # third-party code in our files

# What the binary says about itself, and which cached engine build belongs to it.
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/engine key
  OUTPUT_VARIABLE VRAMD_ENGINE_KEY OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(GLOB engine_patches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/engine/patches/*.patch)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_SOURCE_DIR}/tools/engine ${CMAKE_SOURCE_DIR}/cmake/engine/engine.lock.json
  ${engine_patches})
add_library(vramd_build_info INTERFACE)
target_compile_definitions(vramd_build_info INTERFACE
  VRAMD_VERSION="${PROJECT_VERSION}" VRAMD_ENGINE_KEY="${VRAMD_ENGINE_KEY}")
