#include "probe/gpu/shared_library.h"

#include <dlfcn.h>

namespace tonnage {

Result<SharedLibrary> SharedLibrary::open(const std::string& name) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    // dlerror() begins with the name of the library, which the error says anyway.
    const char* said = ::dlerror();
    std::string why = said == nullptr ? "dlopen does not say why" : said;
    if (why.starts_with(name + ": "))
      why.erase(0, name.size() + 2);
    return fail("cannot open", name, std::move(why));
  }
  return SharedLibrary(handle);
}

void SharedLibrary::Close::operator()(void* handle) const {
  ::dlclose(handle);
}

void* SharedLibrary::address(const char* symbol) const {
  return ::dlsym(handle_.get(), symbol);
}

}  // namespace tonnage
