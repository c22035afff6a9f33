// Problem: one thing that is wrong with a configuration, where, and what to do; a bounded list of
// them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tonnage {

// Where a piece of text came from. Lines and columns count from 1; 0 where there are none.
struct Origin {
  std::string name;  // "tonnage.yaml", "environment TONNAGE_LISTEN", "flag --listen"
  int line = 0;
  int column = 0;

  friend bool operator==(const Origin&, const Origin&) = default;
};

// "tonnage.yaml:12:5", or the name alone.
std::string to_text(const Origin& origin);

struct Problem {
  Origin origin;
  std::string text;  // what is wrong, the offending text, and what to do

  friend bool operator==(const Problem&, const Problem&) = default;
};

// "tonnage.yaml:12:5: unknown key 'yeild_after' in queue; did you mean 'yield_after'?"
std::string to_text(const Problem& problem);

// A file that is wrong throughout would bury the first mistakes under thousands.
inline constexpr std::size_t kProblemsMax = 20;

// Problems in the order found. What comes after the bound is counted, not kept.
class Problems {
 public:
  void add(Origin origin, std::string text);

  bool empty() const { return kept_.empty(); }
  std::span<const Problem> kept() const { return kept_; }
  std::size_t dropped() const { return dropped_; }

  // Lines in the order of the file, one problem each, and a last line about what was dropped.
  std::string text() const;

 private:
  std::vector<Problem> kept_;
  std::size_t dropped_ = 0;
};

// The candidate nearest to `word`, or empty where none is near enough to be meant. Ties go to the
// earlier candidate.
std::string_view nearest(std::string_view word, std::span<const std::string> candidates);

// "; did you mean 'yield_after'?" or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

// `text` between quotes, control characters replaced, cut after 60 bytes: safe in any terminal.
std::string in_quotes(std::string_view text);

}  // namespace tonnage
