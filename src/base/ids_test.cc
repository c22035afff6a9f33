#include "base/ids.h"

#include <type_traits>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

using Cat = Id<struct CatTag>;
using Dog = Id<struct DogTag, std::uint32_t>;

static_assert(!std::is_convertible_v<Cat, Dog>);
static_assert(!std::is_convertible_v<std::uint64_t, Cat>, "a number is no identity");
static_assert(sizeof(Dog) == 4);
static_assert(std::is_trivially_copyable_v<Cat>);

TEST(Id, IsOrderedByItsValue) {
  EXPECT_LT(Cat(1), Cat(2));
  EXPECT_EQ(Cat(3), Cat(3));
  EXPECT_EQ(Cat{}.value, 0U);
}

}  // namespace
}  // namespace tonnage
