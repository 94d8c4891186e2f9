/* Exceptions and interrupts. */
#include "fw.h"

struct gate {
	u16 low, selector;
	u8 ist, type;
	u16 middle;
	u32 high, zero;
};

extern u64 gdt[];
extern char stubs[], user_return[];
static u64 own_gdt[9];
static struct gate idt[64];
static u32 tss[26];
static void (*eoi)(u64);

volatile u64 counts[64];
volatile u64 last_error, last_cr2;
/* Bytes of the next instruction that faults, to go on behind it. */
volatile u64 skip;

static void load(void *table, u16 limit, int idt_too)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = { limit, (u64)table };
	if (idt_too)
		__asm__ volatile("lidt %0" ::"m"(pointer));
	else
		__asm__ volatile("lgdt %0" ::"m"(pointer));
}

void traps_init(void)
{
	u64 base = (u64)tss;
	for (int n = 0; n < 6; n++)
		own_gdt[n] = gdt[n];
	own_gdt[6] = 0x67 | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	own_gdt[7] = base >> 32;
	tss[1] = TRAP_STACK;
	for (int n = 0; n < 64; n++) {
		u64 at = (u64)stubs + 16 * n;
		idt[n] = (struct gate){ at, SEL_CODE64, 0, n == 3 ? 0xee : 0x8e, at >> 16, at >> 32, 0 };
	}
	traps_load();
	__asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
}

/* The tables, on either processor. */
void traps_load(void)
{
	load(own_gdt, sizeof own_gdt - 1, 0);
	load(idt, sizeof idt - 1, 1);
}

void eoi_to(void (*f)(u64)) { eoi = f; }

void trap(struct frame *f)
{
	if (f->rip == (u64)user_return)
		leave_user(f->rax);
	counts[f->vector & 63]++;
	if (f->vector >= 32) {
		if (eoi)
			eoi(f->vector);
		return;
	}
	last_error = f->error;
	if (f->vector == 14)
		last_cr2 = read_cr2();
	if (f->vector == 14 && (last_cr2 & ~0x1ffffful) == TEST_PAGE && !skip) {
		/* Ring 3 asked for a page: it gets one. */
		u64 *table = (u64 *)TEST_TABLE;
		table[last_cr2 >> 12 & 511] = (last_cr2 & ~0xffful) | 7;
		__asm__ volatile("invlpg (%0)" ::"r"(last_cr2) : "memory");
		return;
	}
	if (f->vector == 3)
		return;
	if (skip) {
		f->rip += skip;
		skip = 0;
		return;
	}
	print("exception ");
	number(f->vector);
	print(" error ");
	hex(f->error);
	print(" at ");
	hex(f->rip);
	print(" cr2 ");
	hex(read_cr2());
	print("\n");
	outb(0x501, 0x7f);
	for (;;)
		__asm__ volatile("cli; hlt");
}
