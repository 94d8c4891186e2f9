/* What runs in ring 3. */
#include "fw.h"

static long work(long n)
{
	u64 a = n, b = 1;
	for (int i = 0; i < 1000; i++) {
		a = a * 6364136223846793005ul + b;
		b ^= a >> 29;
	}
	return (long)(a ^ b);
}

static long double_of(long n) { return 2 * n + 1; }

void test_ring3(void)
{
	long here = work(7);
	result("ring 3", enter_user(double_of, 20) == 41 && enter_user(work, 7) == here);
}

static long touch(long at)
{
	volatile u64 *p = (volatile u64 *)at;
	p[0] = 0x1234;
	p[512] = 0x5678;
	return (long)(p[0] + p[512]);
}

static long divide(long n)
{
	__asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; div %%ecx" ::: "rax", "rcx", "rdx");
	return n;
}

static long undefined(long n)
{
	__asm__ volatile("ud2");
	return n;
}

static long breakpoint(long n)
{
	__asm__ volatile("int3");
	return n;
}

static long privileged(long n)
{
	__asm__ volatile("hlt");
	return n;
}

static long write_kept(long at)
{
	/* Three bytes. */
	__asm__ volatile("movb $1, (%0)" ::"a"(at) : "memory");
	return at;
}

/* Runs f in ring 3; it meets one exception of this number, whose instruction has so many bytes. */
static int meets(long (*f)(long), long argument, int vector, int bytes)
{
	u64 before = counts[vector];
	skip = bytes;
	long answer = enter_user(f, argument);
	skip = 0;
	return answer == argument && counts[vector] == before + 1;
}

void test_faults(void)
{
	/* A page table of nothing under the test's 2 MiB. */
	u64 *directory = (u64 *)(PAGE_TABLES + 0x2000);
	u64 *table = (u64 *)TEST_TABLE;
	for (int n = 0; n < 512; n++)
		table[n] = 0;
	directory[TEST_PAGE >> 21] = TEST_TABLE | 7;
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" ::: "rax", "memory");
	u64 before = counts[14];
	result("page faults", enter_user(touch, TEST_PAGE) == 0x1234 + 0x5678 && counts[14] == before + 2 && last_error == 6);
	table[5] = (TEST_PAGE + 0x5000) | 5;
	result("write protection", meets(write_kept, TEST_PAGE + 0x5000, 14, 3) && last_error == 7 && last_cr2 == TEST_PAGE + 0x5000);
	result("divide error", meets(divide, 5, 0, 2));
	result("undefined instruction", meets(undefined, 5, 6, 2));
	result("general protection", meets(privileged, 5, 13, 1));
}

void test_breakpoint(void)
{
	u64 before = counts[3];
	result("breakpoint exception", enter_user(breakpoint, 3) == 3 && counts[3] == before + 1);
}

/* The same loop is in tools/bench as a program of the host: keep them equal. */
static long rounds(long n)
{
	u64 x = 88172645463325252ul, sum = 0;
	for (long i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sum += x;
	}
	return (long)sum;
}

void test_loop(u64 n)
{
	u64 before = rdtsc();
	long sum = enter_user(rounds, (long)n);
	u64 after = rdtsc();
	print("loop ");
	hex(sum);
	print(" ticks ");
	number(after - before);
	print("\n");
}
