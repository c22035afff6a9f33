#include "config/command_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kWhisper = R"(
models:
  whisper:
    command: [./whisper, --port, "${PORT}", -m, ~/ggml.bin]
    type: stt
    memory: {host: 1GiB, gpu: 2GiB}
)";

std::string with_command(const std::string& command, const std::string& more = {}) {
  return "models:\n  own:\n    command: " + command + "\n    memory: {host: 1GiB}\n" + more;
}

TEST(Command, a_program_its_memory_and_its_paths) {
  const Config config = config_of(kWhisper);
  const ModelConfig& model = config.models.at(0);
  EXPECT_THAT(model.command,
              ElementsAre("/etc/tonnage/whisper", "--port", "${PORT}", "-m", "/ada/ggml.bin"));
  EXPECT_EQ(model.declared_host, 1_GiB);
  EXPECT_EQ(model.declared_gpu, 2_GiB);
  EXPECT_EQ(model.health, "/health");
  EXPECT_EQ(model.configured.context, 0) << "nobody knows it";
  EXPECT_EQ(config.policy.models.at(0).type, ModelType::stt);
}

TEST(Command, a_program_without_a_slash_is_left_to_the_path) {
  EXPECT_EQ(config_of(with_command("[serve, \"${SOCKET}\"]")).models.at(0).command.front(),
            "serve");
}

TEST(Command, what_would_need_a_shell_is_reported) {
  for (const char* words :
       {"[a, \"${PORT}\", \"|\", tee]", "[a, \"${PORT}\", \"2>&1\"]", "[a, \"${PORT}\", \"&&\", b]",
        "[a, \"${PORT}\", \"$(hostname)\"]", "[a, \"${PORT}\", \"`id`\"]"}) {
    EXPECT_THAT(problems_of(inputs_of(with_command(words))), HasSubstr("would need a shell"))
        << words;
  }
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, \"${PORT}\", $HOME/model]"))),
              HasSubstr("variables of the environment are not replaced"));
}

TEST(Command, a_variable_that_nobody_knows_is_named) {
  EXPECT_THAT(
      problems_of(inputs_of(with_command("[a, \"${PORT}\", \"${HOST}\"]"))),
      HasSubstr("in '${HOST}', ${HOST} is not known; there are ${PORT}, ${SOCKET}, ${MODEL} and "
                "${GPU_UUIDS}"));
}

TEST(Command, a_server_is_reached_in_one_way) {
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, --port, 8080]"))),
              HasSubstr("neither ${PORT} nor ${SOCKET} is used"));
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, \"${PORT}\", \"${SOCKET}\"]"))),
              HasSubstr("both ${PORT} and ${SOCKET} are used"));
}

TEST(Command, memory_must_be_said_and_have_a_unit) {
  EXPECT_THAT(problems_of(inputs_of("models: {own: {command: [a, \"${PORT}\"]}}")),
              HasSubstr("add 'memory: {host: 1GiB}'"));
  EXPECT_THAT(
      problems_of(inputs_of("models: {own: {command: [a, \"${PORT}\"], memory: {host: 6 gigs}}}")),
      AllOf(HasSubstr("6 gigs"), Not(HasSubstr("is missing"))));
  EXPECT_THAT(problems_of(inputs_of("models: {own: {gguf: a.gguf, memory: {gpu: 1GiB}}}")),
              HasSubstr("this is for a `command`"));
}

TEST(Command, a_model_has_one_source) {
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, \"${PORT}\"]", "    gguf: a.gguf\n"))),
              HasSubstr("'gguf' is given as well"));
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, \"${PORT}\"]", "    lora: [b.gguf]\n"))),
              HasSubstr("say it in the command"));
}

TEST(Command, a_command_as_one_text_is_refused) {
  EXPECT_THAT(problems_of(inputs_of(with_command("serve --port ${PORT}"))), HasSubstr("command"));
}

TEST(Command, health_is_a_path) {
  EXPECT_THAT(problems_of(inputs_of(with_command("[a, \"${PORT}\"]", "    health: ok\n"))),
              HasSubstr("'ok' is not a path"));
}

TEST(ReplacedWords, a_value_is_never_more_than_part_of_a_word) {
  EXPECT_THAT(replaced_words({"a", "--at=${HOST}:${PORT}", "${MODEL}", "${", "$x"},
                             {{"PORT", "1"}, {"HOST", "h"}, {"MODEL", "b; ${PORT} `c`"}}),
              ElementsAre("a", "--at=h:1", "b; ${PORT} `c`", "${", "$x"));
}

}  // namespace
}  // namespace tonnage
