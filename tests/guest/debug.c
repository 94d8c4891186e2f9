// A bare-metal program to be debugged: nested calls with locals, cores that write one variable,
// and a loop that shows what a debugger changed. AArch64 on `virt` and MIPS on Malta.

typedef unsigned long word;

enum { CORES = 4, WRITES = 25 };

struct point {
    int x, y;
};

// What a debugger writes.
volatile word given = 7, sleeping, racing;
// What it reads.
volatile word counter, copied, seen, shared, rounds[CORES], written[CORES];
const volatile word constant = 0x600d;

#if defined(__aarch64__)
__asm__(".text\n"
        ".global _start\n"
        "_start:\n"
        "    mrs x0, mpidr_el1\n"
        "    and x0, x0, #0xff\n"
        "    adrp x1, stacks\n"
        "    add x1, x1, :lo12:stacks\n"
        "    add x1, x1, x0, lsl #13\n"
        "    add sp, x1, #8192\n"
        "    mov x29, xzr\n"
        "    mov x30, xzr\n"
        "    bl program\n");

static void wait(void)
{
    __asm__ volatile("wfi");
}

extern char _start[];

// PSCI's CPU_ON. Gives 0 where there is such a core.
static word start_core(word core)
{
    register word x0 __asm__("x0") = 0xc4000003;
    register word x1 __asm__("x1") = core;
    register word x2 __asm__("x2") = (word)_start;
    register word x3 __asm__("x3") = 0;
    __asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#elif defined(__mips__)
__asm__(".text\n"
        ".set noreorder\n"
        ".global _start\n"
        "_start:\n"
        "    lui $29, %hi(stacks + 8160)\n"
        "    addiu $29, $29, %lo(stacks + 8160)\n"
        "    move $31, $0\n"
        "    jal program\n"
        "    move $4, $0\n"
        ".set reorder\n");

static void wait(void)
{
    __asm__ volatile("wait");
}

static word start_core(word core)
{
    return core;
}
#endif

char stacks[CORES][8192] __attribute__((aligned(16)));

__attribute__((noinline)) int innermost(int depth, struct point p)
{
    int sum = p.x + p.y;
    int product = p.x * p.y;
    return sum * depth + product;
}

__attribute__((noinline)) int middle(int depth)
{
    struct point p = { depth, depth + 1 };
    int before = depth * 10;
    int got = innermost(depth + 1, p);
    return before + got;
}

__attribute__((noinline)) int outer(int seed)
{
    int result = middle(seed);
    return result + 1;
}

__attribute__((noinline)) void see(word value)
{
    seen = value;
}

__attribute__((noinline)) void tick(word core)
{
    rounds[core]++;
    if (core == 0) {
        counter++;
        copied = given;
    }
}

// Every core writes the variable so many times, and every value but once.
__attribute__((noinline)) void race(word core)
{
    while (written[core] < WRITES) {
        written[core]++;
        shared = core << 16 | written[core];
    }
}

void program(word core)
{
    word n;
    int result = outer(4);
    if (core == 0)
        for (n = 1; n < CORES && start_core(n) == 0; n++)
            ;
    for (n = 0;; n++) {
        tick(core);
        if (core == 0)
            see(n + (word)result);
        if (racing)
            race(core);
        if (sleeping)
            wait();
    }
}
