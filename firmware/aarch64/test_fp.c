/* Scalar floating point, by bit patterns: results, rounding modes, exception
   flags, NaN and denormal handling. Built with access to the FP registers. */
#include "fw.h"

/* FPSR's cumulative flags and FPCR's fields. */
enum { IO = 1, DZ = 2, OF = 4, UF = 8, IX = 16, ID = 128, RP = 1 << 22, RM = 2 << 22, RZ = 3 << 22, FZ = 1 << 24, DN = 1 << 25 };

#define BEGIN(mode) do { sysreg_write("fpcr", mode); sysreg_write("fpsr", 0); isb(); } while (0)
/* After a test: the flags it must have raised, and back to the default mode. */
#define END(what, flags) do { u64 s_ = sysreg_read("fpsr") & 0x9f; sysreg_write("fpcr", 0); check(what " FPSR", s_, flags); } while (0)

/* One operation under a mode: d or s registers 0, 1, 2 in, 0 out. */
#define D(t, mode, a, b, c, want, flags) do { u64 r_; BEGIN(mode); \
    __asm__ volatile("fmov d0, %1\n\tfmov d1, %2\n\tfmov d2, %3\n\t" t "\n\tfmov %0, d0" \
                     : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)), "r"((u64)(c)) : "v0", "v1", "v2", "cc", "memory"); \
    END(t, flags); check(t, r_, want); } while (0)
#define S(t, mode, a, b, c, want, flags) do { u64 r_; BEGIN(mode); \
    __asm__ volatile("fmov s0, %w1\n\tfmov s1, %w2\n\tfmov s2, %w3\n\t" t "\n\tfmov %0, d0" \
                     : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)), "r"((u64)(c)) : "v0", "v1", "v2", "cc", "memory"); \
    END(t, flags); check(t, r_, want); } while (0)
/* A d register to a general register %0. */
#define TOX(t, mode, a, want, flags) do { u64 r_; BEGIN(mode); \
    __asm__ volatile("fmov d0, %1\n\t" t : "=r"(r_) : "r"((u64)(a)) : "v0", "cc", "memory"); \
    END(t, flags); check(t, r_, want); } while (0)
/* A general register %1 to d0. */
#define TOD(t, mode, a, want, flags) do { u64 r_; BEGIN(mode); \
    __asm__ volatile(t "\n\tfmov %0, d0" : "=r"(r_) : "r"((u64)(a)) : "v0", "memory"); \
    END(t, flags); check(t, r_, want); } while (0)
#define COMPARE(t, a, b, nzcv, flags) do { u64 r_; BEGIN(0); \
    __asm__ volatile("fmov d0, %1\n\tfmov d1, %2\n\t" t "\n\tmrs %0, nzcv" \
                     : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)) : "v0", "v1", "cc", "memory"); \
    END(t, flags); check(t, r_ >> 28, nzcv); } while (0)

#define ZERO 0ul
#define HALF 0x3fe0000000000000ul
#define ONE 0x3ff0000000000000ul
#define TWO 0x4000000000000000ul
#define THREE 0x4008000000000000ul
#define TEN 0x4024000000000000ul
#define MAXIMUM 0x7feffffffffffffful
#define INF 0x7ff0000000000000ul
#define NAN_ 0x7ff8000000000000ul
#define SNAN 0x7ff0000000000001ul
#define SMALLEST 0x0010000000000000ul /* normal */
#define MINUS 0x8000000000000000ul
#define P25 0x4004000000000000ul /* 2.5 */

static void arithmetic(void)
{
    D("fadd d0, d0, d1", 0, 0x3fb999999999999aul, 0x3fc999999999999aul, 0, 0x3fd3333333333334ul, IX); /* 0.1 + 0.2 */
    D("fsub d0, d0, d1", 0, ONE, ONE, 0, ZERO, 0);
    D("fsub d0, d0, d1", RM, ONE, ONE, 0, MINUS, 0);
    D("fmul d0, d0, d1", 0, THREE, HALF, 0, 0x3ff8000000000000ul, 0);
    D("fnmul d0, d0, d1", 0, THREE, TWO, 0, 0xc018000000000000ul, 0);
    D("fdiv d0, d0, d1", 0, ONE, THREE, 0, 0x3fd5555555555555ul, IX);
    D("fsqrt d0, d0", 0, TWO, 0, 0, 0x3ff6a09e667f3bcdul, IX);
    D("fsqrt d0, d0", 0, MINUS, 0, 0, MINUS, 0);
    D("fabs d0, d0", 0, MINUS | ONE, 0, 0, ONE, 0);
    D("fneg d0, d0", 0, SNAN, 0, 0, MINUS | SNAN, 0);
    S("fadd s0, s0, s1", 0, 0x3dcccccd, 0x3e4ccccd, 0, 0x3e99999a, IX);
    S("fmul s0, s0, s1", 0, 0x7f7fffff, 0x40000000, 0, 0x7f800000, OF | IX);
    S("fdiv s0, s0, s1", 0, 0x3f800000, 0x40400000, 0, 0x3eaaaaab, IX);
    S("fsqrt s0, s0", 0, 0x40000000, 0, 0, 0x3fb504f3, IX);
    S("fmadd s0, s0, s1, s2", 0, 0x3f800001, 0x3f800001, 0xbf800002, 0x28800000, 0);
    /* (1 + 2^-52)^2 - (1 + 2^-51) is 2^-104 only if nothing is rounded between. */
    D("fmadd d0, d0, d1, d2", 0, ONE + 1, ONE + 1, MINUS | (ONE + 2), 0x3970000000000000ul, 0);
    D("fmadd d0, d0, d1, d2", 0, TWO, THREE, TEN, 0x4030000000000000ul, 0);
    D("fmsub d0, d0, d1, d2", 0, TWO, THREE, TEN, 0x4010000000000000ul, 0);
    D("fnmadd d0, d0, d1, d2", 0, TWO, THREE, TEN, 0xc030000000000000ul, 0);
    D("fnmsub d0, d0, d1, d2", 0, TWO, THREE, TEN, 0xc010000000000000ul, 0);
    D("fmax d0, d0, d1", 0, MINUS, ZERO, 0, ZERO, 0);
    D("fmin d0, d0, d1", 0, MINUS, ZERO, 0, MINUS, 0);
    D("fmax d0, d0, d1", 0, NAN_, ONE, 0, NAN_, 0);
    D("fmaxnm d0, d0, d1", 0, NAN_, ONE, 0, ONE, 0);
    D("fminnm d0, d0, d1", 0, TWO, ONE, 0, ONE, 0);
    D("fmov d0, #-0.125", 0, 0, 0, 0, 0xbfc0000000000000ul, 0);
    D("fcmp d0, d1\n\tfcsel d0, d0, d1, gt", 0, THREE, TWO, 0, THREE, 0);
}

static void rounding(void)
{
    const u64 third = 0x3fd5555555555555ul;
    D("fdiv d0, d0, d1", RP, ONE, THREE, 0, third + 1, IX);
    D("fdiv d0, d0, d1", RM, ONE, THREE, 0, third, IX);
    D("fdiv d0, d0, d1", RZ, ONE, THREE, 0, third, IX);
    D("fdiv d0, d0, d1", RP, MINUS | ONE, THREE, 0, MINUS | third, IX);
    D("fdiv d0, d0, d1", RM, MINUS | ONE, THREE, 0, (MINUS | third) + 1, IX);
    D("fdiv d0, d0, d1", RZ, MINUS | ONE, THREE, 0, MINUS | third, IX);
    D("fadd d0, d0, d1", 0, ONE, 0x3ca0000000000000ul, 0, ONE, IX); /* 1 + 2^-53, a tie */
    D("fadd d0, d0, d1", RP, ONE, 0x3ca0000000000000ul, 0, ONE + 1, IX);
    D("fadd d0, d0, d1", 0, ONE + 1, 0x3ca0000000000000ul, 0, ONE + 2, IX);
    D("fadd d0, d0, d1", RZ, MAXIMUM, MAXIMUM, 0, MAXIMUM, OF | IX);
    D("fadd d0, d0, d1", RM, MAXIMUM, MAXIMUM, 0, MAXIMUM, OF | IX);
    D("fadd d0, d0, d1", RP, MAXIMUM, MAXIMUM, 0, INF, OF | IX);
    S("fsqrt s0, s0", RP, 0x40000000, 0, 0, 0x3fb504f4, IX);
    D("fcvt s0, d0", RP, 0x3fb999999999999aul, 0, 0, 0x3dcccccd, IX);
    D("fcvt s0, d0", RZ, 0x3fb999999999999aul, 0, 0, 0x3dcccccc, IX);
    D("frinti d0, d0", RP, P25, 0, 0, THREE, 0);
    D("frinti d0, d0", RM, P25, 0, 0, TWO, 0);
    D("frintx d0, d0", 0, P25, 0, 0, TWO, IX);
    D("frintn d0, d0", RP, P25, 0, 0, TWO, 0);
    D("frintp d0, d0", 0, MINUS | P25, 0, 0, MINUS | TWO, 0);
    D("frintm d0, d0", 0, MINUS | P25, 0, 0, MINUS | THREE, 0);
    D("frintz d0, d0", 0, MINUS | P25, 0, 0, MINUS | TWO, 0);
    D("frinta d0, d0", 0, P25, 0, 0, THREE, 0);
    D("frintm d0, d0", 0, HALF, 0, 0, ZERO, 0);
    D("frintp d0, d0", 0, MINUS | HALF, 0, 0, MINUS, 0);
}

static void flags(void)
{
    D("fdiv d0, d0, d1", 0, ZERO, ZERO, 0, NAN_, IO);
    D("fdiv d0, d0, d1", 0, ONE, MINUS, 0, MINUS | INF, DZ);
    D("fsub d0, d0, d1", 0, INF, INF, 0, NAN_, IO);
    D("fsqrt d0, d0", 0, MINUS | ONE, 0, 0, NAN_, IO);
    D("fmul d0, d0, d1", 0, MAXIMUM, TWO, 0, INF, OF | IX);
    D("fmul d0, d0, d1", 0, SMALLEST, HALF, 0, 0x0008000000000000ul, 0); /* exact: no underflow */
    D("fmul d0, d0, d1", 0, 1, HALF, 0, ZERO, UF | IX);
    D("fmul d0, d0, d1", RP, 1, HALF, 0, 1, UF | IX);
    D("fmul d0, d0, d1", FZ, SMALLEST, HALF, 0, ZERO, UF);
    D("fadd d0, d0, d1", FZ, 1, ONE, 0, ONE, ID);
    D("fadd d0, d0, d1", 0, 1, ONE, 0, ONE, IX);
    D("fadd d0, d0, d1", 0, SNAN, ONE, 0, NAN_ | 1, IO);
    D("fadd d0, d0, d1", 0, NAN_ | 5, NAN_ | 6, 0, NAN_ | 5, 0);
    D("fadd d0, d0, d1", 0, NAN_ | 5, SNAN, 0, NAN_ | 1, IO); /* a signalling NaN wins */
    D("fadd d0, d0, d1", DN, NAN_ | 5, ONE, 0, NAN_, 0);
    D("fmadd d0, d0, d1, d2", 0, INF, ZERO, NAN_ | 5, NAN_, IO);
    S("fmul s0, s0, s1", 0, 0x00800000, 0x3f7fffff, 0, 0x00800000, UF | IX); /* tiny before rounding */
    /* Flags stay until they are written. */
    BEGIN(0);
    __asm__ volatile("fmov d0, xzr\n\tfmov d1, #1.0\n\tfdiv d0, d1, d0\n\tfmov d0, #3.0\n\tfdiv d0, d1, d0\n\tfadd d0, d1, d1"
                     : : : "v0", "v1", "memory");
    END("cumulative", DZ | IX);
}

static void comparisons(void)
{
    COMPARE("fcmp d0, d1", ONE, ONE, 6, 0);
    COMPARE("fcmp d0, d1", ONE, TWO, 8, 0);
    COMPARE("fcmp d0, d1", TWO, ONE, 2, 0);
    COMPARE("fcmp d0, d1", MINUS, ZERO, 6, 0);
    COMPARE("fcmp d0, d1", NAN_, ONE, 3, 0);
    COMPARE("fcmp d0, d1", SNAN, ONE, 3, IO);
    COMPARE("fcmpe d0, d1", NAN_, ONE, 3, IO);
    COMPARE("fcmp d0, #0.0", MINUS | 1, 0, 8, 0);
    COMPARE("fcmp d0, d0\n\tfccmp d0, d1, #5, eq", ONE, TWO, 8, 0);
    COMPARE("fcmp d0, d0\n\tfccmp d0, d1, #5, ne", ONE, TWO, 5, 0);
}

static void conversions(void)
{
    TOX("fcvtns %0, d0", 0, P25, 2, IX);
    TOX("fcvtas %0, d0", 0, P25, 3, IX);
    TOX("fcvtps %0, d0", 0, P25, 3, IX);
    TOX("fcvtms %0, d0", 0, MINUS | P25, -3, IX);
    TOX("fcvtzs %0, d0", 0, MINUS | P25, -2, IX);
    TOX("fcvtzs %w0, d0", 0, MINUS | THREE, 0xfffffffd, 0);
    TOX("fcvtzu %0, d0", 0, MINUS | ONE, 0, IO);
    TOX("fcvtzu %0, d0", 0, 0x43f0000000000000ul, ~0ul, IO); /* 2^64 */
    TOX("fcvtzu %0, d0", 0, 0x43e0000000000000ul, 1ul << 63, 0);
    TOX("fcvtzs %0, d0", 0, 0x43e0000000000000ul, ~0ul >> 1, IO);
    TOX("fcvtzs %w0, d0", 0, 0x41e0000000000000ul, 0x7fffffff, IO);
    TOX("fcvtzs %0, d0", 0, MINUS | INF, 1ul << 63, IO);
    TOX("fcvtzs %0, d0", 0, NAN_, 0, IO);
    TOX("fcvtzs %0, d0, #4", 0, 0x3ff8000000000000ul, 24, 0);
    TOX("fcvtzs %0, s0", 0, 0xc0200000, -2, IX);
    TOD("scvtf d0, %1", 0, -1, MINUS | ONE, 0);
    TOD("scvtf d0, %1", 0, (1ul << 53) + 1, 0x4340000000000000ul, IX);
    TOD("scvtf d0, %1", RP, (1ul << 53) + 1, 0x4340000000000001ul, IX);
    TOD("ucvtf d0, %1", 0, ~0ul, 0x43f0000000000000ul, IX);
    TOD("ucvtf d0, %w1", 0, 0xffffffff, 0x41efffffffe00000ul, 0);
    TOD("scvtf s0, %w1", 0, 0xffffffff, 0xbf800000, 0);
    TOD("scvtf s0, %w1", 0, 16777217, 0x4b800000, IX);
    TOD("scvtf d0, %1, #8", 0, 0x180, 0x3ff8000000000000ul, 0);
    D("fcvt s0, d0", 0, 0x3fb999999999999aul, 0, 0, 0x3dcccccd, IX);
    D("fcvt s0, d0", 0, MAXIMUM, 0, 0, 0x7f800000, OF | IX);
    D("fcvt s0, d0", 0, SNAN, 0, 0, 0x7fc00000, IO);
    S("fcvt d0, s0", 0, 0x3dcccccd, 0, 0, 0x3fb99999a0000000ul, 0);
    S("fcvt d0, s0", 0, 0x00000001, 0, 0, 0x36a0000000000000ul, 0);
    S("fcvt h0, s0", 0, 0x3f800000, 0, 0, 0x3c00, 0);
    S("fcvt h0, s0", 0, 0x477ff000, 0, 0, 0x7c00, OF | IX); /* 65520 */
    S("fcvt s0, h0", 0, 0x0001, 0, 0, 0x33800000, 0);
    S("fcvt d0, h0", 0, 0x3555, 0, 0, 0x3fd5540000000000ul, 0);
}

void test_fp(void)
{
    arithmetic();
    rounding();
    flags();
    comparisons();
    conversions();
    sysreg_write("fpcr", 0);
    sysreg_write("fpsr", 0);
}
