// The place of a connection, used again and again.
#include <array>
#include <cstring>
#include <new>

#include <gtest/gtest.h>

#include <synfin/tcp/connection.hpp>

namespace synfin::tcp {
namespace {

using Bytes = std::array<unsigned char, sizeof(Connection)>;

TEST(Connection, RenewedItIsAsItWasMadeButForItsGeneration) {
    alignas(Connection) Bytes fresh{};
    new (fresh.data()) Connection{};
    reinterpret_cast<Connection*>(fresh.data())->generation = 0x5a5a5a5a;

    alignas(Connection) Bytes used{};
    auto* const c = new (used.data()) Connection{};
    std::memset(used.data(), 0x5a, used.size());
    c->renew();
    EXPECT_EQ(used, fresh);
}

}  // namespace
}  // namespace synfin::tcp
