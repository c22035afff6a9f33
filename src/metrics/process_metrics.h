// process_metrics(): the daemon's own process, under the names that Prometheus' clients share.
#pragma once

#include <filesystem>
#include <string>

namespace tonnage {

// Prometheus' text for the process whose folder of /proc this is: processor time, memory, files,
// start. What cannot be read is left out. Cheap, and only asked at a scrape.
std::string process_metrics(const std::filesystem::path& proc);

}  // namespace tonnage
