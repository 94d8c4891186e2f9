/* Exclusives and atomics. They need Normal cacheable memory, so the MMU is on. */
#include "fw.h"

static struct { u64 a, b; u64 pad[14]; } cell __attribute__((aligned(128)));

/* A monitor may be lost at any time, so an exclusive pair may have to be retried. */
#define RETRY 1000
#define EXCLUSIVE(load, store, r, old, new) do { u32 s_ = 1; u64 o_ = 0; \
    for (int n_ = 0; n_ < RETRY && s_; n_++) \
        __asm__ volatile(load " %" r "0, [%2]\n\t" store " %w1, %" r "3, [%2]" \
                         : "=&r"(o_), "=&r"(s_) : "r"(&cell), "r"((u64)(new)) : "memory"); \
    check(store " status", s_, 0); check(load, o_, old); } while (0)

static void exclusives(void)
{
    u32 s;
    u64 o, p;
    cell.a = 0x1122334455667788ul;
    EXCLUSIVE("ldxr", "stxr", "", 0x1122334455667788ul, 0x8877665544332211ul);
    check("stxr stored", cell.a, 0x8877665544332211ul);
    EXCLUSIVE("ldaxr", "stlxr", "w", 0x44332211, 0xcafebabe);
    check("stlxr w stored", cell.a, 0x88776655cafebabeul);
    EXCLUSIVE("ldxrh", "stxrh", "w", 0xbabe, 0x1234);
    EXCLUSIVE("ldaxrb", "stlxrb", "w", 0x34, 0x99);
    check("narrow exclusives stored", cell.a, 0x88776655cafe1299ul);

    cell.b = 2;
    s = 1;
    for (int n = 0; n < RETRY && s; n++)
        __asm__ volatile("ldxp %0, %1, [%3]\n\tstxp %w2, %4, %5, [%3]"
                         : "=&r"(o), "=&r"(p), "=&r"(s) : "r"(&cell), "r"(5ul), "r"(6ul) : "memory");
    check("stxp status", s, 0);
    check("ldxp low", o, 0x88776655cafe1299ul);
    check("ldxp high", p, 2);
    check("stxp low", cell.a, 5);
    check("stxp high", cell.b, 6);
    s = 1;
    for (int n = 0; n < RETRY && s; n++)
        __asm__ volatile("ldaxp %w0, %w1, [%3]\n\tstlxp %w2, %w4, %w5, [%3]"
                         : "=&r"(o), "=&r"(p), "=&r"(s) : "r"(&cell), "r"(8ul), "r"(9ul) : "memory");
    check("ldaxp w", o | p << 32, 5);
    check("stlxp w", cell.a, 0x900000008ul);

    /* Without a monitor the store must fail and store nothing. */
    cell.a = 7;
    __asm__ volatile("ldxr %0, [%2]\n\tclrex\n\tstxr %w1, %3, [%2]" : "=&r"(o), "=&r"(s) : "r"(&cell), "r"(1ul) : "memory");
    check("stxr after clrex", s, 1);
    check("stxr after clrex stores nothing", cell.a, 7);
    s = 1;
    for (int n = 0; n < RETRY && s; n++)
        __asm__ volatile("ldxr %0, [%2]\n\tstxr %w1, %3, [%2]" : "=&r"(o), "=&r"(s) : "r"(&cell), "r"(8ul) : "memory");
    __asm__ volatile("stxr %w0, %2, [%1]" : "=&r"(s) : "r"(&cell), "r"(9ul) : "memory");
    check("second stxr", s, 1);
    check("second stxr stores nothing", cell.a, 8);
    /* An exception return clears the monitor. */
    __asm__ volatile("mrs x9, daif\n\tmsr daifset, #15\n\tmov x10, #0x3c5\n\tmsr spsr_el1, x10\n\tadr x10, 1f\n\t"
                     "msr elr_el1, x10\n\tldxr %0, [%2]\n\teret\n1:\tstxr %w1, %3, [%2]\n\tmsr daif, x9"
                     : "=&r"(o), "=&r"(s) : "r"(&cell), "r"(1ul) : "x9", "x10", "memory");
    check("stxr after eret", s, 1);

    /* A counter by exclusives, as a lock would do it. */
    cell.a = 0;
    for (int n = 0; n < 1000; n++)
        __asm__ volatile("1:\tldaxr %0, [%2]\n\tadd %0, %0, #1\n\tstlxr %w1, %0, [%2]\n\tcbnz %w1, 1b"
                         : "=&r"(o), "=&r"(s) : "r"(&cell) : "memory");
    check("exclusive counter", cell.a, 1000);
}

#define LSE(i, r, start, operand, old, after) do { u64 o_; cell.a = start; \
    __asm__ volatile(".arch_extension lse\n\t" i " %" r "1, %" r "0, [%2]" : "=&r"(o_) : "r"((u64)(operand)), "r"(&cell) : "memory"); \
    check(i " old", o_, old); check(i " new", cell.a, after); } while (0)
#define CAS(i, r, start, compare, new, old, after) do { u64 c_ = compare; cell.a = start; \
    __asm__ volatile(".arch_extension lse\n\t" i " %" r "0, %" r "1, [%2]" : "+&r"(c_) : "r"((u64)(new)), "r"(&cell) : "memory"); \
    check(i " old", c_, old); check(i " new", cell.a, after); } while (0)

static void lse(void)
{
    LSE("ldadd", "", 10, 5, 10, 15);
    LSE("ldaddal", "", 0xfffffffffffffffful, 1, 0xfffffffffffffffful, 0);
    LSE("ldadda", "w", 0x1ffffffff, 1, 0xffffffff, 0x100000000);
    LSE("ldaddlb", "w", 0x1ff, 2, 0xff, 0x101);
    LSE("ldclr", "", 0xff, 0x0f, 0xff, 0xf0);
    LSE("ldset", "", 0xf0, 0x0f, 0xf0, 0xff);
    LSE("ldeorh", "w", 0x12345, 0xffff, 0x2345, 0x1dcba);
    LSE("ldsmax", "", -5, 3, -5, 3);
    LSE("ldsmin", "w", 0x80000000, 3, 0x80000000, 0x80000000);
    LSE("ldumax", "", 0xfffffffffffffffbul, 3, 0xfffffffffffffffbul, 0xfffffffffffffffbul);
    LSE("ldumin", "", 0xfffffffffffffffbul, 3, 0xfffffffffffffffbul, 3);
    LSE("ldsmaxb", "w", 0x180, 1, 0x80, 0x101);
    LSE("swpal", "", 1, 2, 1, 2);
    LSE("swpb", "w", 0x1234, 0xff, 0x34, 0x12ff);
    CAS("cas", "", 5, 5, 6, 5, 6);
    CAS("casal", "", 5, 4, 6, 5, 5);
    CAS("casa", "w", 0x100000005, 5, 6, 5, 0x100000006);
    CAS("caslb", "w", 0x1105, 0x05, 0x77, 0x05, 0x1177);
    CAS("cash", "w", 0x11105, 0x05, 0x77, 0x1105, 0x11105);
    cell.a = 1;
    cell.b = 2;
    register u64 c0 __asm__("x2") = 1, c1 __asm__("x3") = 2, n0 __asm__("x4") = 3, n1 __asm__("x5") = 4;
    __asm__ volatile("caspal x2, x3, x4, x5, [%4]" : "+r"(c0), "+r"(c1) : "r"(n0), "r"(n1), "r"(&cell) : "memory");
    check("caspal old", c0 << 32 | c1, 1ul << 32 | 2);
    check("caspal new", cell.a << 32 | cell.b, 3ul << 32 | 4);
    cell.a = 40;
    __asm__ volatile("stadd %0, [%1]" : : "r"(2ul), "r"(&cell) : "memory");
    check("stadd", cell.a, 42);
}

void test_atomics(void)
{
    bool has_lse = (sysreg_read("id_aa64isar0_el1") >> 20 & 0xf) >= 2;
    mmu_on();
    exclusives();
    if (has_lse)
        lse();
    mmu_stop();
    note(has_lse ? "exclusives, LSE" : "exclusives");
}
