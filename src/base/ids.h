// Id<Tag>: numeric identities that cannot be mixed up with one another.
#pragma once

#include <compare>
#include <cstdint>

namespace tonnage {

// A strong integer identity. Tag is any incomplete type; Rep the width on the wire.
// Ids are ordered, so every ordering in the program can end in one.
template <typename Tag, typename Rep = std::uint64_t>
struct Id {
  using rep = Rep;

  Rep value{};

  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}

  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

}  // namespace tonnage
