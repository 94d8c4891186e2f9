/* Console, checksums, and what happens at an exception. */
#include "common.h"

enum { UART = 0x180003f8, LSR = 5, THRE = 0x20 };
struct taken taken;
volatile ulong resume;
int (*hook)(struct frame *);
u32 sum;

static void put_char(char c)
{
    volatile u8 *uart = (volatile u8 *)(KSEG1 + UART);
    while (!(uart[LSR] & THRE))
        ;
    *uart = c;
}

void put(const char *s)
{
    while (*s)
        put_char(*s++);
}

void put_hex(u64 v, int digits)
{
    while (digits--)
        put_char("0123456789abcdef"[v >> 4 * digits & 15]);
}

void put_dec(u32 v)
{
    char text[12], *p = text + 11;
    *p = 0;
    do {
        *--p = '0' + v % 10;
        v /= 10;
    } while (v);
    put(p);
}

void line(const char *name, u64 value)
{
    put(name);
    put(" ");
    put_hex(value, BITS / 4);
    put("\n");
}

void mix32(u32 v)
{
#ifdef VERBOSE
    put("    ");
    put_hex(v, 8);
    put("\n");
#endif
    for (int i = 0; i < 4; i++, v >>= 8)
        sum = (sum ^ (v & 0xff)) * 16777619;
}

void mix(u64 v)
{
    mix32(v);
#if BITS == 64
    mix32(v >> 32);
#endif
}

void begin(void)
{
    sum = 2166136261;
    taken.count = 0;
}

void end(const char *name)
{
    put(name);
    put(" ");
    put_hex(sum, 8);
    if (taken.count) {
        put(" exceptions ");
        put_dec(taken.count);
    }
    put("\n");
}

void exception(struct frame *f)
{
    if (hook && hook(f))
        return;
    taken.count++;
    taken.vector = f->r[27];
    taken.cause = f->cause;
    taken.code = f->cause >> 2 & 31;
    taken.bd = f->cause >> 31 & 1;
    taken.status = f->status;
    taken.epc = f->epc;
    taken.badvaddr = f->badvaddr;
    taken.pc = f->epc + 4 * taken.bd;
    if (taken.count > 100000) {
        put("too many exceptions\n");
        __asm__ volatile("j finish");
    }
    f->epc = resume ? resume : taken.pc + 4;
}
