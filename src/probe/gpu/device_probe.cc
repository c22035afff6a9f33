#include "probe/gpu/device_probe.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

#include "probe/meminfo.h"

namespace tonnage {
namespace {

// What the driver reserves for itself makes the device's total a little less than the machine's.
constexpr std::int64_t kSameTotalPermille = 50;

bool about_equal(Bytes a, Bytes b) {
  const Bytes apart = a < b ? b - a : a - b;
  return apart <= permille_of(b, kSameTotalPermille);
}

bool same_device(const DeviceSample& a, const DeviceSample& b) {
  return a.id == b.id || (!a.pci.empty() && a.pci == b.pci);
}

// CUDA does not say of which kind its UUIDs are.
std::string_view uuid_of(std::string_view id) {
  return id.starts_with("GPU-") || id.starts_with("MIG-") ? id.substr(4) : id;
}

std::string what_is_missing(const DeviceSample& sample) {
  std::string missing;
  const auto say = [&](bool told, std::string_view word) {
    if (!told)
      missing += (missing.empty() ? "" : " and ") + std::string(word);
  };
  say(sample.total.has_value(), "total");
  say(sample.used.has_value(), "use");
  say(sample.free.has_value() || !sample.used, "what is free");
  return "it does not tell " + missing;
}

void distrust_processes(DeviceSample& sample) {
  for (DeviceProcess& process : sample.processes) {
    if (!process.bytes || (process.bytes >= 0_B && process.bytes <= sample.total))
      continue;
    sample.notes.push_back("process " + std::to_string(process.pid) + " is said to hold " +
                           to_text(*process.bytes) + ", which cannot be; its use is unknown");
    process.bytes.reset();
  }
}

}  // namespace

// One device while its family is asked.
struct DeviceProbe::Candidate {
  DeviceSample sample;  // the best so far
  std::vector<SourceProblem> failed;
  bool settled = false;
  bool not_supported = false;
  std::string_view listed_by;  // the last source that knew it
};

std::string nonsense_in(const DeviceSample& sample) {
  if (!sample.total)
    return {};
  const Bytes total = *sample.total;
  if (total <= 0_B)
    return "it reports a total of " + to_text(total);
  Bytes sum;
  const std::pair<std::string_view, const std::optional<Bytes>*> parts[] = {
      {"reserved", &sample.reserved}, {"used", &sample.used}, {"free", &sample.free}};
  for (const auto& [word, part] : parts) {
    if (!*part)
      continue;
    if (**part < 0_B || **part > total)
      return "it reports " + to_text(**part) + " " + std::string(word) + " of " + to_text(total);
    sum += **part;
  }
  // Rounding and reserves that are counted twice are normal; a tenth too much is not.
  if (sum > total + permille_of(total, 100))
    return "its parts add up to " + to_text(sum) + " of " + to_text(total);
  return {};
}

DeviceProbe::DeviceProbe(std::vector<SourceFamily> families, std::string root)
    : families_(std::move(families)), root_(std::move(root)) {}

std::string DeviceProbe::disbelief(const DeviceSample& sample) {
  if (std::string nonsense = nonsense_in(sample); !nonsense.empty())
    return nonsense + ", which cannot be";
  if (!sample.total)
    return {};
  const auto [entry, is_new] = totals_.try_emplace({sample.id, sample.source}, *sample.total);
  SeenTotal& seen = entry->second;
  if (is_new || seen.believed == *sample.total) {
    seen.proposed.reset();
    return {};
  }
  if (seen.proposed == *sample.total) {
    seen = {*sample.total, std::nullopt};
    return {};
  }
  seen.proposed = *sample.total;
  return "its total went from " + to_text(seen.believed) + " to " + to_text(*sample.total) +
         "; believed when it says so again";
}

void DeviceProbe::take(DeviceReading reading, std::string_view source, Candidate& candidate) {
  const auto fail_with = [&](std::string why) {
    candidate.failed.push_back({std::string(source), std::move(why)});
  };
  DeviceSample& best = candidate.sample;
  DeviceSample& next = reading.sample;
  candidate.not_supported |= reading.memory_not_supported;
  best.unified |= next.unified;
  best.integrated |= next.integrated;
  if (best.name.empty())
    best.name = next.name;
  if (best.pci.empty())
    best.pci = next.pci;
  if (!best.processes_known && next.processes_known) {
    best.processes = std::move(next.processes);
    best.processes_known = true;
  }
  best.notes.insert(best.notes.end(), next.notes.begin(), next.notes.end());
  if (!reading.problem.empty())
    return fail_with(std::move(reading.problem));
  next.id = best.id;
  if (std::string why = disbelief(next); !why.empty())
    return fail_with(std::move(why));
  if (next.complete() || !best.total) {
    best.total = next.total;
    best.reserved = next.reserved;
    best.used = next.used;
    best.free = next.free;
    best.source = next.source;
  }
  candidate.settled = next.complete();
  if (!candidate.settled)
    fail_with(what_is_missing(next));
}

void DeviceProbe::ask_family(const SourceFamily& family, std::vector<Candidate>& found,
                             DeviceSurvey& survey) {
  std::vector<SourceProblem> family_failed;
  std::vector<Candidate> own;
  for (const auto& source : family.sources) {
    const bool settled =
        std::ranges::all_of(own, [](const Candidate& c) { return c.settled || c.sample.unified; });
    if (!own.empty() && settled)
      break;
    const auto fail_source = [&](std::string why) {
      family_failed.push_back({std::string(source->name()), std::move(why)});
      for (Candidate& candidate : own) {
        if (!candidate.settled)
          candidate.failed.push_back(family_failed.back());
      }
    };
    auto readings = source->read();
    if (!readings) {
      fail_source(readings.error().text());
      continue;
    }
    if (readings->empty())
      fail_source("it lists no GPU");
    for (DeviceReading& reading : *readings) {
      if (reading.sample.id.empty()) {
        fail_source(std::move(reading.problem));
        continue;
      }
      const auto is_it = [&](const Candidate& c) { return same_device(c.sample, reading.sample); };
      // MIG instances share a PCI address, so the identity by name comes first.
      auto known =
          std::ranges::find(own, reading.sample.id, [](const Candidate& c) { return c.sample.id; });
      if (known == own.end() && !reading.sample.id.starts_with("MIG-"))
        known = std::ranges::find_if(own, is_it);
      if (known == own.end()) {
        Candidate fresh{.failed = family_failed};
        fresh.sample.id = reading.sample.id;
        known = own.insert(own.end(), std::move(fresh));
      }
      const bool other_view = known->sample.id.starts_with("MIG-") &&
                              uuid_of(reading.sample.id) != uuid_of(known->sample.id);
      known->listed_by = source->name();
      if (!known->settled && !other_view)
        take(std::move(reading), source->name(), *known);
    }
    for (Candidate& candidate : own) {
      if (!candidate.settled && !readings->empty() && candidate.listed_by != source->name())
        candidate.failed.push_back({std::string(source->name()), "it does not list this GPU"});
    }
  }
  survey.failed.insert(survey.failed.end(), family_failed.begin(), family_failed.end());
  add(own, found);
}

// Another family may know the same card; instances of one card are not the same device.
void DeviceProbe::add(std::vector<Candidate>& own, std::vector<Candidate>& found) {
  const std::size_t before = found.size();
  for (Candidate& candidate : own) {
    const auto others = std::span(found).first(before);
    const auto other = std::ranges::find_if(
        others, [&](const Candidate& c) { return same_device(c.sample, candidate.sample); });
    if (other == others.end()) {
      found.push_back(std::move(candidate));
    } else if (!other->settled && candidate.settled) {
      DeviceSample& sample = other->sample;
      sample.total = candidate.sample.total;
      sample.reserved = candidate.sample.reserved;
      sample.used = candidate.sample.used;
      sample.free = candidate.sample.free;
      sample.source = candidate.sample.source;
      other->settled = true;
    } else if (!other->settled) {
      other->sample.unified |= candidate.sample.unified;
    }
  }
}

void DeviceProbe::finish(Candidate& candidate) const {
  DeviceSample& sample = candidate.sample;
  if (candidate.not_supported && !candidate.settled && sample.total && host_total_)
    sample.unified |= about_equal(*sample.total, *host_total_);
  if (sample.unified && !candidate.settled && host_total_ && host_available_) {
    sample.source = (sample.source.empty() ? "" : sample.source + ", ") + "/proc/meminfo";
    sample.total = *host_total_;
    sample.free = *host_available_;
    sample.used = *host_total_ - *host_available_;
    sample.reserved.reset();
  }
  if (sample.total)
    distrust_processes(sample);
}

void DeviceProbe::find_lost(DeviceSurvey& survey) {
  for (const auto& [id, last] : known_) {
    const bool here = std::ranges::any_of(survey.devices, [&](const SurveyedDevice& device) {
      return device.sample.id == last.id ||
             (!last.pci.empty() && device.sample.pci == last.pci && !last.id.starts_with("MIG-"));
    });
    if (!here)
      survey.lost.push_back(last);
  }
  for (const SurveyedDevice& device : survey.devices) {
    const DeviceSample& sample = device.sample;
    known_[sample.id] = {sample.id, sample.pci, sample.name, sample.source};
  }
}

DeviceSurvey DeviceProbe::survey() {
  host_total_.reset();
  host_available_.reset();
  if (const auto host = read_meminfo(root_)) {
    host_total_ = host->total;
    host_available_ = host->available;
  }
  DeviceSurvey survey;
  std::vector<Candidate> found;
  for (const SourceFamily& family : families_) {
    const bool answered = std::ranges::all_of(
        found, [](const Candidate& c) { return c.settled || c.sample.unified; });
    if (family.last_resort && !found.empty() && answered)
      continue;
    ask_family(family, found, survey);
    if (family.wins && !found.empty())
      break;
  }
  for (Candidate& candidate : found) {
    finish(candidate);
    survey.devices.push_back({std::move(candidate.sample), std::move(candidate.failed)});
  }
  std::ranges::sort(survey.devices, {}, [](const SurveyedDevice& device) {
    return std::tie(device.sample.pci, device.sample.id);
  });
  find_lost(survey);
  return survey;
}

}  // namespace tonnage
