/* Translation: aliases, faults with their syndrome, remapping, accesses that
   straddle pages, execute-never. */
#include "fw.h"

enum { PAGE = 4096 };
static u8 frames[3][PAGE] __attribute__((aligned(PAGE)));

#define VA(n) (MMU_TEST_BASE + (u64)(n) * PAGE)
#define PA(n) ((u64)frames[n])

static volatile u64 *word(u64 at) { return (volatile u64 *)at; }

/* ESR: class 0x25 (data abort, same EL), IL, WnR and the fault status; FAR. */
static void faults(const char *what, int r, u64 at, bool write, u32 status)
{
    check(what, r != 0, 1);
    if (r == 0)
        return;
    check("its ESR class and IL", last_fault.esr >> 25 & 0x7f, 0x4b);
    check("its ESR fault status", last_fault.esr & 0x3f, status);
    check("its ESR WnR", last_fault.esr >> 6 & 1, write);
    check("its FAR", last_fault.far, at);
}

static u64 translate(u64 va)
{
    __asm__ volatile("at s1e1r, %0" : : "r"(va) : "memory");
    isb();
    return sysreg_read("par_el1");
}

static void aliases(void)
{
    mmu_map(VA(0), PA(0), MMU_NORMAL);
    mmu_map(VA(7), PA(0), MMU_NORMAL);
    *word(PA(0) + 8) = 0x1111;
    check("read through the alias", *word(VA(0) + 8), 0x1111);
    *word(VA(0) + 8) = 0x2222;
    check("write through the alias", *word(PA(0) + 8), 0x2222);
    check("a second alias", *word(VA(7) + 8), 0x2222);
    check("at s1e1r of an alias", translate(VA(7)) & 0xfffffffff001ul, PA(0));
    check("at s1e1r of the identity", translate(PA(1)) & 0xfffffffff001ul, PA(1));
    check("at s1e1r of nothing", translate(VA(9)) & 0x7f, 0x07 << 1 | 1);
}

static void data_aborts(void)
{
    u64 v;
    faults("read, no page", probe_read(VA(1) + 0x18, 8, &v), VA(1) + 0x18, false, 0x07);
    faults("write, no page", probe_write(VA(1) + 0x21, 1, 1), VA(1) + 0x21, true, 0x07);
    faults("read, no level 2", probe_read(MMU_TEST_BASE + (4 << 20), 4, &v), MMU_TEST_BASE + (4 << 20), false, 0x06);
    faults("read, no level 1", probe_read(MMU_TEST_BASE - (4ul << 30), 4, &v), MMU_TEST_BASE - (4ul << 30), false, 0x05);
    faults("read, past T0SZ", probe_read(1ul << 40, 4, &v), 1ul << 40, false, 0x04);
    *word(PA(1)) = 0x3333;
    mmu_map(VA(2), PA(1), MMU_READ_ONLY);
    check("read of a read-only page", probe_read(VA(2), 8, &v) == 0 ? v : ~0ul, 0x3333);
    faults("write, read-only page", probe_write(VA(2) + 4, 4, 0x4444), VA(2) + 4, true, 0x0f);
    check("the page is unharmed", *word(PA(1)), 0x3333);
    faults("write, read-only block", probe_write(0x1000, 4, 0), 0x1000, true, 0x0e);
    mmu_map(VA(3), PA(1), MMU_NO_ACCESS_FLAG);
    faults("read, access flag clear", probe_read(VA(3), 8, &v), VA(3), false, 0x0b);
}

/* After each change of a valid entry its TLB entry is invalidated. */
static void remapping(void)
{
    u64 v;
    *word(PA(0)) = 0xaaaa;
    *word(PA(1)) = 0xbbbb;
    mmu_map(VA(4), PA(0), MMU_NORMAL);
    check("before remapping", *word(VA(4)), 0xaaaa);
    mmu_unmap(VA(4));
    mmu_flush(VA(4));
    faults("unmapped, flushed", probe_read(VA(4), 8, &v), VA(4), false, 0x07);
    mmu_map(VA(4), PA(1), MMU_NORMAL); /* from invalid: no flush needed */
    check("after remapping", *word(VA(4)), 0xbbbb);
    *word(VA(4)) = 0xcccc;
    check("write after remapping", *word(PA(1)), 0xcccc);
    check("the old page", *word(PA(0)), 0xaaaa);
    mmu_map(VA(4), PA(1), MMU_READ_ONLY);
    mmu_flush(VA(4));
    faults("made read-only", probe_write(VA(4), 8, 1), VA(4), true, 0x0f);
    mmu_map(VA(4), PA(0), MMU_NORMAL);
    __asm__ volatile("dsb ish\n\ttlbi vmalle1\n\tdsb ish\n\tisb" : : : "memory");
    check("after tlbi vmalle1", *word(VA(4)), 0xaaaa);
}

/* Unaligned accesses are allowed in Normal memory, and may touch two pages. */
static void straddling(void)
{
    u64 v;
    memset(frames, 0, sizeof frames);
    mmu_map(VA(10), PA(2), MMU_NORMAL);
    mmu_map(VA(11), PA(0), MMU_NORMAL); /* not the frame behind PA(2) */
    check("unaligned write", probe_write(VA(10) + 3, 8, 0x1122334455667788ul), 0);
    check("unaligned read", probe_read(VA(10) + 5, 4, &v) == 0 ? v : ~0ul, 0x33445566);
    check("straddling write", probe_write(VA(11) - 3, 8, 0x0807060504030201ul), 0);
    check("its first page", frames[2][4093] | frames[2][4094] << 8 | frames[2][4095] << 16, 0x030201);
    check("its second page", *word(PA(0)), 0x0807060504);
    check("straddling read", probe_read(VA(11) - 1, 4, &v) == 0 ? v : ~0ul, 0x06050403);
    /* The second page is missing: FAR is its first byte. */
    faults("straddling into no page", probe_read(VA(12) - 4, 8, &v), VA(12), false, 0x07);
}

static int call(void *at)
{
    ((void (*)(void))at)();
    return 0;
}

static void execution(void)
{
    mmu_map(VA(13), PA(0), MMU_NORMAL); /* execute-never */
    check("execute-never", guarded(call, (void *)VA(13), true), -1);
    check("its ESR class", last_fault.esr >> 26, 0x21);
    check("its ESR fault status", last_fault.esr & 0x3f, 0x0f);
    check("its FAR", last_fault.far, VA(13));
    check("call to no page", guarded(call, (void *)(VA(14) + 8), true), -1);
    check("its ESR class", last_fault.esr >> 26, 0x21);
    check("its ESR fault status", last_fault.esr & 0x3f, 0x07);
    check("its FAR", last_fault.far, VA(14) + 8);
}

void test_mmu(void)
{
    mmu_on();
    check("SCTLR_EL1 M, C, I", sysreg_read("sctlr_el1") & 0x1005, 0x1005);
    aliases();
    data_aborts();
    remapping();
    straddling();
    execution();
    mmu_stop();
    check("memory after the MMU is off", *word(PA(0)), 0x0807060504);
}
