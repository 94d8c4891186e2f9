/* Boots a Linux arm64 Image from the first disk that has one
   (Documentation/arch/arm64/booting.rst). */
#include "fw.h"

extern u8 __ram_end[];

enum { MIB2 = 2 << 20, MOST_COMMAND_LINE = 2048 };

/* The names looked for, in this order, in / and then in /boot. */
static const char *const initrd_names[] = { "initrd", "initrd.img" };
static const char *const cmdline_names[] = { "cmdline", "cmdline.txt" };

struct plan {
    char image[16], initrd[32];
    u64 entry, initrd_start, initrd_end, dtb;
    char command_line[MOST_COMMAND_LINE + 512]; /* room to the end of a sector */
};

static struct plan plan;

static void join(char *out, const char *directory, const char *name)
{
    u64 n = strlen(directory);
    memcpy(out, directory, n);
    out[n] = '/';
    memcpy(out + n + 1, name, strlen(name) + 1);
}

static bool find_one_of(const char *directory, const char *const *names, int count, char *path, struct file *f)
{
    for (int i = 0; i < count; i++) {
        join(path, directory, names[i]);
        if (fat_find(path, f))
            return true;
    }
    return false;
}

static u64 le64_at(const u8 *p)
{
    u64 v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* Reads the Image to RAM; *end is the first address past what the kernel uses. */
static const char *load_image(const struct file *f, u64 *end)
{
    u64 start = (u64)__ram_end, ram_end = machine.ram_base + machine.ram_size;
    u8 *head = (u8 *)ALIGN_UP(start, MIB2);
    if (!fat_read(f, head, 64))
        return "cannot be read";
    if (f->size < 64 || memcmp(head + 56, "ARM\x64", 4) != 0)
        return head[0] == 0x1f && head[1] == 0x8b ? "is compressed: put an unpacked Image there"
                                                  : "is no arm64 Image (no ARM\\x64 at byte 56)";
    u64 offset = le64_at(head + 8), size = le64_at(head + 16);
    if (size == 0) { /* before Linux 3.17 */
        offset = 0x80000;
        size = f->size;
    }
    if (size < f->size)
        size = f->size;
    plan.entry = (u64)head + offset;
    if (offset >= MIB2 || size > machine.ram_size || plan.entry + ALIGN_UP(size, 512) + MIB2 > ram_end)
        return "does not fit in memory";
    if (!fat_read(f, (u8 *)plan.entry, ~0ul))
        return "cannot be read";
    *end = plan.entry + size;
    return NULL;
}

static const char *load_initrd(const struct file *f, u64 start)
{
    if (start + ALIGN_UP(f->size, 512) > machine.ram_base + machine.ram_size)
        return "does not fit in memory";
    plan.initrd_start = start;
    plan.initrd_end = start + f->size;
    return fat_read(f, (u8 *)start, ~0ul) ? NULL : "cannot be read";
}

/* One line: an end of line becomes a blank, the last is dropped. */
static const char *load_command_line(const struct file *f)
{
    if (f->size >= MOST_COMMAND_LINE)
        return "is longer than 2047 bytes";
    if (!fat_read(f, (u8 *)plan.command_line, ~0ul))
        return "cannot be read";
    u32 n = f->size;
    plan.command_line[n] = 0;
    while (n && (u8)plan.command_line[n - 1] <= ' ')
        plan.command_line[--n] = 0;
    for (char *p = plan.command_line; *p; p++)
        if (*p == '\n' || *p == '\r' || *p == '\t')
            *p = ' ';
    return NULL;
}

static void be64(u8 *p, u64 v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = v;
}

/* A copy of the tree at plan.dtb with /chosen filled in. */
static bool make_tree(bool set_command_line)
{
    u8 start[8], end[8];
    int bad = fdtedit_open((u8 *)plan.dtb, MIB2, fdt);
    if (bad)
        return false;
    if (set_command_line)
        bad |= fdtedit_set("/chosen", "bootargs", plan.command_line, strlen(plan.command_line) + 1);
    if (plan.initrd_end) {
        be64(start, plan.initrd_start);
        be64(end, plan.initrd_end);
        bad |= fdtedit_set("/chosen", "linux,initrd-start", start, 8);
        bad |= fdtedit_set("/chosen", "linux,initrd-end", end, 8);
    } else {
        bad |= fdtedit_delete("/chosen", "linux,initrd-start");
        bad |= fdtedit_delete("/chosen", "linux,initrd-end");
    }
    return bad == 0;
}

static void leave(u64 kernel_end)
{
    disk_close();
    uart_quiet();
    irq_disable();
    sysreg_write("cntv_ctl_el0", 0);
    if (machine.uart_intid >= 0)
        gic_disable(machine.uart_intid);
    if (machine.timer_intid >= 0)
        gic_disable(machine.timer_intid);
    cache_clean(plan.entry, kernel_end);
    if (plan.initrd_end)
        cache_clean(plan.initrd_start, plan.initrd_end);
    cache_clean(plan.dtb, plan.dtb + MIB2);
    kernel_jump(plan.entry, plan.dtb);
}

/* Loads and starts what is at `directory` of the mounted volume. */
static void boot_from(const char *directory, const struct file *image)
{
    struct file f;
    u64 kernel_end;
    char path[32];
    const u8 *tree = fdt;
    const char *wrong = load_image(image, &kernel_end);
    if (wrong) {
        print("boot: %s %s\n", plan.image, wrong);
        return;
    }
    plan.dtb = ALIGN_UP(kernel_end, MIB2);
    plan.initrd_end = 0;
    print("boot: %s ", plan.image);
    print_size(image->size);
    if (find_one_of(directory, initrd_names, COUNT(initrd_names), path, &f)) {
        print(", %s ", path);
        print_size(f.size);
        wrong = load_initrd(&f, plan.dtb + MIB2);
    }
    if (wrong) {
        print("\nboot: %s %s\n", path, wrong);
        return;
    }
    bool given = find_one_of(directory, cmdline_names, COUNT(cmdline_names), path, &f);
    if (given)
        wrong = load_command_line(&f);
    if (wrong) {
        print("\nboot: %s %s\n", path, wrong);
        return;
    }
    if (given)
        print(", command line \"%s\"\n", plan.command_line);
    else
        print(", no command line file\n");
    if (!make_tree(given)) {
        fdt_open((u64)tree);
        print("boot: the device tree cannot be edited\n");
        return;
    }
    leave(kernel_end);
}

static void try_disk(int index)
{
    struct file image;
    const char *wrong = disk_open(machine.disk[index]);
    if (wrong) {
        print("boot: virtio-blk %d: %s\n", index, wrong);
        return;
    }
    wrong = fat_mount();
    if (wrong) {
        print("boot: no /Image on virtio-blk %d (looked for GPT or FAT with /Image): %s\n", index, wrong);
        disk_close();
        return;
    }
    static const char *const directories[] = { "", "/boot" };
    for (u32 i = 0; i < COUNT(directories); i++) {
        join(plan.image, directories[i], "Image");
        if (fat_find(plan.image, &image)) {
            boot_from(directories[i], &image);
            disk_close();
            return;
        }
    }
    print("boot: no /Image on virtio-blk %d (looked for GPT or FAT with /Image): no such file\n", index);
    disk_close();
}

/* Returns if nothing was booted. */
void boot(void)
{
    if (machine.ndisks == 0)
        print("boot: no disk\n");
    else if (!fdt || machine.ram_size == 0)
        print("boot: no device tree to hand on\n");
    else if (entry_el == 3)
        print("boot: entered at EL3, and this program cannot leave the secure state as a kernel needs\n");
    else
        for (int i = 0; i < machine.ndisks; i++)
            try_disk(i);
}
