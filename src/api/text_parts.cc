#include "api/text_parts.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "api/json_scan.h"

namespace tonnage::api {
namespace {

std::optional<std::int64_t> integer(std::string_view value) {
  std::int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [last, error] = std::from_chars(value.data(), end, number);
  return error == std::errc{} && last == end ? std::optional(number) : std::nullopt;
}

// Element `element` of an answer with its index moved up by `base`; false where it has none.
bool append_renumbered(std::string& out, std::string_view element, std::uint64_t base) {
  JsonObjectReader reader(element);
  JsonMember member;
  while (reader.next(member)) {
    if (member.key != "index")
      continue;
    const auto index = integer(member.value);
    if (!index || *index < 0)
      return false;
    const auto at = static_cast<std::size_t>(member.value.data() - element.data());
    out.append(element.substr(0, at));
    out.append(std::to_string(base + static_cast<std::uint64_t>(*index)));
    out.append(element.substr(at + member.value.size()));
    return true;
  }
  return false;
}

void append_members(std::string& out,
                    const std::vector<std::pair<std::string, std::string>>& members) {
  out += '{';
  for (const auto& [key, value] : members) {
    if (out.back() != '{')
      out += ',';
    out.append("\"").append(key).append("\":").append(value);
  }
  out += '}';
}

}  // namespace

TextParts::TextParts(std::string_view body, std::string_view texts, std::size_t at_once)
    : before_(body.substr(0, static_cast<std::size_t>(texts.data() - body.data()))),
      behind_(body.substr(before_.size() + texts.size())),
      left_(texts.substr(1, texts.size() - 2)),
      at_once_(std::max<std::size_t>(1, at_once)) {
  choose_part();
}

void TextParts::choose_part() {
  JsonArrayReader reader(left_);
  std::string_view text;
  std::size_t cost = 0;
  part_ = left_.substr(0, 0);
  part_texts_ = 0;
  while (part_texts_ < at_once_ || cost < kPartBytes) {
    if (!reader.next(text)) {
      part_ = left_;
      return;
    }
    const std::size_t own = std::max(text.size(), kTextBytesMin);
    if (part_texts_ >= at_once_ && cost + own > kPartBytes)
      return;
    cost += own;
    ++part_texts_;
    part_ = left_.substr(0, static_cast<std::size_t>(text.data() + text.size() - left_.data()));
  }
}

std::string TextParts::body() const {
  std::string out;
  out.reserve(before_.size() + part_.size() + behind_.size() + 2);
  return out.append(before_).append("[").append(part_).append("]").append(behind_);
}

bool TextParts::take(std::string_view answer) {
  const bool first = members_.empty();
  JsonObjectReader reader(answer);
  JsonMember member;
  bool data = false;
  while (reader.next(member)) {
    if (member.key == "data") {
      data = take_data(member.value);
      if (!data)
        return false;
    } else if (member.key == "usage" && !take_usage(member.value)) {
      return false;
    }
    if (first)
      members_.emplace_back(member.key, member.key == "data" ? "" : member.value);
  }
  if (reader.fault() || !data)
    return false;
  answered_ += part_texts_;
  left_.remove_prefix(part_.size());
  const std::size_t comma = left_.find(',');
  left_ = comma == std::string_view::npos ? left_.substr(left_.size()) : left_.substr(comma + 1);
  choose_part();
  return true;
}

// As many as were asked for, or it is no such answer.
bool TextParts::take_data(std::string_view data) {
  if (!data.starts_with('[') || data_.size() + data.size() > kJoinedBytesMax)
    return false;
  JsonArrayReader reader(data.substr(1, data.size() - 2));
  std::string_view element;
  std::size_t count = 0;
  while (reader.next(element)) {
    if (!data_.empty())
      data_ += ',';
    if (!element.starts_with('{') || !append_renumbered(data_, element, answered_))
      return false;
    ++count;
  }
  return count == part_texts_;
}

bool TextParts::take_usage(std::string_view usage) {
  if (!usage.starts_with('{'))
    return false;
  JsonObjectReader reader(usage);
  JsonMember member;
  while (reader.next(member)) {
    const auto known =
        std::ranges::find(usage_, member.key, &std::pair<std::string, std::string>::first);
    if (known == usage_.end()) {
      usage_.emplace_back(member.key, member.value);
      continue;
    }
    const auto more = integer(member.value);
    const auto sum = integer(known->second);
    if (more && sum)
      known->second = std::to_string(*sum + *more);
  }
  return !reader.fault();
}

std::string TextParts::joined() const {
  std::vector<std::pair<std::string, std::string>> members = members_;
  for (auto& [key, value] : members) {
    if (key == "data") {
      value = "[" + data_ + "]";
    } else if (key == "usage") {
      value.clear();
      append_members(value, usage_);
    }
  }
  std::string out;
  append_members(out, members);
  return out;
}

}  // namespace tonnage::api
