/* GICv2 (IHI 0048) and GICv3 (IHI 0069). Group 1 of the state this program runs
   in: secure if it was entered at EL3, else the non-secure or only one. GICv2's
   reset groups do as they are. */
#include "fw.h"

enum {
    GICD_CTLR = 0x000, GICD_TYPER = 0x004, GICD_IGROUPR = 0x080, GICD_ISENABLER = 0x100, GICD_ICENABLER = 0x180,
    GICD_IPRIORITYR = 0x400, GICD_ITARGETSR = 0x800, GICD_IGRPMODR = 0xd00, GICD_IROUTER = 0x6000,
    GICC_CTLR = 0x00, GICC_PMR = 0x04, GICC_IAR = 0x0c, GICC_EOIR = 0x10,
    GICR_TYPER = 0x0008, GICR_WAKER = 0x0014, GICR_SGI = 0x10000,
};

static u64 redistributor;

static u64 find_redistributor(void)
{
    u64 mpidr = sysreg_read("mpidr_el1");
    u32 me = (mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff);
    for (u64 r = machine.gicr; r < machine.gicr + machine.gicr_size;) {
        u32 typer = mmio_read(r + GICR_TYPER);
        if (mmio_read(r + GICR_TYPER + 4) == me)
            return r;
        if (typer & 1 << 4) /* Last */
            break;
        r += typer & 1 << 1 ? 0x40000 : 0x20000; /* VLPIS: two more frames */
    }
    return 0;
}

static bool wake(u64 r)
{
    mmio_write(r + GICR_WAKER, mmio_read(r + GICR_WAKER) & ~2u);
    for (u32 n = 0; n < 1000000; n++)
        if (!(mmio_read(r + GICR_WAKER) & 4))
            return true;
    return false;
}

bool gic_init(void)
{
    if (machine.gic_version == 2) {
        mmio_write(machine.gicd + GICD_CTLR, 1);
        mmio_write(machine.gicc + GICC_PMR, 0xff);
        mmio_write(machine.gicc + GICC_CTLR, 1);
        return true;
    }
    if (machine.gic_version != 3)
        return false;
    redistributor = find_redistributor();
    if (!redistributor || !wake(redistributor))
        return false;
    /* Affinity routing first: the enables may be written only after it. */
    u32 routing = entry_el == 3 ? 3 << 4 : 1 << 4, enable = entry_el == 3 ? 7 : 3;
    mmio_write(machine.gicd + GICD_CTLR, routing);
    mmio_write(machine.gicd + GICD_CTLR, routing | enable);
    sysreg_write("s3_0_c12_c12_5", sysreg_read("s3_0_c12_c12_5") | 1); /* ICC_SRE_EL1.SRE */
    isb();
    sysreg_write("s3_0_c4_c6_0", 0xff); /* ICC_PMR_EL1 */
    sysreg_write("s3_0_c12_c12_3", 0);  /* ICC_BPR1_EL1 */
    sysreg_write("s3_0_c12_c12_4", 0);  /* ICC_CTLR_EL1: EOI ends and deactivates */
    sysreg_write("s3_0_c12_c12_7", 1);  /* ICC_IGRPEN1_EL1 */
    isb();
    return true;
}

/* Where interrupt `intid` is kept: the redistributor has GICv3's first 32. */
static u64 home(u32 intid) { return machine.gic_version == 3 && intid < 32 ? redistributor + GICR_SGI : machine.gicd; }

static void set_bit(u64 at, u32 intid, bool on)
{
    u32 bit = 1u << intid % 32, v = mmio_read(at + intid / 32 * 4);
    mmio_write(at + intid / 32 * 4, on ? v | bit : v & ~bit);
}

void gic_enable(u32 intid)
{
    u64 at = home(intid);
    if (machine.gic_version == 0)
        return;
    *(volatile u8 *)(at + GICD_IPRIORITYR + intid) = 0xa0;
    if (machine.gic_version == 3) {
        set_bit(at + GICD_IGROUPR, intid, entry_el != 3);
        if (entry_el == 3)
            set_bit(at + GICD_IGRPMODR, intid, true);
    }
    if (intid >= 32 && machine.gic_version == 2) {
        *(volatile u8 *)(at + GICD_ITARGETSR + intid) = 1;
    } else if (intid >= 32) {
        mmio_write(at + GICD_IROUTER + intid * 8ul, 0);
        mmio_write(at + GICD_IROUTER + intid * 8ul + 4, 0);
    }
    mmio_write(at + GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

void gic_disable(u32 intid)
{
    if (machine.gic_version)
        mmio_write(home(intid) + GICD_ICENABLER + intid / 32 * 4, 1u << intid % 32);
}

u32 gic_acknowledge(void)
{
    if (machine.gic_version == 2)
        return mmio_read(machine.gicc + GICC_IAR) & 0x3ff;
    u32 intid = sysreg_read("s3_0_c12_c12_0"); /* ICC_IAR1_EL1 */
    dsb();
    return intid & 0xffffff;
}

void gic_end(u32 intid)
{
    if (machine.gic_version == 2)
        mmio_write(machine.gicc + GICC_EOIR, intid);
    else
        sysreg_write("s3_0_c12_c12_1", intid); /* ICC_EOIR1_EL1 */
    isb();
}
