/* What machine this is: found in the device tree and by probing virtio-mmio. */
#include "fw.h"

struct machine machine;
u32 entry_el = 1;

static int uart_node(void)
{
    const char *path = fdt_string(fdt_path("/chosen", ~0ul), "stdout-path");
    int node = path ? fdt_path(path, ~0ul) : -1;
    return node >= 0 && fdt_is_compatible(node, "arm,pl011") ? node : fdt_compatible(-1, "arm,pl011");
}

static int psci_node(void)
{
    static const char *const names[] = { "arm,psci-1.0", "arm,psci-0.2", "arm,psci" };
    for (u32 i = 0; i < COUNT(names); i++) {
        int n = fdt_compatible(-1, names[i]);
        if (n >= 0)
            return n;
    }
    return -1;
}

static void find_gic(void)
{
    static const char *const v2[] = { "arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic", "arm,cortex-a7-gic" };
    int n = fdt_compatible(-1, "arm,gic-v3");
    if (n >= 0 && fdt_reg(n, 0, &machine.gicd, NULL) && fdt_reg(n, 1, &machine.gicr, &machine.gicr_size)) {
        machine.gic_version = 3;
        return;
    }
    for (u32 i = 0; i < COUNT(v2); i++) {
        n = fdt_compatible(-1, v2[i]);
        if (n >= 0 && fdt_reg(n, 0, &machine.gicd, NULL) && fdt_reg(n, 1, &machine.gicc, NULL)) {
            machine.gic_version = 2;
            return;
        }
    }
}

/* Everything below the greeting uses `machine`, not the tree. */
void machine_find(void)
{
    int depth = 0;
    u64 base, size;
    machine = (struct machine){ .uart = 0x9000000, .uart_intid = -1, .timer_intid = -1 };
    if (!fdt)
        return;
    int uart = uart_node();
    if (uart >= 0 && fdt_reg(uart, 0, &base, NULL)) {
        machine.uart = base;
        machine.uart_intid = fdt_intid(uart, 0);
    }
    machine.timer_intid = fdt_intid(fdt_compatible(-1, "arm,armv8-timer"), 2);
    machine.psci_method = fdt_string(psci_node(), "method");
    find_gic();
    for (int n = fdt_next(-1, &depth); n >= 0; n = fdt_next(n, &depth)) {
        const char *type = fdt_string(n, "device_type"), *status = fdt_string(n, "status");
        if (!type || strcmp(type, "memory") != 0 || (status && status[0] != 'o'))
            continue;
        for (int i = 0; fdt_reg(n, i, &base, &size); i++) {
            machine.ram_total += size;
            if (machine.ram_size == 0 || base < machine.ram_base) {
                machine.ram_base = base;
                machine.ram_size = size;
            }
        }
    }
}

static void print_cores(void)
{
    const char *model = NULL;
    int count = 0, depth = 0;
    for (int n = fdt_next(-1, &depth); n >= 0; n = fdt_next(n, &depth)) {
        const char *type = fdt_string(n, "device_type");
        if (type && strcmp(type, "cpu") == 0) {
            count++;
            if (!model)
                model = fdt_string(n, "compatible");
        }
    }
    print("cores: %d, %s, this one MIDR 0x%08lx, entered at EL%u\n", count, model, sysreg_read("midr_el1"), entry_el);
}

static void print_virtio(u64 base)
{
    u32 version = mmio_read(base + 4), id = mmio_read(base + 8);
    switch (id) {
    case VIRTIO_NET: {
        print("network: virtio-net at 0x%lx", base);
        mmio_write(base + 0x14, 0);
        if (mmio_read(base + 0x10) & 1 << 5) /* VIRTIO_NET_F_MAC */
            for (int i = 0; i < 6; i++)
                print("%s%02x", i ? ":" : ", mac ", mmio_read8(base + 0x100 + i));
        break;
    }
    case VIRTIO_BLOCK:
        print("disk: virtio-blk at 0x%lx, ", base);
        print_size(((u64)mmio_read(base + 0x104) << 32 | mmio_read(base + 0x100)) * 512);
        break;
    case VIRTIO_CONSOLE:
        print("console: virtio-console at 0x%lx", base);
        break;
    case VIRTIO_RNG:
        print("rng: virtio-rng at 0x%lx", base);
        break;
    default:
        print("virtio: device %u at 0x%lx", id, base);
    }
    print("%s\n", version == 1 ? " (legacy)" : "");
}

/* From the highest address down: QEMU's virt board puts the first -device of
   the command line there, so disk 0 is the first disk that the user named. */
static void print_virtios(void)
{
    u64 base, below = ~0ul;
    machine.ndisks = 0;
    for (;;) {
        u64 best = 0;
        for (int n = fdt_compatible(-1, "virtio,mmio"); n >= 0; n = fdt_compatible(n, "virtio,mmio"))
            if (fdt_reg(n, 0, &base, NULL) && base < below && base > best)
                best = base;
        if (best == 0)
            break;
        below = best;
        if (mmio_read(best) != 0x74726976 || mmio_read(best + 8) == 0)
            continue;
        print_virtio(best);
        if (mmio_read(best + 8) == VIRTIO_BLOCK && machine.ndisks < DISKS)
            machine.disk[machine.ndisks++] = best;
    }
}

void machine_print(void)
{
    if (!fdt) {
        print("machine: no device tree at 0x40000000\n");
        return;
    }
    int root = fdt_path("/", 1);
    const char *model = fdt_string(root, "model");
    print("machine: %s, compatible %s\n", model, fdt_string(root, "compatible"));
    print_cores();
    print("memory: ");
    print_size(machine.ram_total);
    print(" at 0x%lx\n", machine.ram_base);
    print("psci: %s\n", machine.psci_method ? machine.psci_method : "none");
    if (machine.gic_version)
        print("interrupts: GICv%d at 0x%lx\n", machine.gic_version, machine.gicd);
    else
        print("interrupts: no GICv2 or GICv3\n");
    print_virtios();
}
