#include "api/decision_log.h"

#include <algorithm>

#include "base/check.h"

namespace tonnage::api {

DecisionLog::DecisionLog(std::size_t capacity) : capacity_(capacity) {
  TONNAGE_CHECK(capacity > 0, "a log that holds nothing cannot hand out its entries");
}

const LoggedDecision& DecisionLog::append(Decision decision) {
  if (entries_.size() == capacity_)
    entries_.pop_front();
  if (decision.text.size() > kTextBytesMax) {
    std::size_t cut = kTextBytesMax;
    // Not within a UTF-8 character.
    while (cut > 0 && (static_cast<unsigned char>(decision.text[cut]) & 0xC0) == 0x80)
      --cut;
    decision.text.resize(cut);
    decision.text.shrink_to_fit();
  }
  return entries_.emplace_back(++last_seq_, std::move(decision));
}

bool DecisionLog::matches(const DecisionFilter& filter, const LoggedDecision& entry) {
  const Decision& decision = entry.decision;
  if (entry.seq <= filter.after_seq)
    return false;
  if (!filter.kinds.empty() &&
      std::ranges::find(filter.kinds, decision.kind) == filter.kinds.end()) {
    return false;
  }
  return !filter.model || decision.model == filter.model || decision.other == filter.model ||
         std::ranges::find(decision.victims, *filter.model) != decision.victims.end();
}

std::vector<const LoggedDecision*> DecisionLog::query(const DecisionFilter& filter) const {
  std::vector<const LoggedDecision*> found;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (found.size() == filter.limit || entry->seq <= filter.after_seq)
      break;
    if (matches(filter, *entry))
      found.push_back(&*entry);
  }
  std::ranges::reverse(found);
  return found;
}

std::uint64_t DecisionLog::first_seq() const {
  return entries_.empty() ? last_seq_ + 1 : entries_.front().seq;
}

}  // namespace tonnage::api
