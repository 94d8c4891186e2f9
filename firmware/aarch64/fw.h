/* What the parts of the program know of each other. */
#ifndef FW_H
#define FW_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;
typedef int bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a) (((x) + (a) - 1) & ~((u64)(a) - 1))

#define sysreg_read(name) ({ u64 v_; __asm__ volatile("mrs %0, " name : "=r"(v_)); v_; })
#define sysreg_write(name, v) __asm__ volatile("msr " name ", %x0" : : "rZ"((u64)(v)) : "memory")
#define isb() __asm__ volatile("isb" : : : "memory")
#define dsb() __asm__ volatile("dsb sy" : : : "memory")
#define wfi() __asm__ volatile("wfi" : : : "memory")
#define irq_enable() __asm__ volatile("msr daifclr, #2" : : : "memory")
#define irq_disable() __asm__ volatile("msr daifset, #2" : : : "memory")

static inline u32 mmio_read(u64 at) { return *(volatile u32 *)at; }
static inline void mmio_write(u64 at, u32 v) { *(volatile u32 *)at = v; }
static inline u8 mmio_read8(u64 at) { return *(volatile u8 *)at; }

/* print.c */
void *memcpy(void *to, const void *from, u64 n);
void *memmove(void *to, const void *from, u64 n);
void *memset(void *to, int c, u64 n);
int memcmp(const void *a, const void *b, u64 n);
u64 strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, u64 n);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_size(u64 bytes);
bool parse_number(const char *s, u64 *out);

/* uart.c */
void uart_init(u64 base, int intid);
void uart_put(char c);
int uart_get(void); /* waits by WFI */
void uart_quiet(void);
void uart_irq(void);

/* fdt.c: nodes are offsets in the structure block, negative if not there. */
extern const u8 *fdt;
bool fdt_open(u64 at);
u32 be32(const void *p);
u64 be_cells(const void *p, int cells);
int fdt_next(int node, int *depth);
const char *fdt_name(int node);
const void *fdt_prop(int node, const char *name, int *len);
const char *fdt_string(int node, const char *name);
int fdt_path(const char *path, u64 len);
bool fdt_is_compatible(int node, const char *what);
int fdt_compatible(int from, const char *what);
bool fdt_reg(int node, int index, u64 *address, u64 *size);
int fdt_intid(int node, int index);

/* fdtedit.c: edits a copy; 0 or negative when the room is used up. */
int fdtedit_open(u8 *to, u64 room, const u8 *from);
int fdtedit_set(const char *node, const char *prop, const void *value, u32 len);
int fdtedit_delete(const char *node, const char *prop);

/* machine.c */
enum { DISKS = 8, VIRTIO_NET = 1, VIRTIO_BLOCK = 2, VIRTIO_CONSOLE = 3, VIRTIO_RNG = 4 };
struct machine {
    u64 uart, ram_base, ram_size, ram_total;
    int uart_intid, timer_intid, gic_version, ndisks;
    u64 gicd, gicc, gicr, gicr_size;
    const char *psci_method;
    u64 disk[DISKS];
};
extern struct machine machine;
extern u32 entry_el;
void machine_find(void);
void machine_print(void);

/* exceptions.c */
struct frame { u64 x[31], elr, spsr; };
struct fault { u64 esr, far, elr; };
extern struct fault last_fault;
int guarded(int (*f)(void *), void *arg, bool quiet); /* negative: it took an exception */
int probe_read(u64 at, int size, u64 *value);
int probe_write(u64 at, int size, u64 value);
void print_fault(void);
int probe_read1(u64, u64 *), probe_read2(u64, u64 *), probe_read4(u64, u64 *), probe_read8(u64, u64 *);
int probe_write1(u64, u64), probe_write2(u64, u64), probe_write4(u64, u64), probe_write8(u64, u64);

/* gic.c */
bool gic_init(void);
void gic_enable(u32 intid);
void gic_disable(u32 intid);
u32 gic_acknowledge(void);
void gic_end(u32 intid);

/* psci.c */
bool psci_call(u64 function);
enum { PSCI_SYSTEM_OFF = 0x84000008, PSCI_SYSTEM_RESET = 0x84000009 };

/* mmu.c, start.S */
enum { MMU_NORMAL = 0, MMU_READ_ONLY = 1, MMU_NO_ACCESS_FLAG = 2 };
#define MMU_TEST_BASE 0x7f00000000ul /* 2 MiB of pages for tests */
void mmu_on(void);
void mmu_stop(void);
void mmu_map(u64 va, u64 pa, int kind);
void mmu_unmap(u64 va);
void mmu_flush(u64 va);
void cache_clean(u64 from, u64 to);
void mmu_set_sctlr(u64 v);
void mmu_off(u64 sctlr, u64 from, u64 to, u64 line);
void kernel_jump(u64 entry, u64 dtb) __attribute__((noreturn));
u64 psci_hvc(u64 f, u64 a, u64 b, u64 c), psci_smc(u64 f, u64 a, u64 b, u64 c);

/* virtio.c: one disk open at a time. */
const char *disk_open(u64 base); /* NULL, or what is wrong */
u64 disk_sectors(void);
bool disk_read(u64 sector, void *to, u64 sectors);
void disk_close(void);

/* fat.c */
struct file { u32 cluster, size; };
const char *fat_mount(void); /* NULL, or what is wrong */
bool fat_find(const char *path, struct file *f);
bool fat_read(const struct file *f, u8 *to, u64 limit);

/* boot.c, shell.c */
void boot(void);
void shell(void) __attribute__((noreturn));

/* selftest.c: each group returns nothing and reports through check. */
void check(const char *what, u64 got, u64 want);
void note(const char *text);
bool selftest(void);
void test_integer(void), test_fp(void), test_simd(void), test_atomics(void), test_timer(void), test_mmu(void);
extern volatile u64 timer_interrupts;
void timer_irq(void);
u64 time_now(void);
u64 time_hz(void);
#endif
