// SharedLibrary: a library that is opened at run time and closed with its owner.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace tonnage {

class SharedLibrary {
 public:
  // `name` as dlopen takes it: a file name searched in the usual places, or a path. Symbols stay
  // local and are all bound at once, so that a broken library fails here and not in a call.
  static Result<SharedLibrary> open(const std::string& name);

  // Null where the library does not have it. Valid while this object lives.
  template <typename Function>
  Function* function(const char* symbol) const {
    return reinterpret_cast<Function*>(address(symbol));
  }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* address(const char* symbol) const;

  std::unique_ptr<void, Close> handle_;
};

}  // namespace tonnage
