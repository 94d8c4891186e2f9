/* The prompt: one line editor, one table of commands. */
#include "fw.h"

enum { LINE = 128, WORDS = 6 };
static void help(int n, char **w, const char *rest);

static bool number(int n, char **w, int index, const char *what, u32 *value)
{
    if (n > index && parse_number(w[index], value))
        return true;
    print("%s: %s must be a number, such as 64 or 0x40\n", w[0], what);
    return false;
}

static bool size_of(int n, char **w, int index, u32 *size)
{
    *size = 4;
    if (n <= index || (parse_number(w[index], size) && (*size == 1 || *size == 2 || *size == 4)))
        return true;
    print("%s: size must be 1, 2 or 4, not %s\n", w[0], w[index]);
    return false;
}

struct access { u32 at, size, value; bool write; };
static void perform(void *arg)
{
    struct access *a = arg;
    if (a->write)
        a->size == 1 ? (void)(*(volatile u8 *)a->at = a->value) : a->size == 2 ? (void)(*(volatile u16 *)a->at = a->value) : (void)(*(volatile u32 *)a->at = a->value);
    else
        a->value = a->size == 1 ? *(volatile u8 *)a->at : a->size == 2 ? *(volatile u16 *)a->at : *(volatile u32 *)a->at;
}

static bool done(const char *name, struct access *a)
{
    if (guarded(perform, a) == 0)
        return true;
    print("%s: ", name);
    print_fault();
    print("\n");
    return false;
}

static void peek(int n, char **w, const char *rest)
{
    struct access a = { .write = false };
    (void)rest;
    if (!number(n, w, 1, "ADDR", &a.at) || !size_of(n, w, 2, &a.size) || !done(w[0], &a))
        return;
    print(a.size == 1 ? "0x%08x: 0x%02x\n" : a.size == 2 ? "0x%08x: 0x%04x\n" : "0x%08x: 0x%08x\n", a.at, a.value);
}

static void poke(int n, char **w, const char *rest)
{
    struct access a = { .write = true };
    (void)rest;
    if (number(n, w, 1, "ADDR", &a.at) && number(n, w, 2, "VALUE", &a.value) && size_of(n, w, 3, &a.size))
        done(w[0], &a);
}

static void dump(int n, char **w, const char *rest)
{
    u32 at, len;
    (void)rest;
    if (!number(n, w, 1, "ADDR", &at) || !number(n, w, 2, "LEN", &len))
        return;
    for (u32 line = 0; line < len; line += 16) {
        char text[17] = "";
        u32 i = 0;
        print("%08x:", at + line);
        for (; i < 16 && line + i < len; i++) {
            struct access a = { at + line + i, 1, 0, false };
            if (!done("\ndump", &a))
                return;
            print(" %02x", a.value);
            text[i] = a.value >= 0x20 && a.value < 0x7f ? a.value : '.';
            text[i + 1] = 0;
        }
        for (; i < 16; i++)
            print("   ");
        print("  %s\n", text);
    }
}

static void echo(int n, char **w, const char *rest)
{
    (void)n, (void)w;
    print("%s\n", rest);
}

static void info(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    machine_print();
}

static void run_selftest(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    selftest();
}

static void power(int n, char **w, const char *rest)
{
    (void)n, (void)rest;
    w[0][0] == 'r' ? reset() : power_off();
}

static const struct { const char *name, *arguments, *help; void (*run)(int, char **, const char *); } commands[] = {
    { "help", "", "this list", help },
    { "info", "", "what machine this is", info },
    { "peek", "ADDR [SIZE]", "read 1, 2 or 4 (default) bytes", peek },
    { "poke", "ADDR VALUE [SIZE]", "write them", poke },
    { "dump", "ADDR LEN", "bytes of memory", dump },
    { "echo", "TEXT", "print TEXT", echo },
    { "selftest", "", "run the self-test again", run_selftest },
    { "reboot", "", "reset the machine", power },
    { "poweroff", "", "turn it off", power },
};

static void help(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    for (u32 i = 0; i < COUNT(commands); i++)
        print("  %8s %18s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
}

/* Backspace or delete, Ctrl-U (drop the line). */
static void read_line(char *line)
{
    static int before;
    u32 n = 0;
    for (;;) {
        int c = get_char(), last = before;
        before = c;
        if (c == '\n' && last == '\r') /* CR LF is one end of line */
            continue;
        if (c == '\r' || c == '\n')
            break;
        if ((c == 8 || c == 0x7f) && n) {
            n--;
            print("\b \b");
        }
        for (; c == 0x15 && n; n--)
            print("\b \b");
        if (c >= 0x20 && c < 0x7f && n + 1 < LINE) {
            line[n++] = c;
            put_char(c);
        }
    }
    print("\n");
    line[n] = 0;
}

static void execute(void *arg)
{
    char *line = arg, *word[WORDS];
    static char whole[LINE];
    const char *rest = "";
    int n = 0;
    for (u32 i = 0; i < LINE; i++)
        whole[i] = line[i];
    for (char *p = line; n < WORDS;) {
        while (*p == ' ')
            p++;
        if (!*p)
            break;
        if (n == 1)
            rest = whole + (p - line);
        word[n++] = p;
        while (*p && *p != ' ')
            p++;
        if (*p)
            *p++ = 0;
    }
    if (n == 0)
        return;
    for (u32 i = 0; i < COUNT(commands); i++)
        if (compare(commands[i].name, word[0]) == 0)
            return commands[i].run(n, word, rest);
    print("%s: no such command; help lists them\n", word[0]);
}

void shell(void)
{
    static char line[LINE];
    for (;;) {
        print("proteus> ");
        read_line(line);
        if (guarded(execute, line) != 0) {
            print_fault();
            print("\n");
        }
    }
}
