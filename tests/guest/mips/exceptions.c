/* Exceptions: code, vector, whether in a delay slot, where, BadVAddr; each straight and in the slots of
 * a branch, a likely branch and a jump. */
#include "try.h"

int main(void)
{
    u32 status = cp0_read(12, 0) & ~CU1;
    cp0_write(12, 0, status);
    TRY("add $6, $5, $5", 0);
    TRY("addi $6, $5, 1", 0);
    TRY("sub $6, $0, $5\n\tsubu $6, $6, $0", 0);
    TRY("lw $6, 1($4)", ODD(0));
    TRY("lh $6, 1($4)", ODD(0));
    TRY("lhu $6, 3($4)", ODD(0));
    TRY("sw $6, 2($4)", ODD(0));
    TRY("sh $6, 1($4)", ODD(0));
    TRY("ll $6, 2($4)", ODD(0));
    TRY("syscall", 0);
    TRY("syscall 0x1234", 0);
    TRY("break", 0);
    TRY("break 7", 0);
    TRY("teq $0, $0", 0);
    TRY("tne $5, $0", 0);
    TRY("tne $5, $5", 0);
    TRY("tge $5, $0", 0);
    TRY("tgeu $5, $0", 0);
    TRY("tlt $0, $5", 0);
    TRY("tltu $0, $5", 0);
    TRY("teqi $0, 0", 0);
    TRY("tnei $5, -1", 0);
    TRY("tgei $5, -1", 0);
    TRY("tgeiu $5, -1", 0);
    TRY("tlti $0, 1", 0);
    TRY("tltiu $5, -1", 0);
    TRY(".word 0x7000003e", 0);
    TRY(".word 0x00000035", 0);
    TRY(".word 0x041d0000", 0);
    TRY("mfc1 $6, $f2", 0);
    TRY("lwc1 $f2, 0($4)", ODD(0));
    TRY("add.s $f2, $f2, $f2", 0);
    TRY("lwc2 $2, 0($4)", ODD(0));
#if BITS == 64
    TRY("daddi $6, $4, 1", 0x7fffffffffffffff);
    TRY("dadd $6, $4, $4", 0x4000000000000000);
    TRY("dsub $6, $4, $5", 0x8000000000000000);
    TRY("ld $6, 4($4)", ODD(0));
    TRY("sd $6, 1($4)", ODD(0));
    TRY("lwu $6, 2($4)", ODD(0));
    TRY("lld $6, 4($4)", ODD(0));
    /* Addresses that no segment has, and the 64-bit segments that are off. */
    TRY("lw $6, 0($4)", 0x0000010000000000ull << 20);
    TRY("lw $6, 0($4)", 0xb000000000000000ull | 1ull << 58);
    TRY("sb $6, 0($4)", 0xffffffff7ffffff0ull);
#endif
    /* The address of a jump is checked when it is fetched from. */
    AT("", "jr $4\n\tnop", ODD(2));
    put("jr code ");
    put_dec(taken.code);
    put(taken.epc == ODD(2) && taken.badvaddr == ODD(2) && !taken.bd ? " at its target\n" : " elsewhere\n");
    /* In an exception already, EPC and BD stay and the vector is the general one. */
    cp0_write_wide(14, 0, 0x1230);
    cp0_write(12, 0, status | EXL);
    AT("beq $0, $0, 2f\n\t", "syscall", 0);
    put("syscall within an exception: code ");
    put_dec(taken.code);
    put(" bd ");
    put_dec(taken.bd);
    put(" epc ");
    put_hex(taken.epc, BITS / 4);
    put("\n");
    cp0_write(12, 0, status & ~EXL);
    /* Software interrupts: one at a time, masked, both; in a slot. */
    cp0_write(13, 0, 0);
    cp0_write(12, 0, status | IE | 0x100);
    AT("", "li $3, 0x200\n\tmtc0 $3, $13\n\tehb\n\tnop\n\tli $3, 0", 0);
    report("interrupt 1, masked", "");
    cp0_write(12, 0, status);
    cp0_write(13, 0, 0x100);
    AT("", "nop\n\tnop", 0);
    report("interrupt 0, off", "");
    put("pending ");
    put_hex(cp0_read(13, 0) >> 8 & 3, 1);
    put("\n");
    cp0_write(13, 0, 0);
    for (u32 vectored = 0; vectored < 2; vectored++) {
        taken.count = 0;
        cp0_write(13, 0, vectored << 23 | 0x300);
        base = 0;
        /* The handler turns interrupts off, or they would come again. */
        extern int off(struct frame *);
        hook = off;
        cp0_write(12, 0, status | IE | 0x200);
        for (volatile int i = 0; i < 100 && !taken.count; i++)
            ;
        hook = 0;
        put(vectored ? "vectored" : "general");
        put(" interrupt code ");
        put_dec(taken.code);
        put(" pending ");
        put_hex(taken.cause >> 8 & 3, 1);
        put(" vector ");
        put_hex(taken.vector, 3);
        put(" count ");
        put_dec(taken.count);
        put("\n");
        cp0_write(12, 0, status);
        cp0_write(13, 0, 0);
    }
    /* DI and EI give what Status was. */
    u32 a, b;
    __asm__ volatile("ei\n\tehb\n\tdi %0\n\tehb\n\tdi %1\n\tehb" : "=r"(a), "=r"(b));
    put("di ");
    put_dec(a & IE);
    put_dec(b & IE);
    put("\nexceptions: done\n");
    return 0;
}

int off(struct frame *f)
{
    taken.count++;
    taken.cause = f->cause;
    taken.code = f->cause >> 2 & 31;
    taken.vector = f->r[27];
    f->status &= ~IE;
    return 1;
}
