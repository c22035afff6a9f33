#include "engine/environment.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace tonnage {
namespace {

// CUDA_VISIBLE_DEVICES is among them and is replaced for each program (VisibleGpus).
constexpr auto kPrefixes = std::to_array<std::string_view>(
    {"CUDA_", "NVIDIA_", "HSA_",  "HIP_",  "ROCR_", "ROCM_",     "ROCBLAS_", "HIPBLASLT_", "AMD_",
     "GPU_",  "GGML_",   "VK_",   "MESA_", "RADV_", "ANV_",      "SYCL_",    "ONEAPI_",    "ZE_",
     "ZES_",  "OMP_",    "GOMP_", "KMP_",  "MKL_",  "OPENBLAS_", "BLIS_",    "SSL_CERT_"});
constexpr auto kNames = std::to_array<std::string_view>(
    {"HOME", "PATH", "USER", "LOGNAME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME",
     "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR"});
constexpr auto kProxies =
    std::to_array<std::string_view>({"http_proxy", "https_proxy", "all_proxy", "no_proxy"});

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

}  // namespace

bool is_passed_on(std::string_view name) {
  return std::ranges::any_of(kPrefixes, [name](auto prefix) { return name.starts_with(prefix); }) ||
         std::ranges::find(kNames, name) != kNames.end() ||
         std::ranges::find(kProxies, to_lower(name)) != kProxies.end();
}

std::vector<std::string> merged_environment(std::vector<std::string> base,
                                            std::span<const std::string> more) {
  for (const std::string& variable : more) {
    std::erase_if(base,
                  [&](const std::string& known) { return name_of(known) == name_of(variable); });
    base.push_back(variable);
  }
  return base;
}

std::optional<std::string> variable_without_effect(std::string_view name) {
  if (name == "CUDA_VISIBLE_DEVICES")
    return "tonnage chooses the GPUs of a server; it has no effect (see gpu_layers and --cpu)";
  return std::nullopt;
}

std::string home_of_user() {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const bool known = ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
                     found != nullptr && found->pw_dir != nullptr && found->pw_dir[0] == '/';
  return known ? found->pw_dir : "/";
}

}  // namespace tonnage
