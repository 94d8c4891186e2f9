/* Tells how it was entered and what it was given, then powers off. */
#include "../fw.h"

struct machine machine;
static volatile u8 beyond_the_file[3 << 20]; /* image_size has it, the file does not */

void start(u64 dtb, u64 x1, u64 x2, u64 x3);

void start(u64 dtb, u64 x1, u64 x2, u64 x3)
{
    bool tree = fdt_open(dtb);
    int chosen = fdt_path("/chosen", ~0ul), n1 = 0, n2 = 0;
    u64 from, to;
    uart_init(0x9000000, -1);
    print("test image: EL%lu, daif 0x%lx, sctlr M %lu C %lu, x1..x3 0x%lx, tree %s\n", sysreg_read("CurrentEL") >> 2,
          sysreg_read("daif") >> 6, sysreg_read("sctlr_el1") & 1, sysreg_read("sctlr_el1") >> 2 & 1, x1 | x2 | x3,
          tree ? "ok" : "MISSING");
    print("test image: bss %s\n", beyond_the_file[0] | beyond_the_file[sizeof beyond_the_file - 1] ? "dirty" : "ok");
    print("test image: bootargs \"%s\"\n", fdt_string(chosen, "bootargs"));
    print("test image: stdout-path %s\n", fdt_string(chosen, "stdout-path"));
    const void *s = fdt_prop(chosen, "linux,initrd-start", &n1), *e = fdt_prop(chosen, "linux,initrd-end", &n2);
    if (s && e) {
        u32 sum = 0;
        from = be_cells(s, n1 / 4);
        to = be_cells(e, n2 / 4);
        for (u64 at = from; at < to; at++)
            sum += *(u8 *)at;
        print("test image: initrd %lu bytes, sum %u\n", to - from, sum);
    } else {
        print("test image: no initrd\n");
    }
    machine.psci_method = fdt_string(fdt_compatible(-1, "arm,psci-0.2"), "method");
    psci_call(PSCI_SYSTEM_OFF);
}
