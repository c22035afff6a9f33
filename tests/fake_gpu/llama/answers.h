// Answers: the JSON of a fake model server, in the shapes of llama-server.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace fake_gpu {

std::string error_json(int code, const std::string& message, const std::string& type);
// "This server does not support WHAT. Start it with `FLAG`".
std::string not_supported(const std::string& what, const std::string& flag);

struct Generation {
  bool chat = true;
  bool stream = false;
  std::int64_t tokens = 16;
  std::int64_t prompt_tokens = 1;
};

// Of a request's body; the error is the body of an answer with status 400.
std::expected<Generation, std::string> read_generation(const std::string& body, bool chat,
                                                       std::int64_t context);

// One answer, word by word: "<model>: word word". Its first token names the model.
class Answer {
 public:
  Answer(std::string model, Generation wanted);

  bool more() const { return made_ < wanted_.tokens; }
  std::string next();         // the next token, as a chunk of a stream
  std::string last() const;   // the chunk that ends a stream
  std::string whole() const;  // all of it

 private:
  std::string chunk(const std::string& text, bool ends) const;

  std::string model_;
  Generation wanted_;
  std::int64_t made_ = 0;
  std::string text_;
};

std::string models_json(const std::string& model);
std::string embeddings_json(const std::string& model, const std::string& body);
std::string rerank_json(const std::string& model, const std::string& body);

// Saves, restores or erases what slot `slot` holds, in a file of `folder`.
std::expected<std::string, std::string> slot_action(const std::string& folder,
                                                    const std::string& slot,
                                                    const std::string& action,
                                                    const std::string& body);

}  // namespace fake_gpu
