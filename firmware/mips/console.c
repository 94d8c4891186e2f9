/* The first serial port (16550), and formatted output. */
#include "fw.h"

enum { UART = 0xb80003f8, LCR = 3, LSR = 5, READY = 1, EMPTY = 0x20, TICK = 1000000 };
static volatile u8 *const uart = (volatile u8 *)UART;

void console_init(void)
{
    uart[LCR] = 0x83; /* 115200 baud, 8 bits, no parity */
    uart[0] = 1;
    uart[1] = 0;
    uart[LCR] = 3;
    uart[2] = 7;
}

void put_char(char c)
{
    if (c == '\n')
        put_char('\r');
    while (!(uart[LSR] & EMPTY))
        ;
    uart[0] = c;
}

/* A tick wakes it now and then to look. */
int get_char(void)
{
    u32 status = cp0_read(12, 0);
    tick_period = TICK;
    arm(TICK);
    cp0_write(12, 0, status | IE | IM7);
    while (!(uart[LSR] & READY))
        __asm__ volatile("wait");
    cp0_write(12, 0, status);
    tick_period = 0;
    return uart[0];
}

static void put_number(u32 v, u32 base, int width, char pad)
{
    char digits[12];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (; width > n; width--)
        put_char(pad);
    while (n)
        put_char(digits[--n]);
}

void print(const char *f, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, f);
    for (; *f; f++) {
        if (*f != '%') {
            put_char(*f);
            continue;
        }
        char pad = *++f == '0' ? '0' : ' ';
        int width = 0;
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        switch (*f) {
        case 's':
            for (const char *s = __builtin_va_arg(args, const char *); *s; s++, width--)
                put_char(*s);
            for (; width > 0; width--)
                put_char(' ');
            break;
        case 'c':
            put_char(__builtin_va_arg(args, int));
            break;
        case 'd': {
            s32 v = __builtin_va_arg(args, s32);
            if (v < 0)
                put_char('-');
            put_number(v < 0 ? -(u32)v : (u32)v, 10, width, pad);
            break;
        }
        case 'u':
            put_number(__builtin_va_arg(args, u32), 10, width, pad);
            break;
        case 'x':
            put_number(__builtin_va_arg(args, u32), 16, width, pad);
            break;
        default: /* a bad format ends here rather than run past the string */
            f--;
            put_char('?');
        }
    }
    __builtin_va_end(args);
}

int compare(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (u8)*a - (u8)*b;
}

/* Decimal or 0x hexadecimal, of 32 bits. */
bool parse_number(const char *s, u32 *out)
{
    u32 v = 0, base = 10;
    if (s[0] == '0' && (s[1] | 32) == 'x') {
        base = 16;
        s += 2;
    }
    if (!*s)
        return false;
    for (; *s; s++) {
        u32 d = *s >= '0' && *s <= '9' ? *s - '0' : (*s | 32) >= 'a' && (*s | 32) <= 'f' ? (*s | 32) - 'a' + 10 : 99;
        if (d >= base || v > (~0u - d) / base)
            return false;
        v = v * base + d;
    }
    *out = v;
    return true;
}
