#include "engine/failure_detail.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace tonnage {
namespace {

// No machine has so much; what says more is no amount of memory.
constexpr double kBytesMax = 0x1p50;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Reads one form of text from left to right; once something is missing, nothing more is found.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  // Goes behind the next `words`.
  Reader& to(std::string_view words) {
    const auto at = ok_ ? rest_.find(words) : std::string_view::npos;
    ok_ = at != std::string_view::npos;
    if (ok_)
      rest_.remove_prefix(at + words.size());
    return *this;
  }
  // What comes here without a space, e.g. a buffer's name.
  std::string_view word() {
    skip_spaces();
    const std::string_view found = ok_ ? rest_.substr(0, rest_.find(' ')) : std::string_view();
    ok_ = !found.empty();
    rest_.remove_prefix(found.size());
    return found;
  }
  std::optional<std::int64_t> integer() {
    skip_spaces();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    ok_ = ok_ && error == std::errc() && value >= 0;
    if (!ok_)
      return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  // "2.00 GiB", "4.2 MB", "123"; a number without a unit is one of bytes.
  std::optional<Bytes> amount() {
    skip_spaces();
    double value = 0;
    const auto [end, error] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, std::chars_format::fixed);
    ok_ = ok_ && error == std::errc();
    if (!ok_)
      return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    skip_spaces();
    const double bytes = value * unit();
    ok_ = std::isfinite(bytes) && bytes >= 0 && bytes <= kBytesMax;
    return ok_ ? std::optional(Bytes(std::llround(bytes))) : std::nullopt;
  }

 private:
  void skip_spaces() {
    const auto begin = rest_.find_first_not_of(' ');
    rest_.remove_prefix(std::min(begin, rest_.size()));
  }
  double unit() const {
    constexpr std::string_view kLetters = "kmgt";
    const auto power = rest_.empty() ? std::string_view::npos : kLetters.find(rest_.front());
    if (power == std::string_view::npos || rest_.size() < 2)
      return 1;
    const double base = rest_[1] == 'i' ? 1024.0 : rest_[1] == 'b' ? 1000.0 : 0.0;
    return base == 0.0 ? 1 : std::pow(base, static_cast<double>(power) + 1);
  }

  std::string_view rest_;
  bool ok_ = true;
};

std::optional<int> device_number(std::optional<std::int64_t> number) {
  constexpr std::int64_t kDevicesMax = 1024;
  return number && *number < kDevicesMax ? std::optional(static_cast<int>(*number)) : std::nullopt;
}

// 1 of "cuda1"; a buffer of the host has none.
std::optional<int> device_of_buffer(std::string_view name) {
  const auto digits = std::ranges::find_if(name, is_digit);
  return device_number(
      Reader(name.substr(static_cast<std::size_t>(digits - name.begin()))).integer());
}

// The texts in which an amount that could not be had follows these words.
constexpr auto kAmountAfter = std::to_array<std::string_view>({
    "tried to allocate ",                                   // PyTorch
    "device memory allocation of size ",                    // ggml Vulkan
    "memory for requested buffer of size ",                 // onnxruntime
    "failed to allocate output buffer of size ",            // llama.cpp
    "failed to allocate buffer of size ",                   // ggml CPU
    "failed to allocate buffer, size = ",                   // ggml Metal
    "failed to allocate metal buffer of ",                  // ggml Metal
    "unable to allocate ",                                  // NumPy
    "can't allocate ",                                      // ggml SYCL
    "attempted to allocate ",                               // ggml
    "opencl_buffer_type_alloc_buffer: failed to allocate "  // ggml OpenCL
});

void read_llama(std::string_view low, FailureDetail& detail) {
  // "allocating 4096.00 MiB on device 1: cudaMalloc failed"
  Reader cuda(low);
  cuda.to("allocating ");
  if (const auto amount = cuda.amount()) {
    cuda.to("on device ");
    if (const auto device = cuda.integer()) {
      detail.needed = amount;
      detail.device = device_number(device);
      return;
    }
  }
  // "failed to allocate CUDA0 buffer of size 4294967296"
  Reader buffer(low);
  buffer.to("failed to allocate ");
  const std::string_view name = buffer.word();
  buffer.to(" buffer of size ");
  if (const auto amount = buffer.amount(); amount && name != "output") {
    detail.needed = amount;
    detail.device = device_of_buffer(name);
  }
  // "  current device: 1, in function alloc at FILE:LINE"
  if (!detail.device)
    detail.device = device_number(Reader(low).to("current device: ").integer());
  // {"n_prompt_tokens":5000,"n_ctx":4096}
  detail.prompt_tokens = Reader(low).to("\"n_prompt_tokens\":").integer();
  detail.context = Reader(low).to("\"n_ctx\":").integer();
}

void read_torch(std::string_view low, FailureDetail& detail) {
  Reader gpu(low);
  gpu.to("gpu ");
  const auto device = gpu.integer();
  gpu.to("has a total capac");  // older releases spell it "capacty"
  gpu.to("of which ");
  if (const auto free = gpu.amount()) {
    detail.device = device_number(device);
    detail.available = free;
  }
}

void read_vllm(std::string_view low, FailureDetail& detail) {
  // "Free memory on device cuda:0 (3.25/23.43 GiB) on startup is less than desired GPU memory
  // utilization (0.96, 22.49 GiB)"; the device is not always named.
  Reader start(low);
  start.to("free memory on device").to("utilization (").to(", ");
  if (const auto wanted = start.amount()) {
    detail.needed = wanted;
    detail.device = device_number(Reader(low).to("free memory on device cuda:").integer());
    Reader pair(low);
    pair.to("free memory on device").to("(");
    const std::string_view free = pair.word();
    const std::string_view unit = pair.word();
    const std::string text = std::string(free.substr(0, free.find('/'))).append(unit);
    detail.available = Reader(text).amount();
  }
  // "(6.11 GiB KV cache is needed, which is larger than the available KV cache memory (5.17 GiB).
  // ... the estimated maximum model length is 566784."
  Reader cache(low);
  cache.to("available kv cache memory (");
  if (const auto there = cache.amount()) {
    detail.available = there;
    const auto end = low.find(" kv cache is needed");
    const auto begin = low.rfind('(', end);
    if (end != std::string_view::npos && begin != std::string_view::npos)
      detail.needed = Reader(low.substr(begin + 1, end - begin)).amount();
    detail.context = cache.to("estimated maximum model length is ").integer();
  }
}

// "model requires more system memory (5.6 GiB) than is available (4.1 GiB)"
void read_ollama(std::string_view low, FailureDetail& detail) {
  Reader reader(low);
  reader.to("requires more system memory (");
  if (const auto needed = reader.amount()) {
    detail.needed = needed;
    detail.available = reader.to("available (").amount();
  }
}

}  // namespace

FailureDetail read_failure_detail(std::string_view text) {
  const std::string low = to_lower(text);
  FailureDetail detail;
  read_llama(low, detail);
  read_torch(low, detail);
  read_vllm(low, detail);
  read_ollama(low, detail);
  for (const std::string_view words : kAmountAfter) {
    if (detail.needed)
      break;
    detail.needed = Reader(low).to(words).amount();
  }
  return detail;
}

FailureDetail read_failure_detail(std::span<const std::string_view> lines) {
  FailureDetail found;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const FailureDetail one = read_failure_detail(*line);
    if (!found.needed) {
      found.needed = one.needed;
      found.available = one.available;
      found.context = one.context;
      found.prompt_tokens = one.prompt_tokens;
    }
    if (!found.device)
      found.device = one.device;
  }
  return found;
}

std::string to_text(const FailureDetail& detail) {
  std::string out;
  const auto add = [&out](const std::string& words) { out += (out.empty() ? "" : ", ") + words; };
  if (detail.needed) {
    add(to_text(*detail.needed));
    if (detail.device)
      out += " on device " + std::to_string(*detail.device);
  }
  if (detail.available)
    add(to_text(*detail.available) + " free");
  if (detail.prompt_tokens)
    add(std::to_string(*detail.prompt_tokens) + " tokens in the prompt");
  if (detail.context)
    add("context of " + std::to_string(*detail.context) + " tokens");
  return out;
}

}  // namespace tonnage
