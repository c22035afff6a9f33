#include <string_view>

#include "probe/gpu/vulkan.h"
#include "vramd/subcommands.h"

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == vramd::kVulkanHelperFlag)
    return vramd::list_vulkan_devices();
  return vramd::run_command_line(argc, argv);
}
