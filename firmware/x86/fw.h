/* What the parts of the program share. */
#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* The frame that the stubs leave. */
struct frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
static inline u8 inb(u16 port)
{
	u8 value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline u16 inw(u16 port)
{
	u16 value;
	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline void outl(u16 port, u32 value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }
static inline u32 inl(u16 port)
{
	u32 value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline u64 rdtsc(void)
{
	u32 low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}
static inline u64 read_cr2(void)
{
	u64 value;
	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}
static inline volatile u32 *mmio(u64 at) { return (volatile u32 *)at; }

/* console.c */
void print(const char *text);
void number(u64 value);
void hex(u64 value);
char input(void);

/* traps.c */
extern volatile u64 counts[64];
extern volatile u64 last_error, last_cr2;
extern volatile u64 skip;
void traps_init(void);
void traps_load(void);
void eoi_to(void (*f)(u64 vector));
long enter_user(long (*f)(long), long argument);
void leave_user(long result) __attribute__((noreturn));

/* interrupts.c */
void test_pit(int halt);
void test_ioapic(int halt);
void test_level(void);
void test_lapic(int halt);
void test_smp(void);
void second(void);
int wait_for(u64 vector, u64 n, int halt);
void lapic_on(void);

/* msi.c */
void test_msi(int halt);
void test_kick(u64 n);

/* user.c */
void test_ring3(void);
void test_faults(void);
void test_breakpoint(void);
void test_loop(u64 rounds);

void result(const char *name, int ok);
