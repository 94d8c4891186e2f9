/* Page tables: 4 KiB granule, 39-bit addresses, three levels. Identity for the
   first GiB (flash and devices) and the RAM; 2 MiB of test pages elsewhere. */
#include "fw.h"

extern u8 __ram_start[], __ram_end[];

enum {
    TABLE = 3, BLOCK = 1, PAGE = 3,
    DEVICE_ATTR = 0 << 2, NORMAL_ATTR = 1 << 2, READ_ONLY = 2 << 6, INNER = 3 << 8, ACCESSED = 1 << 10,
};
#define XN (3ul << 53)
#define GIB (1ul << 30)
#define MIB2 (2ul << 20)

typedef u64 table[512] __attribute__((aligned(4096)));
static table level1, low2, ram2, test2, test3;
static bool on;

static u64 sctlr_off(void) { return 0x30d00800; }

static void build(void)
{
    u64 ram_end = machine.ram_base + machine.ram_size;
    memset(level1, 0, sizeof level1);
    memset(test3, 0, sizeof test3);
    memset(ram2, 0, sizeof ram2);
    memset(test2, 0, sizeof test2);
    for (u64 i = 0; i < 512; i++)
        low2[i] = i * MIB2 | DEVICE_ATTR | ACCESSED | XN | BLOCK;
    low2[0] = NORMAL_ATTR | INNER | READ_ONLY | ACCESSED | BLOCK; /* this program */
    level1[0] = (u64)low2 | TABLE;
    for (u64 i = 0; i < 512 && GIB + (i + 1) * MIB2 <= ram_end; i++)
        ram2[i] = (GIB + i * MIB2) | NORMAL_ATTR | INNER | ACCESSED | XN | BLOCK;
    level1[1] = (u64)ram2 | TABLE;
    for (u64 i = 2; i < 256 && (i + 1) * GIB <= ram_end; i++)
        level1[i] = i * GIB | NORMAL_ATTR | INNER | ACCESSED | XN | BLOCK;
    level1[MMU_TEST_BASE / GIB] = (u64)test2 | TABLE;
    test2[0] = (u64)test3 | TABLE;
}

/* Tables are written with the cache off, or by a cacheable walk's own view. */
static void publish(void)
{
    dsb();
    isb();
}

void mmu_on(void)
{
    if (on)
        return;
    u64 pa_range = sysreg_read("id_aa64mmfr0_el1") & 0xf;
    build();
    /* What the caches may still hold of this memory from another program is stale. */
    cache_clean((u64)__ram_start, (u64)__ram_end);
    sysreg_write("mair_el1", 0xff00); /* 0: Device-nGnRnE, 1: Normal write-back */
    /* T0SZ 25, inner and outer write-back, inner shareable, EPD1 */
    sysreg_write("tcr_el1", (pa_range > 5 ? 5 : pa_range) << 32 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 25);
    sysreg_write("ttbr0_el1", (u64)level1);
    publish();
    mmu_set_sctlr(sctlr_off() | 1 << 12 | 1 << 2 | 1); /* I, C, M */
    on = true;
}

static u64 line_size(void) { return 4ul << (sysreg_read("ctr_el0") >> 16 & 0xf); }

void mmu_stop(void)
{
    if (!on)
        return;
    on = false;
    mmu_off(sctlr_off(), (u64)__ram_start, (u64)__ram_end, line_size());
}

/* One test page at `va`, within 2 MiB from MMU_TEST_BASE; no TLB invalidation. */
void mmu_map(u64 va, u64 pa, int kind)
{
    test3[(va - MMU_TEST_BASE) / 4096 % 512] = pa | NORMAL_ATTR | INNER | XN | PAGE |
                                                (kind & MMU_READ_ONLY ? READ_ONLY : 0) |
                                                (kind & MMU_NO_ACCESS_FLAG ? 0 : ACCESSED);
    publish();
}

void mmu_unmap(u64 va)
{
    test3[(va - MMU_TEST_BASE) / 4096 % 512] = 0;
    publish();
}

void mmu_flush(u64 va)
{
    dsb();
    __asm__ volatile("tlbi vaae1is, %0" : : "r"(va >> 12 & 0xffffffffffful) : "memory");
    publish();
}

/* To the point of coherency, so that a program with caches off sees it. */
void cache_clean(u64 from, u64 to)
{
    u64 line = line_size();
    for (u64 at = from & ~(line - 1); at < to; at += line)
        __asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
    dsb();
}
