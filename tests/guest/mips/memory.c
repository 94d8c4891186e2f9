/* Loads and stores of every size and alignment, the unaligned pieces, LL and SC, cache instructions,
 * code that is written, jumps and branches. */
#include "common.h"

static u8 field[64] __attribute__((aligned(64)));
static void fill(void) { for (u32 i = 0; i < sizeof field; i++) field[i] = 0x11 * i + 0x83; }
static void mix_field(void) { for (u32 i = 0; i < sizeof field; i += 4) mix32(field[i] << 24 | field[i + 1] << 16 | field[i + 2] << 8 | field[i + 3]); }

#define LOAD(n, step) do { begin(); fill(); for (u32 i = 0; i < 16; i += step) { ulong r = (ulong)(long)(s32)0x8badf00d; \
    __asm__ volatile(#n " %0, 0(%1)" : "+r"(r) : "r"(field + i) : "memory"); mix(r); \
    __asm__ volatile(#n " %0, -8(%1)" : "+r"(r) : "r"(field + 8 + i) : "memory"); mix(r); } end(#n); } while (0)
#define STORE(n, step) do { begin(); for (u32 i = 0; i < 16; i += step) { fill(); \
    __asm__ volatile(#n " %0, 8(%1)" : : "r"(BITS == 64 ? (ulong)0x0123456789abcdefull : (ulong)0x89abcdef), "r"(field + i) : "memory"); mix_field(); } end(#n); } while (0)

#define BRANCH(n, ...) do { begin(); static const long v[] = { 0, 1, -1, 5, (s32)0x80000000, 0x7fffffff }; \
    for (u32 i = 0; i < COUNT(v); i++) for (u32 j = 0; j < COUNT(v); j++) { u32 r = 0; __asm__ volatile(".set push\n\t.set noreorder\n\t" \
    #n " " __VA_ARGS__ ", 1f\n\tori %0, %0, 1\n\tori %0, %0, 2\n1:\tori %0, %0, 4\n\t.set pop" : "+&r"(r) : "r"(v[i]), "r"(v[j]) : "$31"); mix32(r); } end(#n); } while (0)

static void jumps(void)
{
    ulong a, b, c;
    begin();
    __asm__ volatile(".set push\n\t.set noreorder\n\t.set noat\n\t" LEA "%1, 2f\n\tli %0, 0\n\tjal 1f\n\tori %0, %0, 1\n\tb 3f\n\tori %0, %0, 8\n"
        "1:\tjr $31\n\tori %0, %0, 2\n2:\tjr %2\n\tori %0, %0, 16\n3:\tjalr %2, %1\n\tori %0, %0, 4\n\tori %0, %0, 32\n\tbltzal $0, 2b\n\tmove %2, $31\n\t"
        "bal 4f\n\tsubu %2, $31, %2\n\tori %0, %0, 64\n4:\tj 5f\n\tori %0, %0, 128\n\tori %0, %0, 256\n5:\t.set pop"
        : "=&r"(a), "=&r"(b), "=&r"(c) : : "$31", "memory");
    mix(a), mix(c);
    /* A slot that changes what the branch tested, and the register of the jump. */
    __asm__ volatile(".set push\n\t.set noreorder\n\tli %0, 1\n\tbnez %0, 1f\n\tli %0, 0\n\tli %0, 7\n1:\t" LEA "%1, 2f\n\tjr %1\n\tmove %1, $0\n\tli %1, 9\n2:\t.set pop"
        : "=&r"(a), "=&r"(b));
    mix(a), mix(b);
    /* The link is there in the slot. */
    __asm__ volatile(".set push\n\t.set noreorder\n\t" LEA "%1, 1f\n\tjal 1f\n\tsubu %0, %1, $31\n1:\t.set pop" : "=&r"(a), "=&r"(b) : : "$31");
    mix(a);
    end("jumps");
}

#define LL_SC(l, s, name) do { begin(); fill(); ulong r, ok, n; \
    __asm__ volatile(l " %0, 0(%2)\n\taddiu %1, %0, 5\n\t" s " %1, 0(%2)" : "=&r"(r), "=&r"(ok) : "r"(field + 8) : "memory"); mix(r), mix(ok), mix_field(); \
    /* Not after an exception's return. */ \
    __asm__ volatile(l " %0, 0(%2)\n\tsyscall\n\tli %1, 77\n\t" s " %1, 0(%2)" : "=&r"(r), "=&r"(ok) : "r"(field + 8) : "memory"); mix(r), mix(ok), mix_field(); \
    for (n = 0; n < 1000; n++) __asm__ volatile("1:\t" l " %0, 0(%1)\n\taddiu %0, %0, 3\n\t" s " %0, 0(%1)\n\tbeqz %0, 1b" : "=&r"(r) : "r"(field + 16) : "memory"); \
    mix_field(); end(name); } while (0)

/* Code that is replaced again and again. */
static void written(void)
{
    static u32 code[16] __attribute__((aligned(128)));
    begin();
    for (u32 i = 0; i < 200; i++) {
        code[0] = 0x03e00008;             /* jr $31 */
        code[1] = 0x24020000 | (i * 57 & 0x7fff); /* addiu $2, $0, value */
        if (i & 1)
            for (u32 k = 0; k < 2; k++)
                __asm__ volatile("cache 0x15, 0(%0)\n\tsync\n\tcache 0x10, 0(%0)" : : "r"(code + k) : "memory");
        else
            __asm__ volatile("synci 0(%0)\n\tsync" : : "r"(code) : "memory");
        __asm__ volatile(LEA "$3, 1f\n\tjr.hb $3\n1:" : : : "$3", "memory");
        mix32(((u32 (*)(void))code)());
    }
    end("written code");
}

/* Writing back and invalidating loses nothing; uncached accesses see what was written back. */
static void caches(void)
{
    static volatile u32 area[512] __attribute__((aligned(128)));
    volatile u32 *direct = (volatile u32 *)((ulong)area - KSEG0 + KSEG1);
    begin();
    for (u32 i = 0; i < COUNT(area); i++)
        area[i] = i * 0x9e3779b9;
    for (ulong a = (ulong)area; a < (ulong)(area + COUNT(area)); a += 16)
        __asm__ volatile("cache 0x15, 0(%0)" : : "r"(a) : "memory");
    for (u32 i = 0; i < COUNT(area); i++)
        mix32(direct[i]);
    for (u32 i = 0; i < COUNT(area); i += 3)
        direct[i] = ~i;
    for (u32 i = 0; i < COUNT(area); i++)
        mix32(area[i]);
    for (ulong a = KSEG0; a < KSEG0 + 0x8000; a += 16)
        __asm__ volatile("cache 0, 0(%0)\n\tcache 1, 0(%0)" : : "r"(a) : "memory"); /* by index */
    for (u32 i = 0; i < COUNT(area); i++)
        mix32(area[i]);
    __asm__ volatile("pref 0, 0(%0)\n\tpref 1, 64(%0)\n\tpref 30, 0(%1)\n\tsync" : : "r"(area), "r"(0x1001l) : "memory");
    end("caches");
}

int main(void)
{
    LOAD(lb, 1); LOAD(lbu, 1); LOAD(lh, 2); LOAD(lhu, 2); LOAD(lw, 4); LOAD(lwl, 1); LOAD(lwr, 1);
    STORE(sb, 1); STORE(sh, 2); STORE(sw, 4); STORE(swl, 1); STORE(swr, 1);
#if BITS == 64
    LOAD(lwu, 4); LOAD(ld, 8); LOAD(ldl, 1); LOAD(ldr, 1); STORE(sd, 8); STORE(sdl, 1); STORE(sdr, 1);
#endif
    LL_SC("ll", "sc", "ll and sc");
#if BITS == 64
    LL_SC("lld", "scd", "lld and scd");
#endif
    BRANCH(beq, "%1, %2"); BRANCH(bne, "%1, %2"); BRANCH(blez, "%1"); BRANCH(bgtz, "%1"); BRANCH(bltz, "%1"); BRANCH(bgez, "%1");
    BRANCH(bltzal, "%1"); BRANCH(bgezal, "%1"); BRANCH(beql, "%1, %2"); BRANCH(bnel, "%1, %2"); BRANCH(blezl, "%1"); BRANCH(bgtzl, "%1");
    BRANCH(bltzl, "%1"); BRANCH(bgezl, "%1"); BRANCH(bltzall, "%1"); BRANCH(bgezall, "%1");
    jumps();
    written();
    caches();
    put("memory: done\n");
    return 0;
}
