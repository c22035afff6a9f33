#include "config/problem.h"

#include <algorithm>
#include <tuple>

namespace tonnage {
namespace {

constexpr std::size_t kQuotedMax = 60;
// Longer words are no typing mistakes, and the table of distances is quadratic.
constexpr std::size_t kSuggestMax = 80;

// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    rows[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j)
    rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.size()][b.size()];
}

}  // namespace

std::string to_text(const Origin& origin) {
  if (origin.line == 0)
    return origin.name;
  return origin.name + ":" + std::to_string(origin.line) + ":" + std::to_string(origin.column);
}

std::string to_text(const Problem& problem) {
  const std::string where = to_text(problem.origin);
  return where.empty() ? problem.text : where + ": " + problem.text;
}

void Problems::add(Origin origin, std::string text) {
  if (kept_.size() == kProblemsMax) {
    ++dropped_;
    return;
  }
  kept_.push_back({std::move(origin), std::move(text)});
}

std::string Problems::text() const {
  std::vector<Problem> sorted = kept_;
  std::ranges::stable_sort(sorted, {}, [](const Problem& p) {
    // The file first, then the environment and the flags in the order they were read.
    return std::tuple(p.origin.line == 0, p.origin.line, p.origin.column);
  });
  std::string out;
  for (const Problem& problem : sorted)
    out += to_text(problem) + "\n";
  if (dropped_ > 0) {
    out += "and " + std::to_string(dropped_) + " more; correct these first\n";
  }
  return out;
}

std::string_view nearest(std::string_view word, std::span<const std::string> candidates) {
  if (word.empty() || word.size() > kSuggestMax)
    return {};
  std::string_view best;
  // Half of a short word may be wrong, a third of a long one.
  std::size_t best_distance = std::max<std::size_t>(word.size() <= 4 ? 2 : word.size() / 3 + 1, 2);
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kSuggestMax)
      continue;
    const std::size_t d = distance(word, candidate);
    if (d < best_distance || (d == best_distance && best.empty())) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string_view best = nearest(word, candidates);
  return best.empty() ? "" : "; did you mean '" + std::string(best) + "'?";
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  std::size_t end = text.size();
  if (end > kQuotedMax) {
    end = kQuotedMax;
    // Not in the middle of a UTF-8 sequence.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
      --end;
  }
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return out + (end < text.size() ? "...'" : "'");
}

}  // namespace tonnage
