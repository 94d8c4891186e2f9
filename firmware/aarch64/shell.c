/* The prompt: one line editor, one table of commands. */
#include "fw.h"

enum { LINE = 256, WORDS = 8 };

struct command {
    const char *name, *arguments, *help;
    void (*run)(int words, char **word, const char *rest);
};

static void help(int n, char **w, const char *rest);

static void info(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    machine_print();
}

static bool size_argument(int n, char **w, int index, u64 *size)
{
    *size = 4;
    if (n <= index)
        return true;
    if (parse_number(w[index], size) && (*size == 1 || *size == 2 || *size == 4 || *size == 8))
        return true;
    print("%s: size must be 1, 2, 4 or 8, not %s\n", w[0], w[index]);
    return false;
}

static bool number_argument(int n, char **w, int index, const char *what, u64 *value)
{
    if (n > index && parse_number(w[index], value))
        return true;
    print("%s: %s must be a number, such as 64 or 0x40\n", w[0], what);
    return false;
}

static void peek(int n, char **w, const char *rest)
{
    u64 at, size, value;
    (void)rest;
    if (!number_argument(n, w, 1, "ADDR", &at) || !size_argument(n, w, 2, &size))
        return;
    if (probe_read(at, size, &value) == 0) {
        static const char *const format[] = { "0x%lx: 0x%02lx\n", "0x%lx: 0x%04lx\n", "0x%lx: 0x%08lx\n", "0x%lx: 0x%016lx\n" };
        print(format[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3], at, value);
        return;
    }
    print("peek: ");
    print_fault();
    print("\n");
}

static void poke(int n, char **w, const char *rest)
{
    u64 at, size, value;
    (void)rest;
    if (!number_argument(n, w, 1, "ADDR", &at) || !number_argument(n, w, 2, "VALUE", &value) ||
        !size_argument(n, w, 3, &size) || probe_write(at, size, value) == 0)
        return;
    print("poke: ");
    print_fault();
    print("\n");
}

static void dump(int n, char **w, const char *rest)
{
    u64 at, len, value;
    (void)rest;
    if (!number_argument(n, w, 1, "ADDR", &at) || !number_argument(n, w, 2, "LEN", &len))
        return;
    for (u64 line = at; line - at < len; line += 16) {
        char text[17];
        u64 count = len - (line - at) < 16 ? len - (line - at) : 16, i = 0;
        print("%08lx:", line);
        for (; i < count && probe_read(line + i, 1, &value) == 0; i++) {
            print(" %02lx", value);
            text[i] = value >= 0x20 && value < 0x7f ? value : '.';
        }
        text[i] = 0;
        for (u64 gap = i; gap < 16; gap++)
            print("   ");
        print("  %s\n", text);
        if (i < count) {
            print("dump: ");
            print_fault();
            print("\n");
            return;
        }
    }
}

static void echo(int n, char **w, const char *rest)
{
    (void)n, (void)w;
    print("%s\n", rest);
}

static void run_selftest(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    selftest();
}

static void run_boot(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    boot();
}

static void power(int n, char **w, const char *rest)
{
    (void)n, (void)rest;
    uart_quiet();
    psci_call(w[0][0] == 'r' ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF);
    uart_init(machine.uart, machine.uart_intid);
    print("%s: %s\n", w[0], machine.psci_method ? "PSCI returned" : "no PSCI in the device tree");
}

static const struct command commands[] = {
    { "help", "", "this list", help },
    { "info", "", "what machine this is", info },
    { "peek", "ADDR [SIZE]", "read 1, 2, 4 (default) or 8 bytes", peek },
    { "poke", "ADDR VALUE [SIZE]", "write them", poke },
    { "dump", "ADDR LEN", "bytes of memory", dump },
    { "echo", "TEXT", "print TEXT", echo },
    { "selftest", "", "run the self-test again", run_selftest },
    { "boot", "", "look for a kernel on the disks again", run_boot },
    { "reboot", "", "reset the machine by PSCI", power },
    { "poweroff", "", "turn it off by PSCI", power },
};

static void help(int n, char **w, const char *rest)
{
    (void)n, (void)w, (void)rest;
    for (u32 i = 0; i < COUNT(commands); i++)
        print("  %8s %18s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
}

/* Backspace or delete, Ctrl-U (drop the line), Ctrl-C (drop it, new prompt). */
static void read_line(char *line)
{
    static bool after_return;
    u32 n = 0;
    for (;;) {
        int c = uart_get();
        bool skip = c == '\n' && after_return; /* CR LF is one end of line */
        after_return = c == '\r';
        if (skip)
            continue;
        if (c == '\r' || c == '\n') {
            print("\n");
            break;
        }
        if (c == 3) {
            print("^C\n");
            n = 0;
            break;
        }
        if ((c == 8 || c == 0x7f) && n) {
            n--;
            print("\b \b");
        }
        for (; c == 0x15 && n; n--)
            print("\b \b");
        if (c >= 0x20 && c < 0x7f && n + 1 < LINE) {
            line[n++] = c;
            uart_put(c);
        }
    }
    line[n] = 0;
}

static int execute(void *arg)
{
    char *line = arg, *word[WORDS];
    const char *rest = "";
    static char whole[LINE];
    int n = 0;
    memcpy(whole, line, LINE);
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
        return 0;
    for (u32 i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, word[0]) == 0) {
            commands[i].run(n, word, rest);
            return 0;
        }
    print("%s: no such command; help lists them\n", word[0]);
    return 0;
}

void shell(void)
{
    static char line[LINE];
    for (;;) {
        print("proteus> ");
        read_line(line);
        guarded(execute, line, false);
    }
}
