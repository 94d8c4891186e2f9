/* Interrupt controllers and timers. */
#include "fw.h"

#define LAPIC 0xfee00000ul
#define IOAPIC 0xfec00000ul
#define TIMER_HZ 1193182

#define VECTOR_PIT 0x20
#define VECTOR_EDGE 0x28
#define VECTOR_LEVEL 0x29
#define VECTOR_TIMER 0x2a
#define VECTOR_SPURIOUS 0x3f

static void lapic(u32 reg, u32 value) { *mmio(LAPIC + reg) = value; }
static u32 lapic_read(u32 reg) { return *mmio(LAPIC + reg); }

static void ioapic(u32 reg, u32 value)
{
	*mmio(IOAPIC) = reg;
	*mmio(IOAPIC + 0x10) = value;
}

static u32 ioapic_read(u32 reg)
{
	*mmio(IOAPIC) = reg;
	return *mmio(IOAPIC + 0x10);
}

/* Interrupts until there have been n of a vector; gives up after some time. */
int wait_for(u64 vector, u64 n, int halt)
{
	u64 give_up = rdtsc() + 20000000000ul;
	while (counts[vector] < n && rdtsc() < give_up) {
		if (halt)
			__asm__ volatile("sti; hlt; cli" ::: "memory");
		else
			__asm__ volatile("sti; nop; pause; cli" ::: "memory");
	}
	return counts[vector] >= n;
}

static void pit(u32 hz)
{
	u16 divisor = TIMER_HZ / hz;
	outb(0x43, 0x34);
	outb(0x40, divisor);
	outb(0x40, divisor >> 8);
}

static void pic_masks(u8 master, u8 slave)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, VECTOR_PIT);
	outb(0xa1, VECTOR_PIT + 8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, master);
	outb(0xa1, slave);
}

static void eoi_pic(u64 vector)
{
	(void)vector;
	outb(0x20, 0x20);
}

static void eoi_lapic(u64 vector)
{
	if (vector == VECTOR_LEVEL) {
		/* The line falls when the cause is gone: no transmitter interrupt. */
		if (counts[VECTOR_LEVEL] >= 3)
			outb(0x3f9, 0);
	}
	lapic(0xb0, 0);
}

void test_pit(int halt)
{
	eoi_to(eoi_pic);
	pic_masks(0xfe, 0xff);
	counts[VECTOR_PIT] = 0;
	pit(100);
	int ok = wait_for(VECTOR_PIT, 5, halt);
	pic_masks(0xff, 0xff);
	result(halt ? "PIT by PIC in halt" : "PIT by PIC in a spin", ok);
}

void lapic_on(void)
{
	eoi_to(eoi_lapic);
	pic_masks(0xff, 0xff);
	lapic(0xf0, 0x100 | VECTOR_SPURIOUS);
}

void test_ioapic(int halt)
{
	lapic_on();
	counts[VECTOR_EDGE] = 0;
	pit(100);
	ioapic(0x10 + 2 * 2 + 1, lapic_read(0x20) & 0xff000000);
	ioapic(0x10 + 2 * 2, VECTOR_EDGE);
	u8 version = ioapic_read(1);
	int ok = (version == 0x20 || version == 0x11) && wait_for(VECTOR_EDGE, 5, halt);
	ioapic(0x10 + 2 * 2, 0x10000);
	result(halt ? "message of the IOAPIC in halt" : "message of the IOAPIC in a spin", ok);
}

/* The serial port's interrupt, level-triggered: it comes again after each end until its cause is
 * gone. */
void test_level(void)
{
	lapic_on();
	counts[VECTOR_LEVEL] = 0;
	ioapic(0x10 + 4 * 2 + 1, lapic_read(0x20) & 0xff000000);
	ioapic(0x10 + 4 * 2, VECTOR_LEVEL | 1 << 15);
	outb(0x3fc, 0xb);
	outb(0x3f9, 2);
	int ok = wait_for(VECTOR_LEVEL, 3, 0);
	/* What is under way comes to its end (a host may tell of one end too many, which brings one
	 * interrupt more), and then no more come. */
	u64 give_up = rdtsc() + 20000000000ul;
	while (ioapic_read(0x10 + 4 * 2) & 1 << 14 && rdtsc() < give_up)
		__asm__ volatile("sti; nop; pause; cli" ::: "memory");
	u64 came = counts[VECTOR_LEVEL];
	for (int i = 0; i < 100; i++)
		__asm__ volatile("sti; nop; cli" ::: "memory");
	u32 low = ioapic_read(0x10 + 4 * 2);
	if (counts[VECTOR_LEVEL] != came || came > 4 || low & 1 << 14) {
		ok = 0;
		number(counts[VECTOR_LEVEL]);
		print(" interrupts, entry ");
		hex(low);
		print("\n");
	}
	ioapic(0x10 + 4 * 2, 0x10000);
	outb(0x3f9, 0);
	result("level interrupt of the IOAPIC", ok);
}

void test_lapic(int halt)
{
	lapic_on();
	counts[VECTOR_TIMER] = 0;
	lapic(0x3e0, 0xb);
	lapic(0x320, VECTOR_TIMER | 1 << 17);
	lapic(0x380, 5000000);
	int ok = wait_for(VECTOR_TIMER, 5, halt);
	lapic(0x320, 0x10000);
	lapic(0x380, 0);
	result(halt ? "LAPIC timer in halt" : "LAPIC timer in a spin", ok);
}

extern char trampoline[], trampoline_end[];
static volatile u32 alive, asked, answered;

void second(void)
{
	traps_load();
	alive = 1 + (lapic_read(0x20) >> 24);
	for (;;) {
		if (asked != answered)
			answered = asked;
		__asm__ volatile("pause");
	}
}

void test_smp(void)
{
	char *to = (char *)TRAMPOLINE;
	for (char *from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	lapic_on();
	lapic(0x310, 1u << 24);
	lapic(0x300, 0x4500);
	lapic(0x310, 1u << 24);
	lapic(0x300, 0x4600 | TRAMPOLINE >> 12);
	u64 give_up = rdtsc() + 20000000000ul;
	while (!alive && rdtsc() < give_up)
		__asm__ volatile("pause");
	result("second processor started", alive == 2);
	asked = 77;
	while (answered != 77 && rdtsc() < give_up)
		__asm__ volatile("pause");
	result("second processor answers", answered == 77);
}
