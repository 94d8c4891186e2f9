/* Messages of a PCI function: an entropy device (virtio 1.2) whose queue interrupts by MSI-X. */
#include "fw.h"

#define VECTOR_MSI 0x2b
#define MESSAGES 0xfee00000ul
/* Where its memory goes: table and pending bits, and the registers. */
#define TABLE_AT 0xe0000000ul
#define REGISTERS_AT 0xe0010000ul
#define COMMAND 4
#define CAP_VENDOR 9
#define CAP_MSIX 0x11

#define ENTRIES 8
static struct {
	u64 address;
	u32 len;
	u16 flags, next;
} descriptors[ENTRIES] __attribute__((aligned(16)));
static volatile struct {
	u16 flags, index, ring[ENTRIES];
} available __attribute__((aligned(16)));
static volatile struct {
	u16 flags, index;
	struct {
		u32 id, len;
	} ring[ENTRIES];
} used __attribute__((aligned(16)));
static u8 buffer[16];

static u32 function;
static u32 msix;
static u64 common, notify;

static u32 config(u32 reg)
{
	outl(0xcf8, 0x80000000 | function | (reg & 0xfc));
	return inl(0xcfc) >> 8 * (reg & 3);
}

static void set_config(u32 reg, u32 value)
{
	outl(0xcf8, 0x80000000 | function | reg);
	outl(0xcfc, value);
}

static volatile u8 *reg8(u32 at) { return (volatile u8 *)(common + at); }
static volatile u16 *reg16(u32 at) { return (volatile u16 *)(common + at); }

/* Finds the function, and places it. */
static int find(void)
{
	for (function = 0; function < 32 << 11; function += 1 << 11)
		if (config(0) == 0x10051af4 || config(0) == 0x10441af4)
			break;
	if (function == 32 << 11)
		return 0;
	set_config(COMMAND, 0);
	set_config(0x14, TABLE_AT);
	set_config(0x20, REGISTERS_AT);
	set_config(0x24, 0);
	set_config(COMMAND, 6);
	msix = 0;
	for (u32 at = config(0x34) & 0xff; at; at = config(at + 1) & 0xff) {
		if ((config(at) & 0xff) == CAP_MSIX)
			msix = at;
		if ((config(at) & 0xff) == CAP_VENDOR && (config(at + 3) & 0xff) == 1)
			common = REGISTERS_AT + config(at + 8);
		if ((config(at) & 0xff) == CAP_VENDOR && (config(at + 3) & 0xff) == 2)
			notify = REGISTERS_AT + config(at + 8);
	}
	return msix && common && notify;
}

static void mask(u32 on) { *mmio(TABLE_AT + 12) = on; }

static void set_address(u32 at, volatile void *to)
{
	*mmio(common + at) = (u64)to;
	*mmio(common + at + 4) = 0;
}

/* Starts the device; its queue interrupts by the first message. */
static int start(void)
{
	lapic_on();
	available.index = used.index = 0;
	*reg8(0x14) = 0;
	*reg8(0x14) = 3;
	*mmio(common + 8) = 1;
	*mmio(common + 12) = 1;
	*reg8(0x14) = 11;
	set_config(msix, config(msix) | 1u << 31);
	*mmio(TABLE_AT) = MESSAGES;
	*mmio(TABLE_AT + 4) = 0;
	*mmio(TABLE_AT + 8) = VECTOR_MSI;
	mask(0);
	*reg16(0x16) = 0;
	*reg16(0x18) = ENTRIES;
	set_address(0x20, descriptors);
	set_address(0x28, &available);
	set_address(0x30, &used);
	*reg16(0x1a) = 0;
	*reg16(0x1c) = 1;
	*reg8(0x14) = 15;
	descriptors[0].address = (u64)buffer;
	descriptors[0].len = sizeof buffer;
	descriptors[0].flags = 2;
	return *reg16(0x1a) == 0 && *reg8(0x14) == 15;
}

static void request(void)
{
	available.ring[available.index % ENTRIES] = 0;
	__asm__ volatile("" ::: "memory");
	available.index++;
	__asm__ volatile("mfence" ::: "memory");
	*(volatile u16 *)notify = 0;
}

/* A queue without interrupts: its requests are done, sooner or later. */
static int done(u16 index)
{
	u64 give_up = rdtsc() + 20000000000ul;
	while (used.index != index && rdtsc() < give_up)
		__asm__ volatile("pause");
	return used.index == index;
}

void test_msi(int halt)
{
	int ok = find() && start();
	counts[VECTOR_MSI] = 0;
	for (u64 n = 1; ok && n <= 5; n++) {
		request();
		ok = wait_for(VECTOR_MSI, n, halt) && used.index == n;
	}
	result(halt ? "message of a PCI function in halt" : "message of a PCI function in a spin", ok && counts[VECTOR_MSI] == 5);
	/* While it is masked it is pending. */
	mask(1);
	request();
	ok = ok && done(6);
	for (int i = 0; i < 100; i++)
		__asm__ volatile("sti; nop; cli" ::: "memory");
	u64 give_up = rdtsc() + 20000000000ul;
	while (ok && !(*mmio(TABLE_AT + 0x800) & 1) && rdtsc() < give_up)
		;
	ok = ok && counts[VECTOR_MSI] == 5 && *mmio(TABLE_AT + 0x800) & 1;
	mask(0);
	result("masked message of a PCI function", ok && wait_for(VECTOR_MSI, 6, halt));
}

/* What notifications cost: ticks of the TSC for n of them, and until each was answered. */
void test_kick(u64 n)
{
	int ok = find() && start();
	available.flags = 1;
	u64 told = 0, answered = 0;
	for (u64 i = 1; ok && i <= n; i++) {
		u64 before = rdtsc();
		request();
		told += rdtsc() - before;
		ok = done(i);
		answered += rdtsc() - before;
	}
	available.flags = 0;
	number(told);
	print(" ticks to tell, ");
	number(answered);
	print(" until answered\n");
	result("notifications", ok);
}
