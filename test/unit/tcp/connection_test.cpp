// The places of a connection and of its transfer, used again and again.
#include <array>
#include <cstring>
#include <new>

#include <gtest/gtest.h>

#include <synfin/tcp/connection.hpp>
#include <synfin/tcp/transfer.hpp>

namespace synfin::tcp {
namespace {

TEST(Connection, RenewedItIsAsItWasMadeButForItsGeneration) {
    using Bytes = std::array<unsigned char, sizeof(Connection)>;
    alignas(Connection) Bytes fresh{};
    new (fresh.data()) Connection{};
    reinterpret_cast<Connection*>(fresh.data())->generation = 0x5a5a5a5a;

    alignas(Connection) Bytes used{};
    auto* const c = new (used.data()) Connection{};
    std::memset(used.data(), 0x5a, used.size());
    c->renew();
    EXPECT_EQ(used, fresh);
}

TEST(Transfer, RenewedItIsAsItWasMade) {
    using Bytes = std::array<unsigned char, sizeof(Transfer)>;
    alignas(Transfer) Bytes fresh{};
    new (fresh.data()) Transfer{};

    alignas(Transfer) Bytes used{};
    auto* const t = new (used.data()) Transfer{};
    std::memset(used.data(), 0x5a, used.size());
    t->renew();
    EXPECT_EQ(used, fresh);
}

}  // namespace
}  // namespace synfin::tcp
