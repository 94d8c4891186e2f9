/* What machine this is: the processor's registers, memory by trying it, PCI by asking all slots. */
#include "fw.h"

enum { GT = 0xbbe00000, CFGADDR = 0xcf8, CFGDATA = 0xcfc, PIO = 0xb8000000, SOFTRES = 0xbf000500, PM_BASE = 0x1000, WINDOW = 0xc0000000 };
enum { SOUTH_BRIDGE = 10, PM = 3 };

bool is_64(void) { return (cp0_read(16, 0) >> 13 & 3) != 0; }
bool has_release2(void) { return (cp0_read(16, 0) >> 10 & 7) != 0; }
bool has_fpu(void) { return cp0_read(16, 1) & 1; }
u32 tlb_size(void) { return (cp0_read(16, 1) >> 25 & 63) + 1; }

bool has_fpu_64(void)
{
    u32 fir, status = cp0_read(12, 0);
    if (!has_fpu())
        return false;
    cp0_write(12, 0, status | CU1);
    __asm__ volatile(".set push\n\t.set hardfloat\n\tcfc1 %0, $0\n\t.set pop" : "=r"(fir));
    cp0_write(12, 0, status);
    return fir >> 22 & 1;
}

void tlb_write(u32 index, u32 hi, u32 lo0, u32 lo1)
{
    cp0_write(0, 0, index);
    cp0_write(10, 0, hi);
    cp0_write(2, 0, lo0);
    cp0_write(3, 0, lo1);
    cp0_write(5, 0, 0);
    __asm__ volatile("tlbwi\n\tehb" : : : "memory");
}

void tlb_clear(void)
{
    for (u32 i = 0; i < tlb_size(); i++)
        tlb_write(i, 0x80000000 + i * 0x2000, 0, 0);
    cp0_write(10, 0, 0);
}

/* The bridge's registers are little-endian. */
static u32 little(u32 v)
{
#ifdef __MIPSEB__
    return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
#else
    return v;
#endif
}

/* Data of the bridge itself are as its registers are, those of others in the processor's order. */
static u32 config(u32 slot, u32 function, u32 at)
{
    *(volatile u32 *)(GT + CFGADDR) = little(0x80000000 | slot << 11 | function << 8 | at);
    u32 v = *(volatile u32 *)(GT + CFGDATA);
    return slot == 0 ? little(v) : v;
}

static void config_write(u32 slot, u32 function, u32 at, u32 v)
{
    *(volatile u32 *)(GT + CFGADDR) = little(0x80000000 | slot << 11 | function << 8 | at);
    *(volatile u32 *)(GT + CFGDATA) = v;
}

/* All memory is at physical 0x80000000 too, which is reached by the TLB. */
static void try_memory(void *arg)
{
    u32 *found = arg;
    volatile u32 *word = (volatile u32 *)WINDOW;
    for (u32 mib = 0; mib < 2048; mib++) {
        tlb_write(0, WINDOW, (0x80000000 + (mib << 20)) >> 12 << 6 | 2 << 3 | 7, 1);
        u32 old = *word;
        *word = 0x5aa50000 | mib;
        bool there = *word == (0x5aa50000 | mib);
        *word = old;
        if (!there)
            break;
        *found = mib + 1;
    }
}

static const char *class_name(u32 class)
{
    static const struct { u16 class; const char *name; } names[] = {
        { 0x0101, "IDE" }, { 0x0100, "SCSI" }, { 0x0180, "storage" }, { 0x0200, "Ethernet" }, { 0x0300, "VGA" }, { 0x0600, "host bridge" },
        { 0x0601, "ISA bridge" }, { 0x0680, "bridge" }, { 0x0c03, "USB" }, { 0x0c05, "SMBus" }, { 0x0780, "serial" },
    };
    for (u32 i = 0; i < COUNT(names); i++)
        if (names[i].class == class)
            return names[i].name;
    return "device";
}

static void pci_print(void)
{
    for (u32 slot = 0; slot < 32; slot++)
        for (u32 function = 0; function < 8; function++) {
            u32 id = config(slot, function, 0);
            if (id == 0xffffffff || id == 0) {
                if (function == 0)
                    break;
                continue;
            }
            print("pci %02x.%u: %04x:%04x %s\n", slot, function, id & 0xffff, id >> 16, class_name(config(slot, function, 8) >> 16));
            if (function == 0 && !(config(slot, 0, 0xc) >> 23 & 1))
                break;
        }
}

void machine_print(void)
{
    static const struct { u16 id; const char *name; } names[] = {
        { 0x0180, "4Kc" }, { 0x0190, "4KEc" }, { 0x0193, "24K" }, { 0x0181, "5K" }, { 0x0189, "5KE" }, { 0x0182, "20Kc" }, { 0x0100, "generic" },
    };
    u32 prid = cp0_read(15, 0), mib = 0;
    const char *name = "unknown";
    for (u32 i = 0; i < COUNT(names); i++)
        if (names[i].id == prid >> 8)
            name = names[i].name;
    tlb_clear();
    guarded(try_memory, &mib);
    tlb_clear();
    print("machine: Malta, revision 0x%x\n", *(volatile u32 *)0xbfc00010);
    print("processor: MIPS%s release %u %s (PRId 0x%08x), %s-endian, %u TLB entries, %s\n", is_64() ? "64" : "32", has_release2() ? 2 : 1, name, prid,
          cp0_read(16, 0) & 0x8000 ? "big" : "little", tlb_size(), has_fpu() ? "FPU" : "no FPU");
    print("memory: %u MiB\n", mib);
    pci_print();
}

void reset(void)
{
    for (;;)
        *(volatile u32 *)SOFTRES = 0x42;
}

/* Soft off of the PIIX4: register PMCNTRL, type 0 with the enable. */
void power_off(void)
{
    config_write(SOUTH_BRIDGE, PM, 0x40, PM_BASE | 1);
    config_write(SOUTH_BRIDGE, PM, 0x80, config(SOUTH_BRIDGE, PM, 0x80) | 1);
    config_write(SOUTH_BRIDGE, PM, 4, config(SOUTH_BRIDGE, PM, 4) | 1);
    *(volatile u16 *)(PIO + PM_BASE + 4) = little(0x2000 << 16 | 0x2000) & 0xffff; /* a little-endian register */
}
