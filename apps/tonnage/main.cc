#include <string_view>

#include "probe/gpu/vulkan.h"
#include "tonnage/subcommands.h"

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == tonnage::kVulkanHelperFlag)
    return tonnage::list_vulkan_devices();
  return tonnage::run_command_line(argc, argv);
}
