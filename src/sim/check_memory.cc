// bytes: what servers are predicted or measured to hold fits the budget whenever one is started,
// and fits the machine beside what other programs hold.
#include <algorithm>
#include <map>

#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::string_view kBytesRule = "bytes";

class BytesChecker final : public Checker {
 public:
  void on_action(const Step& step, const Action& action) override {
    const auto* start = std::get_if<StartServer>(&action);
    if (start == nullptr)
      return;
    const Books& books = step.books;
    if (!books.pool_seen()) {
      step.findings.add(kBytesRule, "a load before the pool was ever sampled");
      return;
    }
    const Bytes held = held_with(books, *start);
    const PoolPolicy& pool = books.policy().pools[kHostPool.value];
    const Bytes budget = budget_for(pool, books.capacity()) + pool.deficit_tolerance;
    if (held > budget) {
      step.findings.add(kBytesRule, "loading " + name_of(books.policy(), start->model) + " makes " +
                                        to_text(held) + " of a budget of " + to_text(budget));
    }
    const Bytes room = room_of(pool, books.capacity()) + pool.deficit_tolerance;
    if (held + books.foreign() > room) {
      step.findings.add(kBytesRule, "loading " + name_of(books.policy(), start->model) + " makes " +
                                        to_text(held) + " beside " + to_text(books.foreign()) +
                                        " foreign, of " + to_text(room));
    }
    check_devices(step, *start);
  }

 private:
  // Nothing is placed on a device that is lost, nor where it does not fit beside the others, what
  // other programs hold, and what they held lately.
  static void check_devices(const Step& step, const StartServer& start) {
    const Books& books = step.books;
    for (std::size_t i = 0; i < start.devices.size(); ++i) {
      const PoolId id = start.devices[i];
      if (id == kHostPool)
        continue;
      const Books::Pool& pool = books.pool(id);
      const PoolPolicy& policy = books.policy().pools[id.value];
      const std::string loading =
          "loading " + name_of(books.policy(), start.model) + " on " + policy.name;
      if (pool.lost || !pool.sampled_at) {
        step.findings.add(kBytesRule, loading + ", which is not there");
        continue;
      }
      if (pool.ended_at && *pool.ended_at > *pool.sampled_at)
        continue;  // what is being released is judged by the sample that shows it
      Bytes held = device_need(books, start, i);
      for (const auto& [generation, server] : books.servers())
        held += device_held(server, id);
      const Bytes budget = budget_for(policy, pool.capacity) + policy.deficit_tolerance;
      const Bytes room =
          room_of(policy, pool.capacity) + policy.deficit_tolerance - pool.foreign - pool.expected;
      if (held > std::min(budget, room)) {
        step.findings.add(kBytesRule, loading + " makes " + to_text(held) + " of a budget of " +
                                          to_text(budget) + ", " + to_text(room) +
                                          " beside other programs");
      }
    }
  }

  static Bytes device_held(const Books::Server& server, PoolId id) {
    const std::size_t i = id.value - 1;
    const Bytes own = i < server.device_own.size() ? server.device_own[i] : Bytes(0);
    return std::max(own, i < server.device_sampled.size() ? server.device_sampled[i] : Bytes(0));
  }

  static Bytes device_need(const Books& books, const StartServer& start, std::size_t device) {
    for (const PlacementRow& row : books.model(start.model).rows) {
      if (row.placement == start.placement && row.device_bytes.size() == start.devices.size())
        return row.device_bytes[device];
    }
    return Bytes(0);
  }

  // Weights once per file, anonymous memory per server, the larger of prediction and measurement;
  // without margins, because margins never make the difference between running and refusing.
  static Bytes held_with(const Books& books, const StartServer& start) {
    Bytes sum;
    std::map<FileId, Bytes> files;
    for (const auto& [generation, server] : books.servers()) {
      sum += std::max(server.own, server.sampled);
      for (const WeightFile& weights : server.weights) {
        if (weights.size > Bytes(0))
          files[weights.file] = weights.size;
      }
    }
    for (const PlacementRow& row : books.model(start.model).rows) {
      if (row.placement != start.placement || row.device_bytes.size() != start.devices.size())
        continue;
      sum += row.host_anon;
      for (std::size_t i = 0; i < start.devices.size(); ++i) {
        if (start.devices[i] == kHostPool)
          sum += row.device_bytes[i];
      }
      for (const WeightFile& weights : row.weights) {
        if (weights.size > Bytes(0))
          files[weights.file] = weights.size;
      }
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

}  // namespace tonnage::sim
