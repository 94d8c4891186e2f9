/* Strings, numbers and formatted output. */
#include "fw.h"

void *memcpy(void *to, const void *from, u64 n)
{
    u8 *d = to;
    const u8 *s = from;
    if ((((u64)d | (u64)s) & 7) == 0)
        for (; n >= 8; n -= 8, d += 8, s += 8)
            *(u64 *)d = *(const u64 *)s;
    while (n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, u64 n)
{
    u8 *d = to;
    const u8 *s = from;
    if (d <= s || d >= s + n)
        return memcpy(to, from, n);
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int c, u64 n)
{
    for (u8 *d = to; n--;)
        *d++ = c;
    return to;
}

int memcmp(const void *a, const void *b, u64 n)
{
    const u8 *x = a, *y = b;
    for (; n--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

u64 strlen(const char *s)
{
    u64 n = 0;
    while (s[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, u64 n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (u8)*a - (u8)*b;
    return 0;
}

int strcmp(const char *a, const char *b) { return strncmp(a, b, ~0ul); }

static void put_number(u64 v, u32 base, int width, char pad)
{
    char digits[24];
    int n = 0;
    do {
        digits[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    for (; width > n; width--)
        uart_put(pad);
    while (n)
        uart_put(digits[--n]);
}

/* %s %c %d %u %x and their l forms, with a width and zero padding; newline
   becomes carriage return and newline. */
void print(const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    for (const char *f = format; *f; f++) {
        if (*f == '\n')
            uart_put('\r');
        if (*f != '%') {
            uart_put(*f);
            continue;
        }
        char pad = ' ';
        int width = 0;
        bool wide = false;
        if (*++f == '0')
            pad = '0';
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        if (*f == 'l') {
            wide = true;
            f++;
        }
        switch (*f) {
        case 's': {
            const char *s = __builtin_va_arg(args, const char *);
            for (s = s ? s : "(none)"; *s; s++) {
                uart_put(*s);
                width--;
            }
            for (; width > 0; width--)
                uart_put(' ');
            break;
        }
        case 'c':
            uart_put(__builtin_va_arg(args, int));
            break;
        case 'd': {
            s64 v = wide ? __builtin_va_arg(args, s64) : __builtin_va_arg(args, int);
            if (v < 0)
                uart_put('-');
            put_number(v < 0 ? -(u64)v : (u64)v, 10, width, pad);
            break;
        }
        case 'u':
            put_number(wide ? __builtin_va_arg(args, u64) : __builtin_va_arg(args, u32), 10, width, pad);
            break;
        case 'x':
            put_number(wide ? __builtin_va_arg(args, u64) : __builtin_va_arg(args, u32), 16, width, pad);
            break;
        case '%':
            uart_put('%');
            break;
        default:
            f--; /* a bad format ends here rather than run past the string */
            uart_put('?');
        }
    }
    __builtin_va_end(args);
}

/* 64 MiB, 31.2 MiB, 12 KiB, 17 bytes */
void print_size(u64 bytes)
{
    static const char *const unit[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    u32 i = 0;
    u64 scale = 1;
    while (i + 1 < COUNT(unit) && bytes / scale >= 1024) {
        scale *= 1024;
        i++;
    }
    u64 tenths = bytes % scale * 10 / scale;
    if (tenths)
        print("%lu.%lu %s", bytes / scale, tenths, unit[i]);
    else
        print("%lu %s", bytes / scale, unit[i]);
}

/* Decimal or 0x hexadecimal. */
bool parse_number(const char *s, u64 *out)
{
    u64 v = 0, base = 10;
    if (s[0] == '0' && (s[1] | 32) == 'x') {
        base = 16;
        s += 2;
    }
    if (!*s)
        return false;
    for (; *s; s++) {
        u32 d = *s >= '0' && *s <= '9' ? *s - '0' : (*s | 32) >= 'a' && (*s | 32) <= 'f' ? (*s | 32) - 'a' + 10 : 99;
        if (d >= base || v > (~0ul - d) / base)
            return false;
        v = v * base + d;
    }
    *out = v;
    return true;
}
