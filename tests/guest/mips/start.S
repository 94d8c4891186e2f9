# Entry and exception vectors of the bare-metal programs. Every exception saves all registers in a
# struct frame, calls exception() with it, and goes on as the frame then says.

#ifdef __mips64
#define REG     8
#define LDR     ld
#define STR     sd
#define MFC     dmfc0
#define MTC     dmtc0
#define LEA     dla
#define ADD     daddiu
#else
#define REG     4
#define LDR     lw
#define STR     sw
#define MFC     mfc0
#define MTC     mtc0
#define LEA     la
#define ADD     addiu
#endif
#define FRAME   (40 * REG)

        .set    noreorder
        .set    noat
        .section .vectors, "ax"

        .macro  vector number
        li      $27, \number
        LEA     $26, save
        jr      $26
        nop
        .endm

        .globl  vectors
vectors:
        .org    0x000                   # TLB refill
        vector  0x000
        .org    0x080                   # extended TLB refill
        vector  0x080
        .org    0x100                   # cache error
        vector  0x100
        .org    0x180                   # everything else
        vector  0x180
        .org    0x200                   # interrupts, when Cause.IV is set
        vector  0x200

        .org    0x280
        .globl  _start
_start:
        mfc0    $8, $12
        li      $9, 0x10000000          # CU0, vectors where EBase says, no error level
        ins     $8, $0, 22, 1
        ins     $8, $0, 0, 5
        ins     $8, $0, 8, 8
        or      $8, $8, $9
        mtc0    $8, $12
        ehb
        LEA     $8, vectors
        mtc0    $8, $15, 1
        ehb
        mtc0    $0, $13
        LEA     $29, stack_top - 64
        LEA     $8, main
        jalr    $8
        nop
        .globl  finish
finish:
        lui     $8, 0xbf00              # SOFTRES
        li      $9, 0x42
        sw      $9, 0x500($8)
1:      b       1b
        nop

# $27 has the vector's number. An exception in kernel mode keeps the stack; one from user mode, whose
# stack is nobody's, gets the one that `user` left.
save:
        MFC     $26, $12
        andi    $26, $26, 0x10
        beqz    $26, 1f
        nop
        LEA     $26, kernel_stack
        b       2f
        LDR     $26, 0($26)
1:      ADD     $26, $29, 0
2:      ADD     $26, $26, -FRAME
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
        STR     $\n, (\n * REG)($26)
        .endr
        STR     $27, (27 * REG)($26)
        mflo    $8
        STR     $8, (32 * REG)($26)
        mfhi    $8
        STR     $8, (33 * REG)($26)
        MFC     $8, $14
        STR     $8, (34 * REG)($26)
        mfc0    $8, $13
        STR     $8, (35 * REG)($26)
        mfc0    $8, $12
        STR     $8, (36 * REG)($26)
        MFC     $8, $8
        STR     $8, (37 * REG)($26)
        ADD     $29, $26, 0
        LEA     $25, exception
        jalr    $25
        ADD     $4, $29, 0
        ADD     $26, $29, 0
        LDR     $8, (32 * REG)($26)
        mtlo    $8
        LDR     $8, (33 * REG)($26)
        mthi    $8
        LDR     $8, (34 * REG)($26)
        MTC     $8, $14
        LDR     $8, (36 * REG)($26)
        mtc0    $8, $12
        ehb
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,29,30,31
        LDR     $\n, (\n * REG)($26)
        .endr
        eret

# void user(ulong pc): enters user mode there. It is left by leave_user(), which exception() makes the
# frame return to.
        .text
        .globl  user, leave_user
user:
        ADD     $29, $29, -(16 * REG)
        .irp    n, 16,17,18,19,20,21,22,23,28,30,31
        STR     $\n, ((\n - 16) * REG)($29)
        .endr
        LEA     $8, kernel_stack
        STR     $29, 0($8)
        mfc0    $8, $12
        ori     $8, $8, 0x12            # user mode, in an exception until the return
        mtc0    $8, $12
        MTC     $4, $14
        ehb
        eret
leave_user:
        LEA     $8, kernel_stack
        LDR     $29, 0($8)
        .irp    n, 16,17,18,19,20,21,22,23,28,30,31
        LDR     $\n, ((\n - 16) * REG)($29)
        .endr
        jr      $31
        ADD     $29, $29, 16 * REG

        .bss
        .align  3
kernel_stack: .space 8
