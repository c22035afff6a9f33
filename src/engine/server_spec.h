// ServerSpec: everything that is needed to start one model server; an engine adapter builds it.
#pragma once

#include <string>
#include <vector>

#include "core/types.h"
#include "engine/liveness.h"
#include "http/address.h"

namespace tonnage {

struct ServerSpec {
  Generation generation;
  ModelId model;
  std::string model_name;         // for people
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> env;   // "NAME=value"; all that the server sees
  // Where it will listen: a path from RuntimeFolder::socket_path, or a port of this machine.
  net::Address endpoint;
  std::string health_path = "/health";  // 200 means ready, anything else means not yet
  std::string slots_path = "/slots";    // empty: this engine does not tell which slots are busy
  // It looks for a request's client many times a second. Upstream does so only after a whole second
  // without any result, and an answer on slots_path is one.
  bool notices_leaving = false;
  // Name in the variable that its processes are known by, see process/marked.h; empty: it starts no
  // others.
  std::string mark;
  LivenessLimits liveness;
};

}  // namespace tonnage
