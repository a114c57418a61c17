// The expected values are those of FIPS 197.
#include <gtest/gtest.h>

#include <synfin/base/aes.hpp>

namespace synfin {
namespace {

TEST(Aes128, SubstitutionIsThePublishedOne) {
    EXPECT_EQ(detail::aes_substitution[0x00], 0x63);
    EXPECT_EQ(detail::aes_substitution[0x01], 0x7c);
    EXPECT_EQ(detail::aes_substitution[0x53], 0xed);
    EXPECT_EQ(detail::aes_substitution[0xff], 0x16);
}

#if defined(__x86_64__)

struct Vector {
    Aes128::Block key;
    Aes128::Block plain;
    Aes128::Block cipher;
};

// Appendix B and appendix C.1.
TEST(Aes128, EncryptsAsPublished) {
    if (!Aes128::available()) GTEST_SKIP() << "this processor has no instructions for AES";
    const Vector vectors[] = {
        {{0xa6d2ae2816157e2b, 0x3c4fcf098815f7ab},
         {0x8d305a88a8f64332, 0x340737e0a2983131},
         {0xfb09dc021d842539, 0x320b6a19978511dc}},
        {{0x0706050403020100, 0x0f0e0d0c0b0a0908},
         {0x7766554433221100, 0xffeeddccbbaa9988},
         {0x30047b6ad8e0c469, 0x5ac5b47080b7cdd8}},
    };
    for (const Vector& v : vectors) EXPECT_EQ(Aes128{v.key}.encrypt(v.plain), v.cipher);
}

#endif

}  // namespace
}  // namespace synfin
