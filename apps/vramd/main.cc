#include "vramd/subcommands.h"

int main(int argc, char** argv) {
  return vramd::run_command_line(argc, argv);
}
