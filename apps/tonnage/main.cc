#include <string_view>

#include "engine/llama/model_look.h"
#include "probe/gpu/vulkan.h"
#include "tonnage/subcommands.h"

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == tonnage::kVulkanHelperFlag)
    return tonnage::list_vulkan_devices();
  if (argc >= 2 && argv[1] == tonnage::kModelLookFlag)
    return tonnage::look_at_models({argv + 2, argv + argc});
  return tonnage::run_command_line(argc, argv);
}
