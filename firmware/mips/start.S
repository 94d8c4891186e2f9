# Entry after reset, exception vectors, and calls that may fault. One source for both byte orders and
# for processors of 32 and 64 bits.
        .set    noreorder
        .set    noat
        .section .start, "ax"
        .globl  _start
_start: b       start
        nop
        .org    0x10
        .word   0                       # the board's revision

        .org    0x380                   # exceptions before there are vectors
hang:   b       hang
        nop

        .macro  gt register, value
        li      $8, (((\value & 0xff) << 24) | (\value & 0xff00) << 8)
#ifndef __MIPSEB__
        li      $8, \value
#endif
        sw      $8, \register($9)
        .endm

start:  li      $8, 0x10400000          # CU0, BEV
        mtc0    $8, $12
        ehb
        mtc0    $0, $13
        mfc0    $8, $16                 # KSEG0 is cached
        ori     $8, $8, 7
        xori    $8, $8, 4
        mtc0    $8, $16
        ehb
        li      $9, 0xb4000000          # GT-64120 after a reset: to 0x1be00000
        gt      0x068, 0xdf
        li      $9, 0xbbe00000
        gt      0x048, 0xc0             # PCI I/O: 0x18000000..0x181fffff
        gt      0x050, 0x40
        gt      0x058, 0x80             # PCI memory: 0x10000000..0x17ffffff
        gt      0x060, 0x3f
        gt      0x080, 0xc1             # 0x18200000..0x1bdfffff
        gt      0x088, 0x5e
        la      $8, bss_start
        la      $29, stack_top - 32
1:      sw      $0, 0($8)
        bne     $8, $29, 1b
        addiu   $8, $8, 4
        # Each vector jumps to `trap` with its offset in $27.
        li      $9, 0x80000000
        la      $10, vector
        .irp    at, 0x000, 0x080, 0x180, 0x200
        .irp    word, 0, 4, 8, 12
        lw      $8, \word($10)
        sw      $8, (\at + \word)($9)
        .endr
        li      $8, 0x241b0000 + \at    # li $27, the offset
        sw      $8, (\at + 12)($9)
        cache   0x15, \at($9)
        cache   0x10, \at($9)
        .endr
        sync
        li      $8, 0x10000000
        mtc0    $8, $12
        ehb
        la      $8, main
        jalr    $8
        nop
        b       hang
        nop

vector: lui     $26, %hi(trap)
        addiu   $26, $26, %lo(trap)
        jr      $26
        nop

        .text
trap:   addiu   $29, $29, -160
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,27,28,30,31
        sw      $\n, (\n * 4)($29)
        .endr
        addiu   $8, $29, 160
        sw      $8, (29 * 4)($29)
        mflo    $8
        sw      $8, 128($29)
        mfhi    $8
        sw      $8, 132($29)
        mfc0    $8, $14
        sw      $8, 136($29)
        mfc0    $8, $13
        sw      $8, 140($29)
        mfc0    $8, $8
        sw      $8, 144($29)
        move    $4, $29
        addiu   $29, $29, -16
        la      $25, exception
        jalr    $25
        nop
        addiu   $29, $29, 16
        lw      $8, 128($29)
        mtlo    $8
        lw      $8, 132($29)
        mthi    $8
        lw      $8, 136($29)
        mtc0    $8, $14
        ehb
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,28,30,31
        lw      $\n, (\n * 4)($29)
        .endr
        addiu   $29, $29, 160
        eret

# int guarded(void (*f)(void *), void *arg): -1 if it took an exception
        .globl  guarded, guard_fail
guarded:
        addiu   $29, $29, -64
        .irp    n, 16,17,18,19,20,21,22,23,30,31
        sw      $\n, ((\n - 16) * 4)($29)
        .endr
        la      $8, guard
        lw      $9, 0($8)
        sw      $9, 52($29)
        sw      $29, 0($8)
        addiu   $29, $29, -16
        move    $25, $4
        jalr    $25
        move    $4, $5
        b       1f
        move    $2, $0
guard_fail:
        li      $2, -1
1:      la      $8, guard
        lw      $29, 0($8)
        lw      $9, 52($29)
        sw      $9, 0($8)
        .irp    n, 16,17,18,19,20,21,22,23,30,31
        lw      $\n, ((\n - 16) * 4)($29)
        .endr
        jr      $31
        addiu   $29, $29, 64
