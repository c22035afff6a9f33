// TextParts: a request for the embeddings of many texts as several that ask for a few each, and
// their answers as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tonnage::api {

// A server works off all texts of a request before it looks at the next one, so hundreds of them
// would keep a single one waiting to their end. In parts, others get their turn in between.
//
// Answers are joined in order and byte by byte: each element of `data` is what the server wrote but
// for its `index`, the integers in `usage` are added up, and everything else is the first answer's.
class TextParts {
 public:
  // A part holds as many texts as the server works on at once, and more while they are short: what
  // a part costs beside its texts is then little, and it takes no longer than a few long texts. A
  // text counts as kTextBytesMin at least, because each takes a step of its own.
  static constexpr std::size_t kPartBytes = 4096;
  static constexpr std::size_t kTextBytesMin = 256;
  // A joined answer beyond this is not made in memory: the request then goes to the server whole.
  static constexpr std::size_t kJoinedBytesMax = std::size_t{512} << 20;

  // `texts` is a part of `body`: a JSON array of texts that was checked before. Both outlive this
  // object. `at_once`: slots of the server.
  TextParts(std::string_view body, std::string_view texts, std::size_t at_once);

  // The body that asks for the texts whose turn it is; the same until take().
  std::string body() const;
  // The server's answer to it. False: it is not what such an answer looks like.
  bool take(std::string_view answer);
  bool done() const { return left_.empty(); }
  // The whole answer, once done().
  std::string joined() const;

 private:
  void choose_part();
  bool take_data(std::string_view data);
  bool take_usage(std::string_view usage);

  std::string_view before_;  // of the body, up to the array
  std::string_view behind_;
  std::string_view left_;  // the elements that have had no turn, with the commas between them
  std::string_view part_;  // the first of these
  std::size_t part_texts_ = 0;
  std::size_t at_once_;
  std::uint64_t answered_ = 0;                                // texts
  std::vector<std::pair<std::string, std::string>> members_;  // of the first answer, as written
  std::vector<std::pair<std::string, std::string>> usage_;    // integers are sums
  std::string data_;
};

}  // namespace tonnage::api
