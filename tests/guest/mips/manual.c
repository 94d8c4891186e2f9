/* What QEMU 7.2 does otherwise than the architecture manuals say: its record is by the manuals. */
#include "try.h"

int main(void)
{
    u32 status = cp0_read(12, 0) & ~CU1;
    cp0_write(12, 0, status);
    /* SC (MD00087): an address that is not aligned is an error whether LLbit is set or not. */
    TRY("sc $6, 2($4)", ODD(0));
#if BITS == 64
    TRY("scd $6, 4($4)", ODD(0));
#endif
    /* Coprocessor 2 is unusable before anything of it is reserved (MD00090, table of priorities). */
    TRY("mfc2 $6, $2", 0);
    /* The slot of a branch that can never be taken is a slot. */
    AT("bne $0, $0, 2f\n\t", "syscall", 0);
    report("syscall", " never taken");
    /* A quiet NaN is handed on: with the older encoding those have the top bit of the fraction clear
     * (MD00083, 6.3.2). */
    cp0_write(12, 0, status | CU1);
    u32 a = 0x7f812345, b = 0x40000000, r;
#define SUM(insn, x, y) __asm__ volatile(".set push\n\t.set hardfloat\n\tmtc1 %1, $f2\n\tmtc1 %2, $f4\n\t" insn " $f6, $f2, $f4\n\tmfc1 %0, $f6\n\t.set pop" \
    : "=r"(r) : "r"(x), "r"(y)); put_hex(r, 8); put("\n")
    SUM("add.s", a, b);
    SUM("mul.s", b, a);
    SUM("sub.s", a, 0xffb00001);
    SUM("div.s", 0x7fc00000, a);
    /* ABS and NEG are arithmetic (MD00087: FCSR.ABS2008 is 0): a signalling NaN is an invalid operation. */
#define ARITHMETIC(insn, x) __asm__ volatile(".set push\n\t.set hardfloat\n\tctc1 $0, $31\n\tmtc1 %2, $f2\n\t" insn " $f6, $f2\n\tmfc1 %0, $f6\n\tcfc1 %1, $31\n\t.set pop" \
    : "=r"(r), "=r"(a) : "r"(x)); put_hex(r, 8); put(" "); put_hex(a, 8); put("\n")
    ARITHMETIC("abs.s", 0xffd00001);
    ARITHMETIC("neg.s", 0x7fc00000);
    ARITHMETIC("neg.s", 0x7fbfffff);
    put("manual: done\n");
    return 0;
}
