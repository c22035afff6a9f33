// say(): a line of the log, as llama.cpp writes it: "0.00.006.665 E srv ...".
#pragma once

#include <string>

namespace fake_gpu {

// `level` is I, W or E.
void say(char level, const std::string& text);
// Without time and level, as ggml writes its last words.
void say_plain(const std::string& text);
// "%.2f MiB"
std::string mib_text(unsigned long long bytes);

}  // namespace fake_gpu
