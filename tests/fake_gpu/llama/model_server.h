// ModelServer: the model of a fake llama-server: it is loaded, serves, and fails as it was told.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "llama/arguments.h"
#include "llama/behaviour.h"
#include "llama/device_memory.h"
#include "llama/http.h"
#include "llama/memory_plan.h"
#include "llama/slots.h"

namespace fake_gpu {

class ModelServer {
 public:
  ModelServer(Arguments arguments, Behaviour behaviour, SharedSet* set);

  // Takes the load time. False, with the reason in the log, where the program is to end with
  // status 1; or the program ends here and now.
  bool load();
  // For the threads of the requests, while it is loaded, too.
  void handle(const HttpRequest& request, HttpReply& reply);
  // Waits for what it works on, and gives its memory back.
  void finish();

 private:
  bool load_device(const DevicePlan& plan);
  bool load_caches(const MemoryPlan& plan);
  bool fail_load(const std::string& why) const;
  // Does wrong what is due with this request. False: it is answered.
  bool misbehave(const Behaviour& behaviour, HttpReply& reply);
  void run_short(const EngineDevice& device, HttpReply& reply);
  void generate(const HttpRequest& request, HttpReply& reply, bool chat);
  void embed(const HttpRequest& request, HttpReply& reply);
  void rerank(const HttpRequest& request, HttpReply& reply);
  template <typename Make>
  void encode(HttpReply& reply, Make make);
  void act_on_slot(const HttpRequest& request, HttpReply& reply);
  std::string slots_json() const;
  std::string props_json() const;
  std::int64_t slot_context() const;

  const Arguments arguments_;
  const Behaviour behaviour_;  // as it was at the start; a request has its own
  const std::string name_;
  SharedSet* const set_;
  std::unique_ptr<DeviceMemory> memory_;
  std::vector<EngineDevice> devices_;
  Slots slots_;
  std::atomic<bool> ready_ = false;
  std::atomic<bool> hangs_ = false;
  std::atomic<std::int64_t> requests_ = 0;
};

}  // namespace fake_gpu
