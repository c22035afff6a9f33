#include "engine/failure_class.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

using enum FailureKind;

Failure classify(ExitStatus status, const std::vector<std::string_view>& lines,
                 bool killed_by_kernel = false) {
  return classify_exit(status, killed_by_kernel, lines);
}

TEST(FailureClass, MemoryOutweighsTheLoadFailureThatItCauses) {
  const auto failure = classify(
      {.code = 1}, {"E ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 1073741824",
                    "E llama_model_load: error loading model: x",
                    "E srv  llama_server: exiting due to model loading error"});
  EXPECT_EQ(failure.kind, out_of_device_memory);
  EXPECT_EQ(failure.text,
            "exit status 1: E ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size "
            "1073741824 (1.00 GiB on device 0)");
}

TEST(FailureClass, MemoryOutweighsTheLoaderThatMissesIt) {
  EXPECT_EQ(classify({.code = 127}, {"llama-server: error while loading shared libraries: "
                                     "libggml-base.so.0: failed to map segment from shared object"})
                .kind,
            out_of_memory);
}

TEST(FailureClass, OfALoadFailureTheMostTellingLineIsShown) {
  const auto failure = classify(
      {.code = 1}, {"E llama_model_load: error loading model: unknown model architecture: 'x'",
                    "E srv    load_model: failed to load model, '/x.gguf'",
                    "E srv  llama_server: exiting due to model loading error"});
  EXPECT_EQ(failure.text,
            "exit status 1: E llama_model_load: error loading model: unknown model architecture: "
            "'x' (the engine may be too old for this model)");
}

TEST(FailureClass, AKillIsMemoryOnlyWithTheKernelsEvidence) {
  EXPECT_EQ(classify({.signal = SIGKILL}, {}, true).kind, out_of_memory);
  const auto killed = classify({.signal = SIGKILL}, {"E failed to load model"}, false);
  EXPECT_EQ(killed.kind, FailureKind::killed);
  EXPECT_EQ(killed.text, "killed by signal 9 (SIGKILL)");
}

TEST(FailureClass, AShellTellsOfTheSignalThatEndedWhatItRan) {
  EXPECT_EQ(classify({.code = 137}, {}, true).kind, out_of_memory);
  EXPECT_EQ(classify({.code = 137}, {"E failed to load model"}, false).kind, crashed);
  EXPECT_EQ(classify({.code = 134}, {"CUDA error: out of memory"}).kind, out_of_device_memory);
  EXPECT_EQ(classify({.code = 139}, {}).kind, crashed);
  EXPECT_EQ(classify({.code = 143}, {"CUDA error: out of memory"}).kind, FailureKind::killed);
}

TEST(FailureClass, ASignalNamesItself) {
  const auto failure = classify({.signal = SIGSEGV}, {"I slot launch", "", "  "});
  EXPECT_EQ(failure.kind, crashed);
  EXPECT_EQ(failure.text, "killed by signal 11 (SIGSEGV): I slot launch");
}

TEST(FailureClass, TheEnginesTimeAndLevelAreNoWordsOfIts) {
  EXPECT_EQ(classify({.code = 1}, {"0.00.077.961 E CUDA error: out of memory"}).text,
            "exit status 1: CUDA error: out of memory");
  EXPECT_EQ(classify({.code = 1}, {"12.34.077.961 I bye"}).text, "exit status 1: bye");
  for (const char* words : {"0.0.0 E other", "1.2.3.4 is an address", "0.00.077.961 E", "..."})
    EXPECT_EQ(classify({.code = 1}, {words}).text, std::string("exit status 1: ") + words);
}

TEST(FailureClass, AnIllegalInstructionIsTheWrongBuild) {
  EXPECT_EQ(classify({.signal = SIGILL}, {}).kind, bad_setup);
}

TEST(FailureClass, AnAbortWithDeviceMemoryWordsIsMemory) {
  const auto failure = classify(
      {.signal = SIGABRT}, {"CUDA error: out of memory", "  current device: 0, in function alloc"});
  EXPECT_EQ(failure.kind, out_of_device_memory);
  EXPECT_EQ(failure.text, "killed by signal 6 (SIGABRT): CUDA error: out of memory");
}

TEST(FailureClass, TheStackThatADebuggerPrintsHidesNothing) {
  std::vector<std::string> said{"CUDA error: out of memory"};
  for (int i = 0; i < 100; ++i) {
    said.push_back("[New LWP " + std::to_string(4711 + i) + "]");
    said.push_back("#" + std::to_string(i) + "  0x00007f0000000000 in ggml_abort ()");
  }
  EXPECT_EQ(classify({.signal = SIGABRT}, {said.begin(), said.end()}).kind, out_of_device_memory);
}

TEST(FailureClass, WhatWasSaidLongAgoIsNotWhyItEnded) {
  std::vector<std::string> said{"E process_ubatch: failed to compute graph, compute status: -2"};
  for (int i = 0; i < 60; ++i)
    said.push_back("I slot launch_slot_: id  1 | task " + std::to_string(i));
  EXPECT_EQ(classify({.signal = SIGSEGV}, {said.begin(), said.end()}).kind, crashed);
  said.pop_back();
  EXPECT_EQ(classify({.signal = SIGSEGV}, {said.begin(), said.end()}).kind, out_of_memory);
}

TEST(FailureClass, AnEndInOrderIsNoFailureOfMemory) {
  for (const ExitStatus status :
       {ExitStatus{.code = 0}, {.signal = SIGTERM}, {.signal = SIGINT}, {.signal = SIGHUP}}) {
    const auto kind = classify(status, {"CUDA error: out of memory", "failed to load model"}).kind;
    EXPECT_EQ(kind, status.clean() ? exited : FailureKind::killed) << to_text(status);
  }
}

TEST(FailureClass, AnAttemptThatIsFollowedByAnotherIsNoReason) {
  for (const std::string_view line :
       {"W graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism",
        "W llama_params_fit: failed to fit params to free device memory: n_gpu_layers already set",
        "warning: failed to mlock 4096-byte buffer (after previously locking 0 bytes): Cannot "
        "allocate memory",
        "W decode: failed to find a memory slot for batch of size 512",
        "D ggml_cuda_host_malloc: failed to allocate 512.00 MiB of pinned memory: out of memory"}) {
    for (const ExitStatus status : {ExitStatus{.code = 1}, {.signal = SIGSEGV}}) {
      const auto kind = classify(status, {line}).kind;
      EXPECT_TRUE(kind == exited || kind == crashed) << line;
    }
  }
}

TEST(FailureClass, WithoutWordsTheStatusIsAllThereIs) {
  EXPECT_EQ(classify({.code = 2}, {}).text, "exit status 2");
  EXPECT_EQ(classify({.code = 0}, {}).kind, exited);
}

// Answers.

constexpr std::string_view kComputeError =
    R"({"error":{"code":500,"message":"Compute error.","type":"server_error"}})";

TEST(AnswerClass, WhatIsNoErrorIsFineWhateverItSays) {
  const auto found = classify_answer(200, "CUDA out of memory");
  EXPECT_EQ(found.verdict, AnswerVerdict::fine);
  EXPECT_FALSE(found.failure);
}

TEST(AnswerClass, AComputeErrorIsMemoryUnlessTheLogSaysOtherwise) {
  const auto bare = classify_answer(500, kComputeError);
  EXPECT_EQ(bare.verdict, AnswerVerdict::memory);
  EXPECT_EQ(bare.failure->kind, out_of_memory);
  EXPECT_EQ(bare.failure->text, "HTTP 500: Compute error.");

  const std::vector<std::string_view> device{
      "ggml_gallocr_reserve_n_impl: failed to allocate CUDA1 buffer of size 1073741824",
      "E process_ubatch: failed to compute graph, compute status: -2"};
  const auto told = classify_answer(500, kComputeError, device);
  EXPECT_EQ(told.verdict, AnswerVerdict::memory);
  EXPECT_EQ(told.failure->kind, out_of_device_memory);
  EXPECT_EQ(told.detail, (FailureDetail{.needed = 1_GiB, .device = 1}));

  const std::vector<std::string_view> other{
      "E process_ubatch: failed to compute graph, compute status: -3"};
  EXPECT_EQ(classify_answer(500, kComputeError, other).verdict, AnswerVerdict::server_error);
}

TEST(AnswerClass, ARequestThatIsTooLongIsTheClientsAffair) {
  const auto found = classify_answer(
      400, R"({"error":{"code":400,"message":"request (15004 tokens) exceeds the available )"
           R"(context size (512 tokens), try increasing it","type":"exceed_context_size_error",)"
           R"("n_prompt_tokens":15004,"n_ctx":512}})");
  EXPECT_EQ(found.verdict, AnswerVerdict::client_error);
  EXPECT_FALSE(found.failure);
  EXPECT_EQ(found.detail, (FailureDetail{.context = 512, .prompt_tokens = 15004}));
}

TEST(AnswerClass, ABodyThatQuotesItsRequestIsNotBelieved) {
  const auto found = classify_answer(
      400,
      R"({"error":{"message":"cannot parse: why is CUDA out of memory. Tried to allocate 2.00 )"
      R"(GiB?"}})");
  EXPECT_EQ(found.verdict, AnswerVerdict::client_error);
  EXPECT_FALSE(found.detail.needed);
}

TEST(AnswerClass, BusyServersSaySo) {
  EXPECT_EQ(classify_answer(429, "{}").verdict, AnswerVerdict::busy);
  EXPECT_EQ(classify_answer(503, "").verdict, AnswerVerdict::busy);
  EXPECT_EQ(classify_answer(503, R"({"error":"server busy, please try again.  maximum pending )"
                                 R"(requests exceeded"})")
                .verdict,
            AnswerVerdict::busy);
}

TEST(AnswerClass, MemoryOfServersBehindOtherServers) {
  const auto ollama = classify_answer(
      500, R"({"error":"llama-server reported out-of-memory during startup: )"
           R"(ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: )"
           R"(cudaMalloc failed: out of memory"})");
  EXPECT_EQ(ollama.verdict, AnswerVerdict::memory);
  EXPECT_EQ(ollama.failure->kind, out_of_device_memory);
  EXPECT_EQ(ollama.detail.needed, 4_GiB);
  const auto host = classify_answer(
      500,
      R"x({"error":"model requires more system memory (5.5 GiB) than is available (4 GiB)"})x");
  EXPECT_EQ(host.failure->kind, out_of_memory);
  EXPECT_EQ(host.detail.available, 4_GiB);
}

TEST(AnswerClass, AnythingElseIsTheServersError) {
  const auto found = classify_answer(502, "<html>Bad gateway</html>");
  EXPECT_EQ(found.verdict, AnswerVerdict::server_error);
  EXPECT_EQ(found.failure->text, "HTTP 502: <html>Bad gateway</html>");
  EXPECT_EQ(classify_answer(500, R"({"error":"error loading model x"})").failure->kind, bad_model);
}

TEST(AnswerClass, MessagesOfEveryDialect) {
  EXPECT_EQ(message_of(R"({"error":{"code":500,"message":"a \"b\"\nc"}})"), "a \"b\" c");
  EXPECT_EQ(message_of(R"({"error": "plain"})"), "plain");
  EXPECT_EQ(message_of(R"({"detail":"of FastAPI"})"), "of FastAPI");
  EXPECT_EQ(message_of("no json"), "no json");
  EXPECT_EQ(message_of(""), "");
  EXPECT_EQ(message_of(R"({"message":"cut)"), "cut");
  EXPECT_LE(message_of(std::string(100000, 'x')).size(), 500U);
}

// The corpora.

namespace fs = std::filesystem;

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

std::vector<fs::path> files_of(const char* folder) {
  std::vector<fs::path> found;
  for (const auto& entry :
       fs::directory_iterator(fs::path(TONNAGE_SOURCE_DIR) / "tests/corpus" / folder))
    found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

// "exit 1", "signal 6", "oom-kill" or "http 500", and what that has to give. "exit 1 -> crashed".
std::string classified(const std::string& first, std::span<const std::string_view> rest) {
  std::istringstream words(first);
  std::string how;
  int number = 0;
  words >> how >> number;
  if (how == "http") {
    std::string body;
    for (const std::string_view line : rest)
      body += std::string(line) + "\n";
    const auto found = classify_answer(number, body);
    std::string text(to_text(found.verdict));
    if (found.failure)
      text += " " + std::string(to_text(found.failure->kind));
    return text;
  }
  const bool killed = how == "oom-kill";
  const ExitStatus status =
      how == "exit" ? ExitStatus{.code = number} : ExitStatus{.signal = killed ? SIGKILL : number};
  return std::string(to_text(classify_exit(status, killed, rest).kind));
}

TEST(FailureCorpus, EveryOutputIsClassifiedAsItsFirstLineSays) {
  const auto files = files_of("failures");
  EXPECT_GE(files.size(), 60U);
  for (const fs::path& path : files) {
    const auto lines = lines_of(path);
    ASSERT_FALSE(lines.empty()) << path;
    const auto arrow = lines[0].find(" -> ");
    ASSERT_NE(arrow, std::string::npos) << path << " begins with \"exit 1 -> bad_model\"";
    const std::vector<std::string_view> rest(lines.begin() + 1, lines.end());
    EXPECT_EQ(classified(lines[0], rest), lines[0].substr(arrow + 4)) << path;
  }
}

TEST(FailureClass, AServerThatSomebodyAskedToEndSaysSo) {
  const std::vector<std::string_view> first = {
      "I srv  update_slots: all slots are idle",
      "I srv    operator(): operator(): cleaning up before exit..."};
  EXPECT_TRUE(was_asked_to_end(first));
  EXPECT_FALSE(was_asked_to_end(std::span(first).first(1)));
  EXPECT_FALSE(was_asked_to_end({}));
  const std::vector<std::string_view> second = {
      first[1], "Received second interrupt, terminating immediately."};
  EXPECT_EQ(classify_exit({.code = 1}, false, second).kind, FailureKind::killed);
  EXPECT_EQ(classify_exit({.signal = SIGSEGV}, false, first).kind, FailureKind::crashed)
      << "a crash on the way out is one";
}

TEST(FailureCorpus, OrdinaryWordsAreNoFailure) {
  constexpr ExitStatus kEnds[] = {
      {.code = 0}, {.signal = SIGTERM}, {.code = 1}, {.signal = SIGSEGV}, {.signal = SIGABRT}};
  const auto check = [&](std::span<const std::string_view> lines, const std::string& what) {
    for (const ExitStatus status : kEnds) {
      const auto failure = classify_exit(status, false, lines);
      EXPECT_EQ(failure.kind, status.signal == SIGTERM ? FailureKind::killed
                              : status.signal != 0     ? crashed
                                                       : exited)
          << what << ": " << failure.text;
    }
  };
  std::size_t count = 0;
  for (const fs::path& path : files_of("healthy")) {
    const auto lines = lines_of(path);
    const std::vector<std::string_view> views(lines.begin(), lines.end());
    count += lines.size();
    for (std::size_t i = 0; i < views.size(); ++i) {
      check(std::span(views).subspan(i, 1), path.filename().string());
      if (!views[i].contains("failed to mlock")) {  // which as an answer would be one of memory
        EXPECT_EQ(classify_answer(500, views[i]).verdict, AnswerVerdict::server_error) << views[i];
      }
      const std::size_t first = i < 60 ? 0 : i - 60;
      check(std::span(views).subspan(first, i + 1 - first), path.filename().string());
    }
    check(views, path.filename().string());
  }
  EXPECT_GE(count, 200U);
}

}  // namespace
}  // namespace tonnage
