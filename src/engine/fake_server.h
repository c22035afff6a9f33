// FakeServer: a stand-in for a model server, played by the test program itself, for tests only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tonnage {

// The command line that makes the test program play `part` (see fake_server_test.cc) on `socket`.
std::vector<std::string> fake_server_argv(const std::filesystem::path& socket, std::string part,
                                          std::vector<std::string> arguments = {});

}  // namespace tonnage
