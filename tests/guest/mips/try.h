/* One instruction that traps, straight and in the slots of branches and jumps: what is told of it. */
#include "common.h"

static ulong base;

static void report(const char *name, const char *how)
{
    put(name);
    put(how);
    if (!taken.count) {
        put(" none\n");
        return;
    }
    put(" code ");
    put_dec(taken.code);
    if (taken.code == 11) {
        put(" of ");
        put_dec(taken.cause >> 28 & 3);
    }
    put(" bd ");
    put_dec(taken.bd);
    put(" epc +");
    put_dec(taken.epc - base);
    put(" vector ");
    put_hex(taken.vector, 3);
    if (taken.code == 4 || taken.code == 5) {
        put(" badvaddr ");
        put_hex(taken.badvaddr, BITS / 4);
    }
    if (taken.count != 1)
        put(" more than once");
    put("\n");
}

/* `before` is the jump that has the instruction in its slot, or nothing. The address registers are $4
 * (given) and $5 = 0x7fffffff. */
/* Stores a register. */
#if BITS == 64
#define PUT_R "sd "
#else
#define PUT_R "sw "
#endif
#define AT(before, insn, address) do { taken.count = 0; __asm__ volatile(".set push\n\t.set noreorder\n\t.set noat\n\t.set hardfloat\n\t" \
    "move $4, %2\n\tli $5, 0x7fffffff\n\t" LEA "$3, 2f\n\t" PUT_R "$3, 0(%0)\n\t" LEA "$3, 1f\n\t" PUT_R "$3, 0(%1)\n\t" LEA "$3, 2f\n" \
    "1:\t" before insn "\n\tnop\n\tnop\n2:\tnop\n\t.set pop" : : "r"(&resume), "r"(&base), "r"((ulong)(address)) \
    : "$3", "$4", "$5", "$31", "memory", "hi", "lo"); resume = 0; } while (0)
#define TRY(insn, address) do { AT("", insn, address); report(insn, ""); AT("beq $0, $0, 2f\n\t", insn, address); report(insn, " beq"); \
    AT("bnel $5, $0, 2f\n\t", insn, address); report(insn, " bnel"); AT("beq $5, $0, 2f\n\t", insn, address); report(insn, " not taken"); \
    AT("bnel $0, $0, 2f\n\t", insn, address); report(insn, " left out"); AT("jr $3\n\t", insn, address); report(insn, " jr"); \
    AT("bgezal $0, 2f\n\t", insn, address); report(insn, " bgezal"); } while (0)

#define ODD(n) (KSEG0 + 0x80000 + (n))
