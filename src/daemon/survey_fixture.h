// For tests: a survey of devices in which no source failed.
#pragma once

#include <utility>
#include <vector>

#include "probe/gpu/device_probe.h"

namespace tonnage {

inline DeviceSurvey survey_of(std::vector<SurveyedDevice> devices) {
  return {.devices = std::move(devices), .failed = {}, .lost = {}};
}

}  // namespace tonnage
