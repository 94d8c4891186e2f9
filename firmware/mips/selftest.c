/* Runs the groups, one line each, and tells which failed. What needs an option of the processor is
 * left out without it, and said. */
#include "fw.h"

static u32 failures;
static const char *group, *noted;

static void check(const char *what, u32 got, u32 want)
{
    if (got == want)
        return;
    if (failures++ == 0)
        print("FAILED\n");
    if (failures <= 8)
        print("  %s: %s: got 0x%x, expected 0x%x\n", group, what, got, want);
}

#define OP2(insn, a, b, want) do { u32 r_; __asm__ volatile(insn " %0, %1, %2" : "=r"(r_) : "r"(a), "r"(b)); check(insn, r_, want); } while (0)
#define OP1(insn, a, want) do { u32 r_; __asm__ volatile(insn " %0, %1" : "=r"(r_) : "r"(a)); check(insn, r_, want); } while (0)
#define HILO(insn, a, b, high, low) do { u32 h_, l_; __asm__ volatile(insn " %2, %3\n\tmfhi %0\n\tmflo %1" : "=&r"(h_), "=&r"(l_) : "r"(a), "r"(b) : "hi", "lo"); \
    check(insn " hi", h_, high); check(insn " lo", l_, low); } while (0)

static void integer(void)
{
    static u32 cell[2];
    OP2("addu", 0x7fffffff, 1, 0x80000000);
    OP2("subu", 0, 1, 0xffffffff);
    OP2("and", 0xff00ff00, 0x0ff00ff0, 0x0f000f00);
    OP2("or", 0xff00ff00, 0x0ff00ff0, 0xfff0fff0);
    OP2("xor", 0xff00ff00, 0x0ff00ff0, 0xf0f0f0f0);
    OP2("nor", 0xff00ff00, 0x0ff00ff0, 0x000f000f);
    OP2("slt", -1, 0, 1);
    OP2("sltu", -1, 0, 0);
    OP2("sllv", 0x12345678, 36, 0x23456780);
    OP2("srlv", 0x87654321, 8, 0x00876543);
    OP2("srav", 0x87654321, 8, 0xff876543);
    OP2("mul", 0x12345, 0x6789a, 0x12345u * 0x6789au);
    OP1("clz", 0x00010000, 15);
    OP1("clo", 0xffff0000, 16);
    HILO("mult", -3, 5, 0xffffffff, -15);
    HILO("multu", -3, 5, 4, 0xfffffff1);
    HILO("div $0,", -17, 5, -2, -3);
    HILO("divu $0,", 17, 5, 2, 3);
    cell[0] = 0x11223344, cell[1] = 0x55667788;
    u32 r = 0;
#ifdef __MIPSEB__
    __asm__ volatile("lwl %0, 1(%1)\n\tlwr %0, 4(%1)" : "+r"(r) : "r"(cell) : "memory");
    check("lwl, lwr", r, 0x22334455);
#else
    __asm__ volatile("lwr %0, 1(%1)\n\tlwl %0, 4(%1)" : "+r"(r) : "r"(cell) : "memory");
    check("lwr, lwl", r, 0x88112233);
#endif
    __asm__ volatile(".set push\n\t.set noreorder\n\tli %0, 1\n\tbeqzl $0, 1f\n\tli %0, 2\n\tli %0, 3\n1:\tbnezl $0, 2f\n\taddiu %0, %0, 8\n2:\t.set pop" : "=r"(r));
    check("branches likely", r, 2);
    if (!has_release2())
        return;
    OP1("seb", 0x80, 0xffffff80);
    OP1("wsbh", 0x11223344, 0x22114433);
    OP2("rotrv", 0x12345678, 8, 0x78123456);
    __asm__ volatile("ext %0, %1, 4, 12" : "=r"(r) : "r"(0x12345678));
    check("ext", r, 0x567);
    __asm__ volatile("ins %0, %1, 8, 8" : "+r"(r) : "r"(0xab));
    check("ins", r, 0xab67);
}

/* Registers of 64 bits are used within one statement: what is around it has 32. */
#define WIDE(what, code, low, high) do { u32 l_, h_; __asm__ volatile(".set push\n\t.set mips64r2\n\t.set noat\n\t" \
    "lui $8, 0x1234\n\tori $8, $8, 0x5678\n\tdsll32 $9, $8, 0\n\tor $8, $8, $9\n\t" code "\n\tsll %0, $8, 0\n\tdsra32 %1, $8, 0\n\t.set pop" \
    : "=r"(l_), "=r"(h_) : : "$8", "$9", "hi", "lo"); check(what " low", l_, low); check(what " high", h_, high); } while (0)

static void wide(void)
{
    WIDE("daddu", "daddu $8, $8, $8", 0x2468acf0, 0x2468acf0);
    WIDE("daddiu", "daddiu $8, $0, -1", 0xffffffff, 0xffffffff);
    WIDE("dsrl", "dsrl $8, $8, 4", 0x81234567, 0x01234567);
    WIDE("dmultu", "dmultu $8, $8\n\tmfhi $8", 0x208ba5f8, 0x014b66dc);
    WIDE("ddivu", "li $9, 16\n\tddivu $0, $8, $9\n\tmflo $8", 0x81234567, 0x01234567);
    WIDE("dclz", "dclz $8, $8", 3, 0);
    if (has_release2()) {
        WIDE("dsbh", "dsbh $8, $8", 0x34127856, 0x34127856);
        WIDE("drotr", "drotr $8, $8, 8", 0x78123456, 0x78123456);
        WIDE("dextm", "dextm $8, $8, 4, 40", 0x81234567, 0x67);
    }
}

static void atomics(void)
{
    static volatile u32 cell;
    u32 r, ok;
    cell = 41;
    __asm__ volatile("ll %0, 0(%2)\n\taddiu %1, %0, 1\n\tsc %1, 0(%2)" : "=&r"(r), "=&r"(ok) : "r"(&cell) : "memory");
    check("ll", r, 41);
    check("sc", ok, 1);
    check("sc stores", cell, 42);
    for (u32 i = 0; i < 1000; i++)
        __asm__ volatile("1:\tll %0, 0(%1)\n\taddiu %0, %0, 1\n\tsc %0, 0(%1)\n\tbeqz %0, 1b" : "=&r"(r) : "r"(&cell) : "memory");
    check("counter", cell, 1042);
}

static bool skip(struct frame *f)
{
    f->epc += fault.bd ? 8 : 4;
    return true;
}

/* Runs it with exceptions counted and passed over. */
#define TRAPS(what, code_, insn, bd_, ...) do { u32 before_ = fault.count; fault.code = 99; hook = skip; \
    __asm__ volatile(".set push\n\t.set noreorder\n\t" insn "\n\tnop\n\t.set pop" : : __VA_ARGS__ : "$2", "memory"); \
    hook = NULL; check(what, fault.code, code_); check(what " in a slot", fault.bd, bd_); check(what " once", fault.count - before_, 1); } while (0)

static void exceptions(void)
{
    static u32 cell[2];
    TRAPS("syscall", 8, "syscall", 0, "r"(0));
    TRAPS("break", 9, "break", 0, "r"(0));
    TRAPS("overflow", 12, "add $2, %0, %0", 0, "r"(0x7fffffff));
    TRAPS("trap", 13, "teq $0, $0", 0, "r"(0));
    TRAPS("load address", 4, "lw $2, 2(%0)", 0, "r"(cell));
    check("its address", fault.badvaddr, (u32)cell + 2);
    TRAPS("store address", 5, "sh $0, 1(%0)", 0, "r"(cell));
    TRAPS("reserved", 10, ".word 0x7000003e", 0, "r"(0));
    TRAPS("coprocessor", 11, "lwc2 $2, 0(%0)", 0, "r"(cell));
    TRAPS("syscall", 8, "b 1f\n\tsyscall\n1:", 1, "r"(0));
    check("vector", fault.vector, 0x180);
}

/* Physical pages behind the first MiB. */
enum { VA = 0x00400000, PA = 0x00200000, VALID = 2 | 3 << 3, DIRTY = 4 };
static u32 lo(u32 pa) { return pa >> 12 << 6; }
static bool fill(struct frame *f)
{
    u32 va = f->badvaddr & ~0x1fff;
    if (fault.code < 2 || fault.code > 3 || fault.vector == 0x180)
        return false;
    cp0_write(2, 0, lo(PA + va - VA) | VALID | DIRTY);
    cp0_write(3, 0, lo(PA + va - VA + 0x1000) | VALID | DIRTY);
    cp0_write(5, 0, 0);
    __asm__ volatile("tlbwr\n\tehb");
    return true;
}

static void tlb(void)
{
    volatile u32 *at = (volatile u32 *)VA, *direct = (volatile u32 *)(0xa0000000 + PA);
    u32 before = fault.count, bad = 0;
    tlb_clear();
    hook = fill;
    for (u32 i = 0; i < 256; i++)
        at[i * 0x400] = i * 3;
    for (u32 i = 0; i < 256; i++)
        bad += at[i * 0x400] != i * 3;
    hook = NULL;
    check("pages", bad, 0);
    check("refills", fault.count - before >= 128, 1);
    for (u32 i = 0; i < 256; i++) /* write back, then look past the cache */
        __asm__ volatile("cache 0x15, 0(%0)" : : "r"(0x80000000 + PA + i * 0x1000));
    check("memory", direct[0x400 * 77], 77 * 3);
    tlb_clear();
    tlb_write(1, VA | 7, lo(PA) | VALID, lo(PA + 0x1000));
    cp0_write(10, 0, 7);
    check("load", *at, 0);
    TRAPS("modified", 1, "sw $0, 0(%0)", 0, "r"(at));
    TRAPS("invalid", 2, "lw $2, 0(%0)", 0, "r"((u32)at + 0x1000));
    check("invalid, vector", fault.vector, 0x180);
    cp0_write(10, 0, 8);
    TRAPS("another space", 2, "lw $2, 4(%0)", 0, "r"(at));
    check("another space, vector", fault.vector, 0);
    cp0_write(10, 0, VA | 7);
    __asm__ volatile("tlbp\n\tehb");
    check("probe", cp0_read(0, 0), 1);
    tlb_clear();
}

enum { WANTED = 5, PERIOD = 1000000, LIMIT = 0x40000000 };
static void timer(void)
{
    u32 status = cp0_read(12, 0), from;
    ticks = 0;
    tick_period = PERIOD;
    from = cp0_read(9, 0);
    arm(PERIOD);
    cp0_write(12, 0, status | IE | IM7);
    for (; ticks < 1 && cp0_read(9, 0) - from < LIMIT;)
        ;
    check("interrupt", ticks >= 1, 1);
    check("not before its time", cp0_read(9, 0) - from >= PERIOD, 1);
    if (ticks)
        while (ticks < WANTED)
            __asm__ volatile("wait");
    cp0_write(12, 0, status);
    tick_period = 0;
    arm(PERIOD);
    from = cp0_read(9, 0);
    while (cp0_read(9, 0) - from < 4 * PERIOD)
        ;
    u32 seen = ticks;
    cp0_write(12, 0, status | IM7);
    check("masked", ticks, seen);
    cp0_write(12, 0, status);
    cp0_write(11, 0, cp0_read(9, 0) - 1);
}

#define FLOAT(insn, a, b, want, flags) do { u32 r_, f_; __asm__ volatile(".set push\n\t.set hardfloat\n\tctc1 $0, $31\n\tmtc1 %2, $f2\n\tmtc1 %3, $f4\n\t" \
    insn "\n\tmfc1 %0, $f6\n\tcfc1 %1, $31\n\t.set pop" : "=r"(r_), "=r"(f_) : "r"(a), "r"(b)); check(insn, r_, want); check(insn " flags", f_ & 0x7c, flags); } while (0)
#define DOUBLE(insn, a, b, want) do { static u64 v_[3]; v_[0] = a; v_[1] = b; __asm__ volatile(".set push\n\t.set hardfloat\n\tldc1 $f2, 0(%0)\n\tldc1 $f4, 8(%0)\n\t" \
    insn "\n\tsdc1 $f6, 16(%0)\n\t.set pop" : : "r"(v_) : "memory"); check(insn " low", v_[2], (u32)(want)); check(insn " high", v_[2] >> 32, (want) >> 32); } while (0)

static void floating(void)
{
    cp0_write(12, 0, cp0_read(12, 0) | CU1);
    FLOAT("add.s $f6, $f2, $f4", 0x3f800000, 0x40000000, 0x40400000, 0);
    FLOAT("sub.s $f6, $f2, $f4", 0x3f800000, 0x33000000, 0x3f800000, 4);
    FLOAT("mul.s $f6, $f2, $f4", 0x7f000000, 0x7f000000, 0x7f800000, 0x14);
    FLOAT("div.s $f6, $f2, $f4", 0x3f800000, 0x00000000, 0x7f800000, 0x20);
    FLOAT("sqrt.s $f6, $f2", 0x40000000, 0, 0x3fb504f3, 4);
    FLOAT("cvt.s.w $f6, $f2", 0x01000001, 0, 0x4b800000, 4);
    FLOAT("trunc.w.s $f6, $f2", 0xc0200000, 0, -2, 4);
    FLOAT("round.w.s $f6, $f2", 0xc0200000, 0, -2, 4);
    FLOAT("floor.w.s $f6, $f2", 0xc0200000, 0, -3, 4);
    DOUBLE("add.d $f6, $f2, $f4", 0x3ff0000000000000ull, 0x4000000000000000ull, 0x4008000000000000ull);
    DOUBLE("div.d $f6, $f2, $f4", 0x3ff0000000000000ull, 0x4008000000000000ull, 0x3fd5555555555555ull);
    DOUBLE("sqrt.d $f6, $f2", 0x4000000000000000ull, 0ull, 0x3ff6a09e667f3bcdull);
    u32 r;
    __asm__ volatile(".set push\n\t.set hardfloat\n\t.set noreorder\n\tmtc1 $0, $f2\n\tc.eq.s $f2, $f2\n\tli %0, 1\n\tbc1t 1f\n\tnop\n\tli %0, 0\n1:\t.set pop" : "=r"(r));
    check("c.eq.s, bc1t", r, 1);
    /* In numbers that no double has a half for. */
    if (has_fpu_64()) {
        cp0_write(12, 0, cp0_read(12, 0) | CU1 | FR);
        __asm__ volatile(".set push\n\t.set hardfloat\n\t.set fp=64\n\tli $2, 5\n\tmtc1 $2, $f3\n\tmtc1 $0, $f2\n\tmfc1 %0, $f3\n\t.set pop" : "=r"(r) : : "$2");
        check("odd registers", r, 5);
    }
    cp0_write(12, 0, cp0_read(12, 0) & ~(CU1 | FR));
    noted = "single, double";
}

static bool always(void) { return true; }
static const struct { const char *name; void (*run)(void); bool (*there)(void); const char *without; } groups[] = {
    { "integer", integer, always, "" }, { "64 bits", wide, is_64, "a processor of 32 bits" }, { "floating point", floating, has_fpu, "no FPU" },
    { "atomics", atomics, always, "" }, { "exceptions", exceptions, always, "" }, { "tlb", tlb, always, "" }, { "timer interrupt", timer, always, "" },
};

static void run(void *f) { ((void (*)(void))f)(); }

bool selftest(void)
{
    u32 bad = 0;
    for (u32 i = 0; i < COUNT(groups); i++) {
        group = groups[i].name;
        print("self-test: %s ... ", group);
        if (!groups[i].there()) {
            print("left out: %s\n", groups[i].without);
            continue;
        }
        failures = 0;
        noted = NULL;
        if (guarded(run, groups[i].run) != 0) {
            hook = NULL;
            if (failures++ == 0)
                print("FAILED\n");
            print("  ");
            print_fault();
            print("\n");
        }
        if (failures)
            bad |= 1u << i;
        else if (noted)
            print("ok (%s)\n", noted);
        else
            print("ok\n");
    }
    if (!bad) {
        print("self-test: passed\n");
        return true;
    }
    print("self-test: FAILED");
    for (u32 i = 0; i < COUNT(groups); i++)
        if (bad & 1u << i)
            print("%s%s", bad & ((1u << i) - 1) ? ", " : " ", groups[i].name);
    print("\n");
    return false;
}
