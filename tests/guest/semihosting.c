// A bare-metal AArch64 program that tries semihosting. It writes what it finds to the console and
// ends as the last word of its command line says.
//
// Command line: NAME FILE HOW, where FILE is a path to use and HOW is ok, fault, unknown or a status.

typedef unsigned long word;

enum {
    SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITEC = 0x03, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05,
    SYS_READ = 0x06, SYS_ISERROR = 0x08, SYS_ISTTY = 0x09, SYS_SEEK = 0x0a, SYS_FLEN = 0x0c,
    SYS_TMPNAM = 0x0d, SYS_REMOVE = 0x0e, SYS_RENAME = 0x0f, SYS_CLOCK = 0x10, SYS_TIME = 0x11,
    SYS_ERRNO = 0x13, SYS_GET_CMDLINE = 0x15, SYS_HEAPINFO = 0x16, SYS_EXIT = 0x18,
    SYS_EXIT_EXTENDED = 0x20, SYS_ELAPSED = 0x30, SYS_TICKFREQ = 0x31,
};

static word call(word op, const volatile void *block)
{
    register word x0 __asm__("x0") = op;
    register const volatile void *x1 __asm__("x1") = block;
    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}

static word call3(word op, word a, word b, word c)
{
    volatile word block[3] = { a, b, c };
    return call(op, block);
}

static word length(const char *s)
{
    word n = 0;
    while (s[n])
        n++;
    return n;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static word console;

static void put(const char *s)
{
    call3(SYS_WRITE, console, (word)s, length(s));
}

static void number(const char *what, word n)
{
    char text[24];
    int at = sizeof text;
    text[--at] = 0;
    text[--at] = '\n';
    word rest = (long)n < 0 ? -n : n;
    do
        text[--at] = '0' + rest % 10;
    while (rest /= 10);
    if ((long)n < 0)
        text[--at] = '-';
    put(what);
    put(" ");
    put(text + at);
}

static word open(const char *name, word mode)
{
    return call3(SYS_OPEN, (word)name, mode, length(name));
}

static void files(const char *path)
{
    char buffer[32] = "";
    word file = open(path, 6); // w+
    number("open", (long)file > 0);
    number("write", call3(SYS_WRITE, file, (word)"0123456789", 10));
    number("length", call3(SYS_FLEN, file, 0, 0));
    number("seek", call3(SYS_SEEK, file, 4, 0));
    number("read, not read", call3(SYS_READ, file, (word)buffer, 4));
    buffer[4] = 0;
    put(buffer);
    put("\n");
    number("read at the end, not read", call3(SYS_READ, file, (word)buffer, 8));
    number("read past the end, not read", call3(SYS_READ, file, (word)buffer, 8));
    number("is a terminal", call3(SYS_ISTTY, file, 0, 0));
    number("close", call3(SYS_CLOSE, file, 0, 0));
    number("close twice", call3(SYS_CLOSE, file, 0, 0));
    file = open(path, 8); // a
    number("append", call3(SYS_WRITE, file, (word)"ab", 2));
    number("close", call3(SYS_CLOSE, file, 0, 0));
    file = open(path, 0); // r
    number("length", call3(SYS_FLEN, file, 0, 0));
    number("close", call3(SYS_CLOSE, file, 0, 0));

    char other[256];
    word n = length(path);
    for (word i = 0; i < n; i++)
        other[i] = path[i];
    other[n] = '2';
    other[n + 1] = 0;
    volatile word rename[4] = { (word)path, n, (word)other, n + 1 };
    number("rename", call(SYS_RENAME, rename));
    number("open what was renamed", open(path, 0));
    number("errno", call(SYS_ERRNO, 0));
    number("remove", call3(SYS_REMOVE, (word)other, n + 1, 0));
    number("remove again", call3(SYS_REMOVE, (word)other, n + 1, 0));
}

static void times(void)
{
    volatile word elapsed[1] = { 0 };
    word before = call(SYS_CLOCK, 0);
    number("clock answers", (long)before >= 0 && before < 100000);
    number("clock goes forward", call(SYS_CLOCK, 0) >= before);
    number("time is after 2025", call(SYS_TIME, 0) > 1735689600);
    number("elapsed", call(SYS_ELAPSED, elapsed));
    number("elapsed is some", elapsed[0] != 0);
    number("tick frequency", call(SYS_TICKFREQ, 0));
}

static char line[512];

int main(void)
{
    console = open(":tt", 4);
    call(SYS_WRITE0, "hello ");
    call(SYS_WRITEC, "w");
    call(SYS_WRITE0, "\n");
    number("console is a terminal", call3(SYS_ISTTY, console, 0, 0));
    number("is an error", call3(SYS_ISERROR, -1, 0, 0));
    number("is none", call3(SYS_ISERROR, 0, 0, 0));
    word features = open(":semihosting-features", 0);
    char magic[6] = "";
    number("features, not read", call3(SYS_READ, features, (word)magic, 5));
    number("features", magic[4]);
    magic[4] = '\n';
    put(magic);
    number("close", call3(SYS_CLOSE, features, 0, 0));

    volatile word block[2] = { (word)line, sizeof line };
    number("command line", call(SYS_GET_CMDLINE, block));
    number("its length is right", block[1] == length(line));
    char *path = line;
    while (*path && *path != ' ')
        path++;
    char *how = *path ? ++path : path;
    while (*how && *how != ' ')
        how++;
    if (*how)
        *how++ = 0;
    files(path);
    times();

    volatile word heap[4] = { 0 };
    volatile word heap_at[1] = { (word)heap };
    number("heap info", call(SYS_HEAPINFO, heap_at));
    number("heap is above this", heap[0] > (word)line && heap[1] > heap[0]);
    number("a name nowhere", call3(SYS_OPEN, ~0xfffUL, 0, 4));

    volatile word end[2] = { 0x20026, 0 };
    // QEMU aborts at this one.
    if (same(how, "unknown"))
        number("unknown operation", call(0x77, block));
    if (same(how, "fault"))
        end[0] = 0x20023;
    if (*how >= '0' && *how <= '9')
        for (; *how; how++)
            end[1] = end[1] * 10 + *how - '0';
    call(end[1] ? SYS_EXIT_EXTENDED : SYS_EXIT, end);
    for (;;)
        ;
}

__asm__(".section .text.start,\"ax\"\n.global _start\n_start: ldr x0, =0x48000000\nmov sp, x0\nbl main\n1: b 1b\n.text\n");
