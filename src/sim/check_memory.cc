// bytes: what servers are predicted or measured to hold fits the budget whenever one is started,
// and fits the machine beside what other programs hold.
#include <algorithm>
#include <map>

#include "sim/budget.h"
#include "sim/checker.h"

namespace vramd::sim {
namespace {

constexpr std::string_view kRule = "bytes";

class BytesChecker final : public Checker {
 public:
  void on_action(const Step& step, const Action& action) override {
    const auto* start = std::get_if<StartServer>(&action);
    if (start == nullptr)
      return;
    const Books& books = step.books;
    if (!books.pool_seen()) {
      step.findings.add(kRule, "a load before the pool was ever sampled");
      return;
    }
    const Bytes held = held_with(books, *start);
    const PoolPolicy& pool = books.policy().pools[kHostPool.value];
    const Bytes budget = budget_for(pool, books.capacity());
    if (held > budget) {
      step.findings.add(kRule, "loading " + name_of(books.policy(), start->model) + " makes " +
                                   to_text(held) + " of a budget of " + to_text(budget));
    }
    const Bytes room = room_of(pool, books.capacity());
    if (held + books.foreign() > room) {
      step.findings.add(kRule, "loading " + name_of(books.policy(), start->model) + " makes " +
                                   to_text(held) + " beside " + to_text(books.foreign()) +
                                   " foreign, of " + to_text(room));
    }
  }

 private:
  // Weights once per file, anonymous memory per server, the larger of prediction and measurement;
  // without margins, because margins never make the difference between running and refusing.
  static Bytes held_with(const Books& books, const StartServer& start) {
    Bytes sum;
    std::map<FileId, Bytes> files;
    for (const auto& [generation, server] : books.servers()) {
      sum += std::max(server.own, server.sampled);
      if (server.weights_size > Bytes(0))
        files[server.weights] = server.weights_size;
    }
    for (const PlacementRow& row : books.model(start.model).rows) {
      if (row.placement != start.placement)
        continue;
      sum += row.host_anon;
      if (row.weights_size > Bytes(0))
        files[row.weights] = row.weights_size;
      break;
    }
    for (const auto& [file, size] : files)
      sum += size;
    return sum;
  }
};

}  // namespace

std::unique_ptr<Checker> make_bytes_checker() {
  return std::make_unique<BytesChecker>();
}

}  // namespace vramd::sim
