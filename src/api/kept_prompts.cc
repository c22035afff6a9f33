#include "api/kept_prompts.h"

namespace tonnage::api {
namespace {

// Fewer prompts, or shorter ones, say nothing of how a model is used.
constexpr std::uint64_t kPromptsMin = 8;
constexpr std::uint64_t kTokensMin = 4096;
// A conversation of any length keeps far more than this share of its prompts.
constexpr std::uint64_t kKeptPercentMin = 25;

}  // namespace

std::string kept_note(const PromptUse& use) {
  const TokenCounts& tokens = use.totals.tokens;
  if (use.totals.prompts < kPromptsMin || tokens.prompt < kTokensMin ||
      tokens.kept * 100 >= tokens.prompt * kKeptPercentMin)
    return {};
  std::string note = std::to_string(tokens.kept) + " of " + std::to_string(tokens.prompt) +
                     " prompt tokens were kept from earlier requests, the others were read. For "
                     "conversations ";
  if (use.checkpoints_off)
    return note +
           "remove `checkpoints: 0`: without copies this model reads each prompt from its "
           "beginning.";
  if (use.slots == 1)
    return note + "set `slots: 2`: with one slot any other request takes a conversation's place.";
  return note + "that take turns, set more `slots` than " + std::to_string(use.slots) +
         ": each keeps one.";
}

}  // namespace tonnage::api
