/* Integer instructions with operands the compiler cannot fold. Expected values are
   worked out by hand or are published check values. */
#include "fw.h"

#define R1(i, a, want) do { u64 r_; \
    __asm__ volatile(i " %0, %1" : "=r"(r_) : "r"((u64)(a))); check(i, r_, want); } while (0)
#define W1(i, a, want) do { u64 r_; \
    __asm__ volatile(i " %w0, %w1" : "=r"(r_) : "r"((u64)(a))); check(i " w", r_, want); } while (0)
#define R2(i, a, b, want) do { u64 r_; \
    __asm__ volatile(i " %0, %1, %2" : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)) : "cc"); check(i, r_, want); } while (0)
#define W2(i, a, b, want) do { u64 r_; \
    __asm__ volatile(i " %w0, %w1, %w2" : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)) : "cc"); check(i " w", r_, want); } while (0)
#define R3(i, a, b, c, want) do { u64 r_; \
    __asm__ volatile(i " %0, %1, %2, %3" : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)), "r"((u64)(c))); check(i, r_, want); } while (0)
#define L3(i, a, b, c, want) do { u64 r_; \
    __asm__ volatile(i " %0, %w1, %w2, %3" : "=r"(r_) : "r"((u64)(a)), "r"((u64)(b)), "r"((u64)(c))); check(i, r_, want); } while (0)
/* An instruction with constant tail, such as "add %0, %1, #5". */
#define RI(t, a, want) do { u64 r_; \
    __asm__ volatile(t : "=r"(r_) : "r"((u64)(a)) : "cc"); check(t, r_, want); } while (0)
#define RII(t, a, b, want) do { u64 r_ = (u64)(a); \
    __asm__ volatile(t : "+r"(r_) : "r"((u64)(b)) : "cc"); check(t, r_, want); } while (0)
/* Flags as NZCV in bits 3..0. */
#define FLAGS(t, a, b, want) do { u64 f_; \
    __asm__ volatile(t "\n\tmrs %0, nzcv" : "=&r"(f_) : "r"((u64)(a)), "r"((u64)(b)) : "cc"); check(t, f_ >> 28, want); } while (0)

#define MIN64 0x8000000000000000ul
#define MAX64 0x7ffffffffffffffful
#define ONES 0xfffffffffffffffful
#define PAT 0x0123456789abcdeful

static void arithmetic(void)
{
    R2("add", ONES, 1, 0);
    W2("add", 0xffffffff, 1, 0);
    W2("sub", 0, 1, 0xffffffff);
    R2("sub", 0, 1, ONES);
    RI("add %0, %1, #4095", 1, 4096);
    RI("add %0, %1, #1, lsl #12", 1, 4097);
    RI("sub %w0, %w1, #5", 3, 0xfffffffe);
    RI("add %0, %1, %1, lsl #4", 0x11, 0x121);
    RI("sub %0, %1, %1, asr #1", MIN64, 0xc000000000000000ul);
    RII("add %0, %0, %w1, sxtb #2", 0x1000, 0x80, 0xe00);
    RII("add %0, %0, %w1, uxth #1", 0x1000, 0x12345678, 0xbcf0);
    RII("sub %0, %0, %w1, sxtw", 1, 0x80000000, 0x80000001);
    R2("and", PAT, 0xff00ff00ff00ff00ul, 0x010045008900cd00ul);
    R2("bic", PAT, 0xff00ff00ff00ff00ul, 0x0023006700ab00eful);
    R2("orr", PAT, 0xf0f0f0f0f0f0f0f0ul, 0xf1f3f5f7f9fbfdfful);
    R2("orn", 0, PAT, ~PAT);
    R2("eor", PAT, ONES, ~PAT);
    R2("eon", PAT, ONES, PAT);
    RI("and %0, %1, #0x00ff00ff00ff00ff", PAT, 0x0023006700ab00eful);
    RI("orr %w0, %w1, #0x80000001", 0, 0x80000001);
    RI("eor %0, %1, #0x5555555555555555", 0, 0x5555555555555555ul);
    R1("neg", 1, ONES);
    R1("mvn", PAT, ~PAT);
    R1("cls", 0xfff0000000000000ul, 11);
    R1("clz", 0x00010000, 47);
    W1("clz", 0, 32);
    R1("rbit", 1, MIN64);
    W1("rbit", 0x3, 0xc0000000);
    R1("rev", PAT, 0xefcdab8967452301ul);
    R1("rev16", PAT, 0x23016745ab89efcdul);
    R1("rev32", PAT, 0x67452301efcdab89ul);
    W1("rev", PAT, 0xefcdab89);
}

static void multiply_divide(void)
{
    R2("mul", 0x100000001ul, 0x100000001ul, 0x200000001ul);
    R2("umulh", ONES, ONES, 0xfffffffffffffffeul);
    R2("smulh", ONES, ONES, 0);
    R2("smulh", MIN64, MIN64, 0x4000000000000000ul);
    R2("smulh", MIN64, MAX64, 0xc000000000000000ul);
    R2("umulh", PAT, 0x100, 0x01);
    R3("madd", 7, 6, 100, 142);
    R3("msub", 7, 6, 100, 58);
    L3("smaddl", 0xffffffff, 5, 10, 5);
    L3("umaddl", 0xffffffff, 2, 1, 0x1fffffffful);
    L3("smsubl", 0x80000000, 1, 0, 0x80000000ul);
    L3("umsubl", 0xffffffff, 0xffffffff, 0, 0x1fffffffful);
    R2("udiv", 100, 7, 14);
    R2("sdiv", -100, 7, -14);
    R2("sdiv", 100, -7, -14);
    R2("udiv", 5, 0, 0);
    R2("sdiv", 5, 0, 0);
    R2("sdiv", MIN64, -1, MIN64);
    W2("sdiv", 0x80000000, 0xffffffff, 0x80000000);
    W2("sdiv", -7, 2, 0xfffffffd);
    W2("udiv", 0xffffffff, 2, 0x7fffffff);
}

static void shifts_bitfields(void)
{
    R2("lslv", 1, 65, 2);
    R2("lsrv", MIN64, 63, 1);
    R2("asrv", MIN64, 63, ONES);
    R2("rorv", 1, 1, MIN64);
    W2("lslv", 1, 33, 2);
    W2("asrv", 0x80000000, 31, 0xffffffff);
    W2("rorv", 0x12345678, 8, 0x78123456);
    RI("ubfx %0, %1, #8, #16", PAT, 0xabcd);
    RI("sbfx %0, %1, #8, #16", PAT, 0xffffffffffffabcdul);
    RI("ubfiz %0, %1, #60, #4", 0xff, 0xf000000000000000ul);
    RI("sbfiz %0, %1, #4, #8", 0x80, 0xfffffffffffff800ul);
    RII("bfi %0, %1, #16, #8", PAT, 0x55, 0x012345678955cdeful);
    RII("bfxil %0, %1, #32, #16", 0x1111111111111111ul, PAT, 0x1111111111114567ul);
    RI("sxtb %0, %w1", 0x80, 0xffffffffffffff80ul);
    RI("sxth %w0, %w1", 0x8000, 0xffff8000);
    RI("uxtb %w0, %w1", 0x1ff, 0xff);
    RI("sxtw %0, %w1", 0x80000000, 0xffffffff80000000ul);
    RI("ror %0, %1, #4", PAT, 0xf0123456789abcdeul);
    RII("extr %0, %0, %1, #8", 0x1122334455667788ul, PAT, 0x880123456789abcdul);
    RII("movk %0, #0xbeef, lsl #16", PAT, 0, 0x01234567beefcdeful);
    RI("movn %0, #0x1234, lsl #32", 0, 0xffffedcbfffffffful);
    RI("movz %w0, #0x8000, lsl #16", 0, 0x80000000);
}

static void flags_conditions(void)
{
    enum { N = 8, Z = 4, C = 2, V = 1 };
    FLAGS("adds xzr, %1, %2", MAX64, 1, N | V);
    FLAGS("adds xzr, %1, %2", ONES, 1, Z | C);
    FLAGS("adds wzr, %w1, %w2", 0x80000000, 0x80000000, Z | C | V);
    FLAGS("subs xzr, %1, %2", 1, 2, N);
    FLAGS("subs xzr, %1, %2", 2, 1, C);
    FLAGS("subs xzr, %1, %2", MIN64, 1, C | V);
    FLAGS("subs wzr, %w1, %w2", 5, 5, Z | C);
    FLAGS("ands xzr, %1, %2", MIN64, ONES, N);
    FLAGS("bics xzr, %1, %2", PAT, PAT, Z);
    FLAGS("cmp %1, %2\n\tadcs xzr, %1, %2", ONES, 0, Z | C);
    FLAGS("cmp %1, %2\n\tsbcs xzr, %1, %2", 0, 1, N);
    FLAGS("cmp %1, %1\n\tccmp %1, %2, #5, eq", 1, 2, N);
    FLAGS("cmp %1, %1\n\tccmp %1, %2, #5, ne", 1, 2, Z | V);
    FLAGS("cmp %1, %1\n\tccmn %1, #31, #0, eq", -31, 0, Z | C);
    FLAGS("mov x9, #0xa0000000\n\tmsr nzcv, x9\n\tmov x9, %1\n\tmov x9, %2", 0, 0, N | C);
    RII("cmp %0, %1\n\tcsel %0, %0, %1, hi", 5, 3, 5);
    RII("cmp %0, %1\n\tcsinc %0, %0, %1, lt", 5, 3, 4);
    RII("cmp %0, %1\n\tcsinv %0, %0, %1, ls", 5, 3, ~3ul);
    RII("cmp %0, %1\n\tcsneg %0, %0, %1, vs", 5, 3, -3);
    RII("cmp %0, %1\n\tcset %0, gt", -1, 3, 0);
    RII("cmp %0, %1\n\tcsetm %0, mi", -1, 3, ONES);
    RII("adds %0, %0, %1\n\tadc %0, xzr, xzr", ONES, 1, 1);
    RII("subs xzr, %0, %1\n\tsbc %0, xzr, xzr", 0, 1, ONES);
}

static u64 crc(const char *text, int which)
{
    u64 c = 0xffffffff;
    for (; *text; text++) {
        if (which)
            __asm__ volatile(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(c) : "r"((u64)*text));
        else
            __asm__ volatile(".arch_extension crc\n\tcrc32b %w0, %w0, %w1" : "+r"(c) : "r"((u64)*text));
    }
    return c ^ 0xffffffff;
}

/* The check values of both polynomials for "123456789", byte by byte, and the
   wider forms against the byte form. */
static void crc_instructions(void)
{
    u64 a = 0, b = 0, text = 0x3837363534333231ul;
    if ((sysreg_read("id_aa64isar0_el1") >> 16 & 0xf) == 0) {
        note("no crc32");
        return;
    }
    check("crc32b", crc("123456789", 0), 0xcbf43926);
    check("crc32cb", crc("123456789", 1), 0xe3069283);
    __asm__ volatile("crc32x %w0, %w1, %2" : "=r"(a) : "r"(0xffffffff), "r"(text));
    check("crc32x", a ^ 0xffffffff, crc("12345678", 0));
    __asm__ volatile("crc32cx %w0, %w1, %2" : "=r"(a) : "r"(0xffffffff), "r"(text));
    check("crc32cx", a ^ 0xffffffff, crc("12345678", 1));
    __asm__ volatile("crc32w %w0, %w1, %w2" : "=r"(a) : "r"(0xffffffff), "r"(text));
    __asm__ volatile("crc32h %w0, %w1, %w2" : "=r"(b) : "r"(0xffffffff), "r"(text));
    check("crc32w", a ^ 0xffffffff, crc("1234", 0));
    check("crc32h", b ^ 0xffffffff, crc("12", 0));
    __asm__ volatile("crc32cw %w0, %w1, %w2" : "=r"(a) : "r"(0xffffffff), "r"(text));
    __asm__ volatile("crc32ch %w0, %w1, %w2" : "=r"(b) : "r"(0xffffffff), "r"(text));
    check("crc32cw", a ^ 0xffffffff, crc("1234", 1));
    check("crc32ch", b ^ 0xffffffff, crc("12", 1));
}

#define LOAD(t, p, want) do { u64 r_; \
    __asm__ volatile(t : "=r"(r_) : "r"(p), "r"(2ul) : "memory"); check(t, r_, want); } while (0)

static void loads_stores(void)
{
    static u64 buffer[8] __attribute__((aligned(16)));
    u64 *p = buffer, a, b;
    buffer[0] = 0x8899aabbccddeefful;
    buffer[1] = PAT;
    LOAD("ldrb %w0, [%1]", buffer, 0xff);
    LOAD("ldrsb %0, [%1]", buffer, ONES);
    LOAD("ldrsb %w0, [%1, #1]", buffer, 0xffffffee);
    LOAD("ldrh %w0, [%1, #2]", buffer, 0xccdd);
    LOAD("ldrsh %0, [%1, #2]", buffer, 0xffffffffffffccddul);
    LOAD("ldrsw %0, [%1, #4]", buffer, 0xffffffff8899aabbul);
    LOAD("ldr %w0, [%1, %2, lsl #2]", buffer, 0x89abcdef);
    LOAD("ldrh %w0, [%1, %w2, sxtw #1]", buffer, 0xaabb);
    LOAD("ldur %0, [%1, #-8]", buffer + 1, 0x8899aabbccddeefful);
    __asm__ volatile("ldp %0, %1, [%2], #16" : "=&r"(a), "=&r"(b), "+&r"(p) : : "memory");
    check("ldp post-index", a ^ b ^ (u64)p, 0x8899aabbccddeefful ^ PAT ^ (u64)(buffer + 2));
    __asm__ volatile("stp %w1, %w2, [%0, #-8]!" : "+r"(p) : "r"(1ul), "r"(2ul) : "memory");
    check("stp pre-index", buffer[1], 0x200000001ul);
    check("stp pre-index base", (u64)p, (u64)(buffer + 1));
    __asm__ volatile("ldpsw %0, %1, [%2]" : "=&r"(a), "=&r"(b) : "r"(buffer) : "memory");
    check("ldpsw", a, 0xffffffffccddeefful);
    __asm__ volatile("strb %w1, [%0, #7]\n\tstrh %w1, [%0], #2" : "+r"(p) : "r"(0x1234ul) : "memory");
    check("strb, strh", buffer[1], 0x3400000200001234ul);
    p = buffer + 4;
    __asm__ volatile("stlr %1, [%2]\n\tldar %0, [%2]" : "=&r"(a) : "r"(PAT), "r"(p) : "memory");
    check("stlr, ldar", a, PAT);
}

static void branches(void)
{
    u64 r;
    __asm__ volatile("mov %0, #0\n\tmov x9, #5\n1:\tadd %0, %0, x9\n\tsub x9, x9, #1\n\tcbnz x9, 1b" : "=&r"(r) : : "x9");
    check("cbnz", r, 15);
    __asm__ volatile("mov %0, #1\n\ttbz %1, #63, 1f\n\tmov %0, #2\n1:" : "=&r"(r) : "r"(MIN64));
    check("tbz", r, 2);
    __asm__ volatile("mov %0, #1\n\ttbnz %1, #63, 1f\n\tmov %0, #2\n1:" : "=&r"(r) : "r"(MIN64));
    check("tbnz", r, 1);
    __asm__ volatile("bl 1f\n\tb 2f\n1:\tadr %0, 1b\n\tsub %0, %0, x30\n\tret\n2:" : "=&r"(r) : : "x30");
    check("bl, adr, ret", r, 4);
    __asm__ volatile("adr x9, 1f\n\tmov %0, #3\n\tbr x9\n\tmov %0, #4\n1:" : "=&r"(r) : : "x9");
    check("br", r, 3);
}

void test_integer(void)
{
    arithmetic();
    multiply_divide();
    shifts_bitfields();
    flags_conditions();
    crc_instructions();
    loads_stores();
    branches();
}
