#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include <synfin/base/prng.hpp>
#include <synfin/flow/address_book.hpp>

namespace synfin::flow {
namespace {

using wire::IpAddress;

constexpr SipKey key{5, 6};
constexpr IpAddress documentation(uint64_t n) { return IpAddress::v6(0x20010db800000000, n); }

TEST(AddressBook, Ipv4AddressIsItsOwnId) {
    AddressBook book{10, key};
    const IpAddress address = IpAddress::v4(198, 18, 0, 1);
    EXPECT_EQ(book.intern(address), 0xc6120001u);
    EXPECT_EQ(book.resolve(0xc6120001), address);
    EXPECT_EQ(book.size(), 0u);
    book.release(0xc6120001);
}

TEST(AddressBook, Ipv4AddressOfBlockZeroHasNoId) {
    AddressBook book{10, key};
    EXPECT_EQ(book.intern(IpAddress::v4(0, 0, 0, 1)), std::nullopt);
}

TEST(AddressBook, Ipv6AddressKeepsOneIdWhileItIsReferenced) {
    AddressBook book{10, key};
    const auto id = book.intern(documentation(1));
    ASSERT_TRUE(id.has_value());
    EXPECT_TRUE(is_interned(*id));
    EXPECT_NE(*id, 0u);
    EXPECT_EQ(book.intern(documentation(1)), id);
    EXPECT_EQ(book.lookup_v6(documentation(1)), id);
    EXPECT_EQ(book.resolve(*id), documentation(1));
    EXPECT_EQ(book.size(), 1u);
}

TEST(AddressBook, DifferentAddressesHaveDifferentIds) {
    AddressBook book{1000, key};
    std::set<AddressId> ids;
    for (uint64_t n = 0; n < 1000; ++n) ids.insert(*book.intern(documentation(n)));
    EXPECT_EQ(ids.size(), 1000u);
}

TEST(AddressBook, AddressIsForgottenWithItsLastReference) {
    AddressBook book{10, key};
    const AddressId id = *book.intern(documentation(1));
    book.intern(documentation(1));
    book.release(id);
    EXPECT_EQ(book.lookup_v6(documentation(1)), id);
    book.release(id);
    EXPECT_EQ(book.lookup_v6(documentation(1)), no_address);
    EXPECT_EQ(book.size(), 0u);
}

TEST(AddressBook, EmptyBookKnowsNoAddressNotEvenTheOneOfZeros) {
    const AddressBook book{10, key};
    EXPECT_EQ(book.lookup_v6(IpAddress::v6(0, 0)), no_address);
    EXPECT_EQ(book.lookup_v6(documentation(1)), no_address);
}

TEST(AddressBook, LookupTakesNoReference) {
    AddressBook book{10, key};
    const AddressId id = *book.intern(documentation(1));
    EXPECT_EQ(book.lookup_v6(documentation(1)), id);
    book.release(id);
    EXPECT_EQ(book.size(), 0u);
}

TEST(AddressBook, IdIsHeldAgainOnlyWhileItStandsForTheSame) {
    AddressBook book{1, key};
    const AddressId id = *book.intern(documentation(1));
    EXPECT_TRUE(book.hold_again(id, documentation(1)));
    book.release(id);
    EXPECT_EQ(book.lookup_v6(documentation(1)), id);
    book.release(id);
    EXPECT_FALSE(book.hold_again(id, documentation(1)));
    book.reclaim();
    ASSERT_EQ(book.intern(documentation(2)), id);
    EXPECT_FALSE(book.hold_again(id, documentation(1)));
    EXPECT_TRUE(book.hold_again(0xc6120001, IpAddress::v4(198, 18, 0, 1)));
}

// 4,096 addresses: those that were asked for last are found in another way than the rest.
TEST(AddressBook, KnowsManyAddressesHoweverOftenEachIsAskedFor) {
    AddressBook book{4096, key};
    std::map<uint64_t, AddressId> ids;
    for (uint64_t n = 0; n < 4096; ++n) ids[n] = *book.intern(documentation(n));
    Prng random{3};
    for (int i = 0; i < 100'000; ++i) {
        const uint64_t n = random.below(8192);
        ASSERT_EQ(book.lookup_v6(documentation(n)), n < 4096 ? ids[n] : no_address);
    }
}

TEST(AddressBook, FullBookRefusesTheNewAndKeepsTheKnown) {
    AddressBook book{3, key};
    for (uint64_t n = 0; n < 3; ++n) ASSERT_TRUE(book.intern(documentation(n)).has_value());
    EXPECT_EQ(book.intern(documentation(3)), std::nullopt);
    EXPECT_TRUE(book.intern(documentation(2)).has_value());
    EXPECT_TRUE(book.intern(IpAddress::v4(1, 2, 3, 4)).has_value());
    book.release(book.lookup_v6(documentation(0)));
    book.reclaim();
    EXPECT_TRUE(book.intern(documentation(3)).has_value());
}

TEST(AddressBook, IdThatNobodyReferencesNamesNobodyElseBeforeReclaim) {
    AddressBook book{2, key};
    const AddressId first = *book.intern(documentation(1));
    book.release(first);
    EXPECT_NE(book.intern(documentation(2)), first);
    EXPECT_EQ(book.intern(documentation(3)), std::nullopt);
    book.reclaim();
    EXPECT_EQ(book.intern(documentation(3)), first);
}

TEST(AddressBook, FingerprintBelongsToTheAddressAndNotToItsId) {
    AddressBook book{1, key};
    const AddressId id = *book.intern(documentation(1));
    const FourTuple tuple{.local_address = 0xc6120001, .remote_address = id, .remote_port = 80};
    const FourTuple before = book.fingerprint(tuple);
    EXPECT_EQ(before.local_address, 0xc6120001u);
    EXPECT_EQ(before.remote_address, book.fingerprint(documentation(1)));
    book.release(id);
    book.reclaim();
    ASSERT_EQ(book.intern(documentation(2)), id);
    EXPECT_NE(book.fingerprint(tuple), before);
}

TEST(AddressBook, AgreesWithAMapOverRandomUse) {
    Prng random{1};
    AddressBook book{64, key};
    std::map<IpAddress, std::pair<AddressId, int>> model;
    for (int i = 0; i < 200'000; ++i) {
        const IpAddress address = documentation(random.below(100));
        const auto known = model.find(address);
        if (random.chance(1, 2)) {
            const auto id = book.intern(address);
            ASSERT_EQ(id.has_value(), known != model.end() || model.size() < 64);
            if (!id) continue;
            if (known != model.end()) {
                ASSERT_EQ(*id, known->second.first);
                ++known->second.second;
            } else {
                model.emplace(address, std::pair{*id, 1});
            }
        } else if (known != model.end()) {
            ASSERT_EQ(book.resolve(known->second.first), address);
            book.release(known->second.first);
            book.reclaim();
            if (--known->second.second == 0) model.erase(known);
        }
        ASSERT_EQ(book.size(), model.size());
    }
}

using AddressBookDeathTest = testing::Test;

TEST(AddressBookDeathTest, ReleasingTooOftenAborts) {
    AddressBook book{10, key};
    const AddressId id = *book.intern(documentation(1));
    book.release(id);
    EXPECT_DEATH(book.release(id), "references > 0");
}

}  // namespace
}  // namespace synfin::flow
