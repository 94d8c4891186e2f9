/* Floating point: each instruction over patterns in every rounding mode, results and FCSR; with
 * registers of 32 and of 64 bits; then with traps. Even registers only, so that both are the same. */
#include "common.h"

static const u32 singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x40490fdb, 0x7f7fffff, 0xff7fffff, 0x00800000, 0x00000001, 0x807fffff,
    0x7f800000, 0xff800000, 0x7fbfffff, 0x7fc00000, 0x7fc12345, 0xffd00001, 0x4effffff, 0x4f000000, 0xcf000000, 0x3f000000,
    0x3fc00000, 0xc0200000, 0x33d6bf95, 0x5f000000, 0xdf000000,
};
static const u64 doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x400921fb54442d18, 0x7fefffffffffffff,
    0xffefffffffffffff, 0x0010000000000000, 0x0000000000000001, 0x800fffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
    0x7ff7ffffffffffff, 0x7ff8000000000000, 0x7ffc123456789abc, 0xfffa000000000001, 0x41dfffffffc00000, 0x41e0000000000000,
    0xc1e0000000200000, 0x3fe0000000000000, 0x3ff8000000000000, 0xc004000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
    0xc3e0000000000000, 0x47efffffe0000000, 0x36a0000000000001, 0x3810000000000000,
};
enum { FIRST_NAN = 12 }; /* in both lists, and three after it */
static const u32 words[] = { 0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 0x01000001, 0xfeffffff, 0x12345678 };
static const u64 longs[] = {
    0, 1, ~0ull, 0x7fffffffffffffff, 0x8000000000000000, 0x0020000000000001, 0xffdfffffffffffff, 0x0123456789abcdef, 0x1000001,
};

struct operands { const void *a, *b, *c; void *r; };
#if BITS == 64
#define FP ""
#else
#define FP ".set fp=64\n\t"
#endif
typedef u32 run_fn(u32 f, const struct operands *o);
#define LOAD_S "lwc1"
#define LOAD_D "ldc1"
#define STORE_S "swc1"
#define STORE_D "sdc1"
/* Runs one instruction: operands in $f2, $f4 and $f6, result in $f8. */
#define DEFINE(id, insn, in, out) static u32 id(u32 f, const struct operands *o) { __asm__ volatile(".set push\n\t.set hardfloat\n\t" FP \
    "ctc1 %0, $31\n\t" LOAD_##in " $f2, 0(%1)\n\t" LOAD_##in " $f4, 0(%2)\n\t" LOAD_##in " $f6, 0(%3)\n\t" LOAD_##out " $f8, 0(%4)\n\t" \
    insn "\n\tcfc1 %0, $31\n\t" STORE_##out " $f8, 0(%4)\n\t.set pop" \
    : "+&r"(f) : "r"(o->a), "r"(o->b), "r"(o->c), "r"(o->r) : "memory"); return f; }

#define BOTH(X, n) X(n, s, S) X(n, d, D)
#define BINARY(n, fmt, F) DEFINE(n##_##fmt, #n "." #fmt " $f8, $f2, $f4", F, F)
#define UNARY(n, fmt, F) DEFINE(n##_##fmt, #n "." #fmt " $f8, $f2", F, F)
#define TERNARY(n, fmt, F) DEFINE(n##_##fmt, #n "." #fmt " $f8, $f2, $f4, $f6", F, F)
#define COMPARE(n, fmt, F) DEFINE(c_##n##_##fmt, "c." #n "." #fmt " $fcc5, $f2, $f4\n\tc." #n "." #fmt " $f2, $f4", F, F)
#define CONDITION(n, fmt, F) DEFINE(n##_##fmt, "c.lt." #fmt " $fcc2, $f2, $f4\n\t" #n "." #fmt " $f8, $f2, $fcc2", F, F)
#define TO_W(n, fmt, F) DEFINE(n##_w_##fmt, #n ".w." #fmt " $f8, $f2", F, S)
#define TO_L(n, fmt, F) DEFINE(n##_l_##fmt, #n ".l." #fmt " $f8, $f2", F, D)
BOTH(BINARY, add) BOTH(BINARY, sub) BOTH(BINARY, mul) BOTH(BINARY, div)
BOTH(UNARY, sqrt) BOTH(UNARY, abs) BOTH(UNARY, neg) BOTH(UNARY, mov)
BOTH(TERNARY, madd) BOTH(TERNARY, msub) BOTH(TERNARY, nmadd) BOTH(TERNARY, nmsub)
#define CONDITIONS(X) X(f) X(un) X(eq) X(ueq) X(olt) X(ult) X(ole) X(ule) X(sf) X(ngle) X(seq) X(ngl) X(lt) X(nge) X(le) X(ngt)
#define X(n) BOTH(COMPARE, n)
CONDITIONS(X)
#undef X
BOTH(CONDITION, movt) BOTH(CONDITION, movf)
BOTH(TO_W, cvt) BOTH(TO_W, round) BOTH(TO_W, trunc) BOTH(TO_W, ceil) BOTH(TO_W, floor)
BOTH(TO_L, cvt) BOTH(TO_L, round) BOTH(TO_L, trunc) BOTH(TO_L, ceil) BOTH(TO_L, floor)
DEFINE(cvt_d_s, "cvt.d.s $f8, $f2", S, D) DEFINE(cvt_s_d, "cvt.s.d $f8, $f2", D, S)
DEFINE(cvt_s_w, "cvt.s.w $f8, $f2", S, S) DEFINE(cvt_d_w, "cvt.d.w $f8, $f2", S, D)
DEFINE(cvt_s_l, "cvt.s.l $f8, $f2", D, S) DEFINE(cvt_d_l, "cvt.d.l $f8, $f2", D, D)

/* What operands are, how many, and how long the result is. NaNs are left out where QEMU 7.2 takes
 * them otherwise than the manuals say: manual.c has those. */
enum kind { S, D, W, L };
static const struct op { const char *name; run_fn *run; u8 in, operands, out, needs_64, no_nans; } ops[] = {
#define B(n) { #n ".s", n##_s, S, 2, S, 0, 0 }, { #n ".d", n##_d, D, 2, D, 0, 0 },
#define U(n) { #n ".s", n##_s, S, 1, S, 0, 0 }, { #n ".d", n##_d, D, 1, D, 0, 0 },
#define N(n) { #n ".s", n##_s, S, 1, S, 0, 1 }, { #n ".d", n##_d, D, 1, D, 0, 1 },
#define T(n) { #n ".s", n##_s, S, 3, S, 1, 0 }, { #n ".d", n##_d, D, 3, D, 1, 0 },
#define C(n) { "c." #n ".s", c_##n##_s, S, 2, S, 0, 0 }, { "c." #n ".d", c_##n##_d, D, 2, D, 0, 0 },
#define I(n) { #n ".w.s", n##_w_s, S, 1, S, 0, 0 }, { #n ".w.d", n##_w_d, D, 1, S, 0, 0 }, \
             { #n ".l.s", n##_l_s, S, 1, D, 1, 0 }, { #n ".l.d", n##_l_d, D, 1, D, 1, 0 },
    B(add) B(sub) B(mul) B(div) U(sqrt) N(abs) N(neg) U(mov) B(movt) B(movf) CONDITIONS(C) I(cvt) I(round) I(trunc) I(ceil) I(floor)
    { "cvt.d.s", cvt_d_s, S, 1, D, 0, 1 }, { "cvt.s.d", cvt_s_d, D, 1, S, 0, 1 }, { "cvt.s.w", cvt_s_w, W, 1, S, 0, 0 }, { "cvt.d.w", cvt_d_w, W, 1, D, 0, 0 },
    { "cvt.s.l", cvt_s_l, L, 1, S, 1, 0 }, { "cvt.d.l", cvt_d_l, L, 1, D, 1, 0 }, T(madd) T(msub) T(nmadd) T(nmsub)
};
static const struct { const void *list; u32 count, size; } lists[] = {
    { singles, COUNT(singles), 4 }, { doubles, COUNT(doubles), 8 }, { words, COUNT(words), 4 }, { longs, COUNT(longs), 8 },
};

static void over(const struct op *op, u32 control)
{
    u64 result;
    u32 *low = (u32 *)&result, n = lists[op->in].count, size = lists[op->in].size, step = op->operands == 3 ? 3 : 1;
    u32 js = op->operands > 1 ? n : 1, ks = op->operands > 2 ? n : 1;
    const u8 *list = lists[op->in].list;
    for (u32 i = 0; i < n; i++) {
        if (op->no_nans && i >= FIRST_NAN && i < FIRST_NAN + 4)
            continue;
        for (u32 j = 0; j < js; j += step)
            for (u32 k = 0; k < ks; k += step) {
                struct operands o = { list + i * size, list + j * size, list + k * size, &result };
                result = 0x5a5a5a5a5a5a5a5aull;
                u32 f = op->run(control, &o);
                mix32(f);
                mix32(op->out == D ? (u32)result : *low);
                if (op->out == D)
                    mix32(result >> 32);
            }
    }
}

static void all(const char *what, u32 modes, u32 enables, u32 wide)
{
    for (u32 i = 0; i < COUNT(ops); i++) {
        if (ops[i].needs_64 && !wide)
            continue;
        begin();
        for (u32 mode = 0; mode < modes; mode++)
            over(&ops[i], enables | mode);
        put(what);
        end(ops[i].name);
    }
}

/* Moves between the halves of registers, and what the other register of a pair sees. */
static void moves(const char *name, u32 wide)
{
    static u64 memory[2] = { 0x0123456789abcdefull, 0xfedcba9876543210ull };
    u32 a, b, c, d;
    begin();
    __asm__ volatile(".set push\n\t.set hardfloat\n\tldc1 $f10, 0(%4)\n\tldc1 $f12, 8(%4)\n\tmfc1 %0, $f10\n\tmfhc1 %1, $f10\n\t"
        "mtc1 %0, $f12\n\tmfc1 %2, $f12\n\tmfhc1 %3, $f12\n\tmthc1 %0, $f12\n\tsdc1 $f12, 8(%4)\n\t.set pop"
        : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d) : "r"(memory) : "memory");
    mix32(a), mix32(b), mix32(c), mix32(d), mix32(memory[1]), mix32(memory[1] >> 32);
    memory[1] = 0xfedcba9876543210ull;
    /* An odd register is the other half, or one of its own. */
    __asm__ volatile(".set push\n\t.set hardfloat\n\t" FP "ldc1 $f10, 0(%3)\n\tmtc1 $0, $f11\n\tsdc1 $f10, 0(%3)\n\tlwc1 $f11, 4(%3)\n\tmfc1 %0, $f11\n\t"
        "mfhc1 %1, $f10\n\tmfc1 %2, $f10\n\tswc1 $f11, 0(%3)\n\t.set pop" : "=&r"(a), "=&r"(b), "=&r"(c) : "r"(memory) : "memory");
    mix32(a), mix32(b), mix32(c), mix32(memory[0]), mix32(memory[0] >> 32);
    memory[0] = 0x0123456789abcdefull;
#if BITS == 64
    u64 x, y;
    __asm__ volatile(".set push\n\t.set hardfloat\n\tldc1 $f10, 0(%2)\n\tdmfc1 %0, $f10\n\tdmtc1 %0, $f14\n\tmtc1 $0, $f14\n\tdmfc1 %1, $f14\n\t.set pop"
        : "=&r"(x), "=&r"(y) : "r"(memory) : "memory");
    mix(x), mix(y);
#endif
    if (wide) { /* indexed ones, and those that take no notice of the low address bits */
        __asm__ volatile(".set push\n\t.set hardfloat\n\t" FP "ldxc1 $f10, %3(%2)\n\tlwxc1 $f12, %3(%2)\n\tluxc1 $f14, %4(%2)\n\tmfc1 %0, $f12\n\t"
            "mfhc1 %1, $f14\n\tsdxc1 $f14, $0(%2)\n\tsuxc1 $f10, %4(%2)\n\tswxc1 $f12, $0(%2)\n\t.set pop"
            : "=&r"(a), "=&r"(b) : "r"(memory), "r"(8l), "r"(13l) : "memory");
        mix32(a), mix32(b), mix32(memory[0]), mix32(memory[0] >> 32), mix32(memory[1]), mix32(memory[1] >> 32);
        memory[0] = 0x0123456789abcdefull;
        memory[1] = 0xfedcba9876543210ull;
    }
    end(name);
}

/* FCSR by itself and by its parts. */
static void control(void)
{
    static const u32 patterns[] = { 0, 0xfe000000, 0x01000000, 0x00800000, 0x007c0000, 0x0003f07f, 0x00000003, 0x0000007c };
    u32 v;
    begin();
#define GET(n) ({ __asm__ volatile(".set push\n\t.set hardfloat\n\tcfc1 %0, $" #n "\n\t.set pop" : "=r"(v)); mix32(v); })
#define SET(n, x) ({ __asm__ volatile(".set push\n\t.set hardfloat\n\tctc1 %0, $" #n "\n\t.set pop" : : "r"(x)); })
    for (u32 i = 0; i < COUNT(patterns); i++) {
        SET(31, 0);
        SET(31, patterns[i] & ~0x3f000u);
        GET(31), GET(25), GET(26), GET(28);
    }
    SET(31, 0), SET(25, 0xa5), GET(31);
    SET(26, 0x1007c), GET(31);
    SET(28, 0xf87), GET(31);
    SET(31, 0);
    end("control");
    begin();
    SET(31, 0x1000 | 0x80); /* inexact, cause and enable: traps at once, and is written */
    mix32(taken.code), GET(31), SET(31, 0);
    SET(31, 0x20000); /* unimplemented operation has no enable */
    mix32(taken.code), SET(31, 0);
    end("control traps");
}

/* Each branch with its condition off and on; the slot of a likely one is left out. */
static void branches(void)
{
    begin();
#define ON(n, cc) for (u32 k = 0; k < 2; k++) { u32 r = 0; __asm__ volatile(".set push\n\t.set hardfloat\n\t.set noreorder\n\tctc1 %1, $31\n\t" \
    #n " $fcc" #cc ", 1f\n\tori %0, %0, 1\n\tori %0, %0, 2\n1:\tori %0, %0, 4\n\tctc1 $0, $31\n\t.set pop" : "+&r"(r) \
    : "r"(k ? cc ? 1u << (24 + cc) : 1u << 23 : 0)); mix32(r); }
    ON(bc1t, 0) ON(bc1f, 0) ON(bc1tl, 0) ON(bc1fl, 0) ON(bc1t, 7) ON(bc1f, 7) ON(bc1tl, 3) ON(bc1fl, 3)
#define MOVE(n, cc) for (u32 k = 0; k < 2; k++) { u32 r = 5; __asm__ volatile(".set push\n\t.set hardfloat\n\tctc1 %1, $31\n\t" \
    #n " %0, %2, $fcc" #cc "\n\tctc1 $0, $31\n\t.set pop" : "+&r"(r) : "r"(k ? cc ? 1u << (24 + cc) : 1u << 23 : 0), "r"(9)); mix32(r); }
    MOVE(movt, 0) MOVE(movf, 0) MOVE(movt, 4) MOVE(movf, 6)
    end("branches");
}

#if BITS == 64
#define PAIR2(n) DEFINE(ps_##n, #n ".ps $f8, $f2, $f4", D, D)
#define PAIR1(n) DEFINE(ps_##n, #n ".ps $f8, $f2", D, D)
#define PAIR3(n) DEFINE(ps_##n, #n ".ps $f8, $f2, $f4, $f6", D, D)
PAIR2(add) PAIR2(sub) PAIR2(mul) PAIR1(abs) PAIR1(neg) PAIR1(mov) PAIR2(pll) PAIR2(plu) PAIR2(pul) PAIR2(puu)
PAIR3(madd) PAIR3(msub) PAIR3(nmadd) PAIR3(nmsub)
DEFINE(ps_cvt_ps_s, "cvt.ps.s $f8, $f2, $f4", S, D) DEFINE(ps_cvt_s_pl, "cvt.s.pl $f8, $f2", D, S) DEFINE(ps_cvt_s_pu, "cvt.s.pu $f8, $f2", D, S)
DEFINE(ps_c_lt, "c.lt.ps $fcc2, $f2, $f4\n\tmovt.ps $f8, $f2, $fcc2", D, D) DEFINE(ps_c_ueq, "c.ueq.ps $fcc4, $f2, $f4\n\tmovf.ps $f8, $f2, $fcc4", D, D)
static const u64 pairs[] = {
    0x3f800000bf800000, 0x0000000080000000, 0x40490fdb3fc00000, 0x7f7fffff7f7fffff, 0x7f8000003f800000, 0x7fc00000ff800000,
    0x0080000000000001, 0x7fc1234540000000, 0x4b0000014b000001, 0xc2f6e97933d6bf95,
};
static const struct op pair_ops[] = {
#define P(n, k) { "ps " #n, ps_##n, S, k, D, 1, 0 },
#define Q(n, k) { "ps " #n, ps_##n, S, k, D, 1, 1 },
    P(add, 2) P(sub, 2) P(mul, 2) Q(abs, 1) Q(neg, 1) P(mov, 1) P(pll, 2) P(plu, 2) P(pul, 2) P(puu, 2) P(madd, 3) P(msub, 3) P(nmadd, 3) P(nmsub, 3)
    P(cvt_s_pl, 1) P(cvt_s_pu, 1) P(c_lt, 2) P(c_ueq, 2)
};

static void paired(void)
{
    for (u32 n = 0; n < COUNT(pair_ops); n++) {
        begin();
        for (u32 mode = 0; mode < 4; mode++)
            for (u32 i = 0; i < COUNT(pairs); i++)
                for (u32 j = 0; j < COUNT(pairs); j++) {
                    if (pair_ops[n].no_nans && (i == 5 || i == 7))
                        continue;
                    u64 result = 0x5a5a5a5a5a5a5a5aull;
                    struct operands o = { &pairs[i], &pairs[j], &pairs[(i * 3 + j) % COUNT(pairs)], &result };
                    mix32(pair_ops[n].run(mode, &o));
                    mix(result);
                }
        end(pair_ops[n].name);
    }
    static const struct op join = { "ps cvt.ps.s", ps_cvt_ps_s, S, 2, D, 1, 0 };
    begin();
    over(&join, 0);
    end(join.name);
    begin();
    for (long k = 0; k < 16; k += 4) { /* alnv takes 0 and 4 of the low three bits */
        u64 r;
        __asm__ volatile(".set push\n\t.set hardfloat\n\tldc1 $f2, 0(%1)\n\tldc1 $f4, 8(%1)\n\talnv.ps $f8, $f2, $f4, %2\n\tdmfc1 %0, $f8\n\t.set pop"
            : "=r"(r) : "r"(pairs), "r"(k));
        mix(r);
    }
    end("ps alnv");
}
#endif

int main(void)
{
    u32 status = cp0_read(12, 0) | CU1;
    cp0_write(12, 0, status);
    all("fr0 ", 4, 0, 0);
    moves("fr0 moves", 0);
    cp0_write(12, 0, status | FR);
    all("fr1 ", 4, 0, 1);
    moves("fr1 moves", 1);
    all("traps ", 1, 0xf80, 1);
    control();
    branches();
#if BITS == 64
    paired();
#endif
    put("fpu: done\n");
    return 0;
}
