/* Integer arithmetic: each instruction over pairs of patterns, those of 32 bits with operands that
 * are sign-extended, as they must be. */
#include "common.h"

static const s32 narrow[] = {
    0, 1, -1, 2, -2, 0x7fffffff, (s32)0x80000000, (s32)0x80000001, 0x7ffffffe, 0x12345678, (s32)0x87654321,
    (s32)0xaaaaaaaa, 0x55555555, 0x0000ffff, (s32)0xffff0000, 0x00ff00ff, 31, 32, 63, 0x7f, 0x80, 0x7fff, 0x8000, (s32)0xdeadbeef,
};
#if BITS == 64
static const u64 wide[] = {
    0, 1, ~0ull, 2, ~1ull, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xffffffff80000000, 0x7fffffffffffffff,
    0x8000000000000000, 0x8000000000000001, 0x0123456789abcdef, 0xfedcba9876543210, 0xaaaaaaaaaaaaaaaa, 0x5555555555555555,
    0x00ff00ff00ff00ff, 31, 32, 63, 64, 0xffff, 0xffffffffffff0000, 0xdeadbeefcafebabe,
};
#else
#define wide narrow
#endif
#define PAIRS(list) for (u32 i = 0; i < COUNT(list); i++) for (u32 j = 0; j < COUNT(list); j++)
#define EACH(list) for (u32 i = 0; i < COUNT(list); i++)

/* What an instruction that traps leaves of its destination is mixed too. */
#define OP2(n, list) static void op_##n(void) { PAIRS(list) { ulong r = 0x5a5a; \
    __asm__ volatile(#n " %0, %1, %2" : "+r"(r) : "r"((ulong)list[i]), "r"((ulong)list[j])); mix(r); } }
#define OP1(n, list) static void op_##n(void) { EACH(list) { ulong r = 0x5a5a; \
    __asm__ volatile(#n " %0, %1" : "+r"(r) : "r"((ulong)list[i])); mix(r); } }
#define IMM_(n, list, k) { ulong r = 0x5a5a; __asm__ volatile(#n " %0, %1, " #k : "+r"(r) : "r"((ulong)list[i])); mix(r); }
#define SIGNED(n, list) static void op_##n(void) { EACH(list) { IMM_(n, list, 0) IMM_(n, list, 1) IMM_(n, list, -1) \
    IMM_(n, list, 32767) IMM_(n, list, -32768) IMM_(n, list, 0x1234) } }
#define UNSIGNED(n, list) static void op_##n(void) { EACH(list) { IMM_(n, list, 0) IMM_(n, list, 1) IMM_(n, list, 0x8000) \
    IMM_(n, list, 0xffff) IMM_(n, list, 0x1234) } }
#define SHIFT(n, list) static void op_##n(void) { EACH(list) { IMM_(n, list, 0) IMM_(n, list, 1) IMM_(n, list, 7) \
    IMM_(n, list, 16) IMM_(n, list, 30) IMM_(n, list, 31) } }
#define FIELD_(n, list, p, s) { ulong r = 0x2bcdef01; __asm__ volatile(#n " %0, %1, " #p ", " #s : "+r"(r) : "r"((ulong)list[i])); mix(r); }
#define FIELD(n, list, p1, s1, p2, s2, p3, s3, p4, s4) static void op_##n(void) { EACH(list) { FIELD_(n, list, p1, s1) FIELD_(n, list, p2, s2) \
    FIELD_(n, list, p3, s3) FIELD_(n, list, p4, s4) } }
#define HILO(n, list) static void op_##n(void) { PAIRS(list) { ulong hi, lo; \
    __asm__ volatile("mthi %3\n\tmtlo %4\n\t" #n " %2, %5\n\tmfhi %0\n\tmflo %1" : "=&r"(hi), "=&r"(lo) \
    : "r"((ulong)list[i]), "r"(0x11ul), "r"(-2l), "r"((ulong)list[j]) : "hi", "lo"); mix(hi); mix(lo); } }
/* Division by zero has no result. The two operands keep the assembler from adding a check. */
#define DIVIDE(n, list) static void op_##n(void) { PAIRS(list) { ulong hi, lo; if (list[j] == 0) continue; \
    __asm__ volatile(#n " $0, %2, %3\n\tmfhi %0\n\tmflo %1" : "=&r"(hi), "=&r"(lo) \
    : "r"((ulong)list[i]), "r"((ulong)list[j]) : "hi", "lo"); mix(hi); mix(lo); } }
#define MOVE(n) static void op_##n(void) { PAIRS(wide) { ulong r = 0x5a5a; \
    __asm__ volatile(#n " %0, %1, %2" : "+r"(r) : "r"((ulong)wide[i]), "r"((ulong)wide[j])); mix(r); } }

OP2(add, narrow) OP2(addu, narrow) OP2(sub, narrow) OP2(subu, narrow) OP2(mul, narrow)
OP2(and, wide) OP2(or, wide) OP2(xor, wide) OP2(nor, wide) OP2(slt, wide) OP2(sltu, wide)
OP2(sllv, narrow) OP2(srlv, narrow) OP2(srav, narrow) OP2(rotrv, narrow)
OP1(clz, narrow) OP1(clo, narrow) OP1(seb, narrow) OP1(seh, narrow) OP1(wsbh, narrow)
SIGNED(addi, narrow) SIGNED(addiu, narrow) SIGNED(slti, wide) SIGNED(sltiu, wide)
UNSIGNED(andi, wide) UNSIGNED(ori, wide) UNSIGNED(xori, wide)
SHIFT(sll, narrow) SHIFT(srl, narrow) SHIFT(sra, narrow) SHIFT(rotr, narrow)
FIELD(ext, narrow, 0, 1, 0, 32, 31, 1, 5, 11) FIELD(ins, narrow, 0, 1, 0, 32, 31, 1, 5, 11)
HILO(mult, narrow) HILO(multu, narrow) HILO(madd, narrow) HILO(maddu, narrow) HILO(msub, narrow) HILO(msubu, narrow)
DIVIDE(div, narrow) DIVIDE(divu, narrow)
MOVE(movz) MOVE(movn)
#if BITS == 64
OP2(dadd, wide) OP2(daddu, wide) OP2(dsub, wide) OP2(dsubu, wide)
OP2(dsllv, wide) OP2(dsrlv, wide) OP2(dsrav, wide) OP2(drotrv, wide)
OP1(dclz, wide) OP1(dclo, wide) OP1(dsbh, wide) OP1(dshd, wide)
/* The assembler makes several instructions of daddi with a large constant, but these fit. */
SIGNED(daddi, wide) SIGNED(daddiu, wide)
SHIFT(dsll, wide) SHIFT(dsrl, wide) SHIFT(dsra, wide) SHIFT(drotr, wide)
SHIFT(dsll32, wide) SHIFT(dsrl32, wide) SHIFT(dsra32, wide) SHIFT(drotr32, wide)
FIELD(dext, wide, 0, 1, 0, 32, 31, 1, 5, 11) FIELD(dextm, wide, 0, 64, 3, 33, 31, 33, 20, 44) FIELD(dextu, wide, 32, 1, 63, 1, 32, 32, 40, 20)
FIELD(dins, wide, 0, 1, 0, 32, 31, 1, 5, 11) FIELD(dinsm, wide, 0, 64, 3, 33, 31, 33, 20, 44) FIELD(dinsu, wide, 32, 1, 63, 1, 32, 32, 40, 20)
HILO(dmult, wide) HILO(dmultu, wide) DIVIDE(ddiv, wide) DIVIDE(ddivu, wide)
/* A shift of no bits extends the sign of the low word. */
static void op_extend(void) { EACH(wide) IMM_(sll, wide, 0) }
#endif

static void op_lui(void)
{
    ulong r;
    __asm__ volatile("lui %0, 0x8000" : "=r"(r));
    mix(r);
    __asm__ volatile("lui %0, 0x7fff" : "=r"(r));
    mix(r);
}

/* A result in register 0 goes nowhere; what traps still does. */
static void op_zero(void)
{
    ulong r;
    __asm__ volatile("addiu $0, $0, 5\n\tor %0, $0, $0" : "=r"(r));
    mix(r);
    __asm__ volatile(".set noat\n\tlui $1, 0x7fff\n\tori $1, $1, 0xffff\n\tadd $0, $1, $1\n\tor %0, $0, $0\n\t.set at" : "=r"(r));
    mix(r);
}

#define T(n) { #n, op_##n },
static const struct { const char *name; void (*run)(void); } ops[] = {
    T(add) T(addu) T(sub) T(subu) T(mul) T(and) T(or) T(xor) T(nor) T(slt) T(sltu) T(sllv) T(srlv) T(srav) T(rotrv)
    T(clz) T(clo) T(seb) T(seh) T(wsbh) T(addi) T(addiu) T(slti) T(sltiu) T(andi) T(ori) T(xori) T(sll) T(srl) T(sra) T(rotr)
    T(ext) T(ins) T(mult) T(multu) T(madd) T(maddu) T(msub) T(msubu) T(div) T(divu) T(movz) T(movn) T(lui) T(zero)
#if BITS == 64
    T(dadd) T(daddu) T(dsub) T(dsubu) T(dsllv) T(dsrlv) T(dsrav) T(drotrv) T(dclz) T(dclo) T(dsbh) T(dshd) T(daddi) T(daddiu)
    T(dsll) T(dsrl) T(dsra) T(drotr) T(dsll32) T(dsrl32) T(dsra32) T(drotr32) T(dext) T(dextm) T(dextu) T(dins) T(dinsm) T(dinsu)
    T(dmult) T(dmultu) T(ddiv) T(ddivu) T(extend)
#endif
};

int main(void)
{
    EACH(ops) {
        begin();
        ops[i].run();
        end(ops[i].name);
    }
    put("integer: done\n");
    return 0;
}
