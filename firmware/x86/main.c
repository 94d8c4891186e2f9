/* The program for PC-like machines without firmware: it says on the serial line what it is in, and
 * runs the tests whose names it reads there, a line each. */
#include "fw.h"

static int failures;
static volatile u64 spins;

void result(const char *name, int ok)
{
	print(name);
	print(ok ? ": ok\n" : ": FAILED\n");
	failures += !ok;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static u64 value_of(const char *text)
{
	u64 n = 0;
	while (*text >= '0' && *text <= '9')
		n = 10 * n + (*text++ - '0');
	return n;
}

static void test_ports(void)
{
	static const char text[] = "string output\r\n";
	const char *at = text;
	u64 n = sizeof text - 1;
	__asm__ volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(0x3f8) : "memory");
	/* Memory of the real-time clock. */
	outb(0x70, 0x50);
	outb(0x71, 0xa5);
	outb(0x70, 0x51);
	outb(0x71, 0x3c);
	outb(0x70, 0x50);
	int ok = inb(0x71) == 0xa5;
	outb(0x70, 0x51);
	ok = ok && inb(0x71) == 0x3c;
	/* Nothing answers there. */
	result("ports", ok && inb(0x2e8) == 0xff && inw(0x2e8) == 0xffff);
}

static void test_mmio(void)
{
	u32 magic = *mmio(0xfeb00000);
	*mmio(0xfec00000) = 1;
	u32 version = *mmio(0xfec00010);
	u32 nothing = *mmio(0xfd000000);
	result("memory-mapped registers", magic == 0x74726976 && ((version & 0xff) == 0x20 || (version & 0xff) == 0x11) && nothing == 0xffffffff);
}

static void test_rom(void)
{
	volatile u32 *rom = (volatile u32 *)(ROM + 0x8000);
	volatile u32 *high = (volatile u32 *)(0xffff0000ul + 0x8000);
	u32 before = *rom;
	*rom = ~before;
	*high = ~before;
	result("read-only memory", *rom == before && *high == before);
}

static void test_exceptions(void)
{
	u64 before = counts[6];
	skip = 2;
	__asm__ volatile("ud2");
	int ok = counts[6] == before + 1;
	before = counts[13];
	skip = 2;
	/* No such register. */
	__asm__ volatile("rdmsr" ::"c"(0x12345678) : "eax", "edx");
	ok = ok && counts[13] == before + 1;
	/* A page that is not there. */
	before = counts[14];
	skip = 3;
	__asm__ volatile("movb (%0), %%al" ::"r"(0xffff900000000000ul - 0x100000000000ul) : "eax");
	result("exceptions in ring 0", ok && counts[14] == before + 1);
}

/* Some hosts cannot emulate the instruction in ring 0. */
static void test_int3(void)
{
	u64 before = counts[3];
	__asm__ volatile("int3");
	result("breakpoint exception in ring 0", counts[3] == before + 1);
}

static void test_write(u64 pages)
{
	for (u64 n = 0; n < pages; n++)
		*(volatile u64 *)(SCRATCH + 0x2000 * n) = n + 1;
	result("written", 1);
}

static void spin(void)
{
	print("spinning\n");
	for (;;)
		spins++;
}

static void halt(int interrupts)
{
	print("halting\n");
	for (;;) {
		if (interrupts)
			__asm__ volatile("sti; hlt");
		else
			__asm__ volatile("cli; hlt");
	}
}

/* A long sum with a line for each part, for what stops it in the middle and goes on. */
static void count(u64 parts)
{
	u64 x = 1, sum = 0;
	for (u64 p = 0; p < parts; p++) {
		for (int i = 0; i < 5000; i++) {
			x = x * 6364136223846793005ul + 1442695040888963407ul;
			sum += x >> 33;
		}
		print("part ");
		number(p);
		print(" ");
		hex(sum);
		print("\n");
	}
	result("counted", 1);
}

static void run(char *line)
{
	char *word = line, *rest = line;
	while (*rest && *rest != ' ')
		rest++;
	if (*rest)
		*rest++ = 0;
	u64 n = value_of(rest);
	if (same(word, "ports"))
		test_ports();
	else if (same(word, "mmio"))
		test_mmio();
	else if (same(word, "rom"))
		test_rom();
	else if (same(word, "exceptions"))
		test_exceptions();
	else if (same(word, "int3"))
		test_int3();
	else if (same(word, "ring3"))
		test_ring3();
	else if (same(word, "faults"))
		test_faults();
	else if (same(word, "breakpoint"))
		test_breakpoint();
	else if (same(word, "loop"))
		test_loop(n);
	else if (same(word, "pit"))
		test_pit(n);
	else if (same(word, "ioapic"))
		test_ioapic(n);
	else if (same(word, "level"))
		test_level();
	else if (same(word, "lapic"))
		test_lapic(n);
	else if (same(word, "msi"))
		test_msi(n);
	else if (same(word, "kick"))
		test_kick(n);
	else if (same(word, "smp"))
		test_smp();
	else if (same(word, "write"))
		test_write(n);
	else if (same(word, "spin"))
		spin();
	else if (same(word, "halt"))
		halt(n);
	else if (same(word, "count"))
		count(n);
	else if (same(word, "crash"))
		/* A triple fault: no table of exceptions. */
		__asm__ volatile("lidt 8(%%rsp); ud2" ::: "memory");
	else if (same(word, "exit"))
		outb(0x501, n);
	else
		print("?\n");
}

void main(void)
{
	static char line[64];
	traps_init();
	print("64-bit mode\n");
	for (;;) {
		u64 n = 0;
		print("x86> ");
		for (;;) {
			char c = input();
			if (c == '\r' || c == '\n')
				break;
			if (n < sizeof line - 1)
				line[n++] = c;
		}
		line[n] = 0;
		print(line);
		print("\n");
		if (n)
			run(line);
	}
}
