# Exceptions, the TLB, modes and interrupts: a program that writes down what it meets. Its words,
# and the log of a reference (QEMU 7.2's malta with -kernel), are in ../recorded/privileged-32.txt
# and privileged-64.txt, which glue/tests/privileged.rs runs. To build it:
#   mipsel-linux-gnu-gcc -mabi=32 -march=24kf -mno-abicalls -fno-pic -c privileged.S
#   mipsel-linux-gnu-ld -N -m elf32ltsmip -Ttext=0x80000000 privileged.o
# and for 64 bits with -mabi=64 -msym32 -march=mips64r2 -DWIDE, -m elf64ltsmip and
# -Ttext=0xffffffff80000000. The log is at physical 0x20000; its last word is e0d.

#ifdef WIDE
#define MFC dmfc0
#define MTC dmtc0
#define STORE sd
#define STEP 8
#else
#define MFC mfc0
#define MTC mtc0
#define STORE sw
#define STEP 4
#endif
#define LOG(r) STORE r, 0($23); addiu $23, $23, STEP
#define LOGC(r, s) MFC $26, $r, s; LOG($26)
#define MARK(n) li $26, n; LOG($26)
# Vector, Cause (BD, IP1, IP0, code), EPC, Status.
#define NOTE LOG($27); mfc0 $26, $13; li $24, 0x8000037c; and $26, $26, $24; LOG($26); LOGC(14, 0); LOGC(12, 0)

    .set noreorder
    .set noat
    .text
    .globl __start
base:
    b refill
    li $27, 0x1000
    .org 0x80
    b refill
    li $27, 0x1080
    .org 0x180
    b general
    li $27, 0x1180
    .org 0x200
    b general
    li $27, 0x1200

    .org 0x400
__start:
    b main
    lui $23, 0x8002

# Even page: clean, at physical 0x100000 and the low bits of the page number; odd page: invalid.
refill:
    NOTE
    LOGC(8, 0)
    LOGC(4, 0)
    LOGC(10, 0)
#ifdef WIDE
    LOGC(20, 0)
#endif
    mfc0 $26, $8
    li $24, 0x3e000
    and $26, $26, $24
    srl $26, $26, 6
    li $24, 0x400a | 0x10
    addu $26, $26, $24
    mtc0 $26, $2
    addiu $26, $26, 0x40 - 2
    mtc0 $26, $3
    ehb
    tlbwr
    eret

general:
    NOTE
    mfc0 $26, $13
    srl $26, $26, 2
    andi $26, $26, 31
    beqz $26, interrupt
    addiu $24, $26, -4
    bltz $24, tlb
    addiu $24, $26, -6
    bltz $24, address
    addiu $24, $26, -8
    beqz $24, system
    nop
skip:
# CE, where it is of a coprocessor that is not usable.
    mfc0 $26, $13
    srl $24, $26, 2
    andi $24, $24, 31
    addiu $24, $24, -11
    bnez $24, 1f
    srl $24, $26, 28
    andi $24, $24, 3
    LOG($24)
1:
    MFC $24, $14
    addiu $24, $24, 4
    bgez $26, 1f
    nop
    addiu $24, $24, 4
1:  MTC $24, $14
    ehb
    eret
interrupt:
# How soon it comes is the implementation's.
    STORE $0, -2 * STEP($23)
    mfc0 $26, $13
    li $24, 0x300
    or $26, $26, $24
    xor $26, $26, $24
    mtc0 $26, $13
    ehb
    eret
tlb:
# Makes both pages valid (invalid) or dirty (modified).
    LOGC(8, 0)
    LOGC(10, 0)
    mfc0 $24, $13
    tlbp
    ehb
    tlbr
    ehb
    srl $24, $24, 2
    andi $24, $24, 31
    addiu $24, $24, -1
    beqz $24, 2f
    li $25, 4
    li $25, 2
2:  MFC $26, $2
    LOG($26)
    or $26, $26, $25
    MTC $26, $2
    MFC $26, $3
    LOG($26)
    or $26, $26, $25
    MTC $26, $3
    ehb
    tlbwi
    eret
address:
    LOGC(8, 0)
    MFC $26, $8
    MFC $24, $14
    bne $24, $26, skip
    nop
    MTC $31, $14
    ehb
    eret
system:
# From user mode with 0x77 in $4: back to the kernel at $30.
    li $24, 0x77
    bne $4, $24, skip
    nop
    mfc0 $26, $12
    ori $26, $26, 0x18
    xori $26, $26, 0x18
    mtc0 $26, $12
    MTC $30, $14
    ehb
    eret

main:
#ifdef WIDE
    li $8, 0x000000e0
#else
    li $8, 0
#endif
    mtc0 $8, $12
    mtc0 $0, $13
    mtc0 $0, $6
    mtc0 $0, $5
    mtc0 $0, $4
    ehb
# Empty the TLB.
    li $9, 15
1:  sll $10, $9, 13
    lui $11, 0x8000
    addu $10, $10, $11
    mtc0 $10, $10
    mtc0 $0, $2
    mtc0 $0, $3
    mtc0 $9, $0
    ehb
    tlbwi
    bgtz $9, 1b
    addiu $9, $9, -1
    mtc0 $0, $10
    ehb

    MARK(1)
# What an instruction raises by itself.
    syscall
    break
    li $8, 5
    teq $8, $8
    lui $8, 0x7fff
    addiu $9, $0, 7
    add $10, $8, $8
    LOG($9)
    .word 0x7c00003f
    cfc1 $8, $31
    .word 0x4400003f
    li $8, 0x80030000
    lw $9, 2($8)
    sw $9, 1($8)
    lh $9, 1($8)
    sh $9, 3($8)
    lui $8, 0x8000
    addiu $8, $8, 0x402
    jalr $8
    nop
    LOG($31)
    MARK(2)
# In delay slots.
    li $8, 0x80030000
    b 1f
    syscall
    MARK(0xbad)
1:  b 1f
    lw $9, 1($8)
    MARK(0xbad)
1:  beqzl $8, 1f
    syscall
    bnezl $8, 1f
    break
    MARK(0xbad)
1:  bal 1f
    teq $0, $0
1:  LOG($31)
    li $12, 0
    bnez $12, 1f
    syscall
1:
    MARK(3)
# The TLB: refill, invalid, modified.
    li $8, 0x00404000
    lw $9, 0($8)
    li $9, 0x1234
    sw $9, 4($8)
    lw $10, 4($8)
    LOG($10)
    li $10, 0x80110004 - 0x110000 + 0x100000 + 0x4000
    lw $10, 0($10)
    LOG($10)
    sw $9, 0x1008($8)
    lw $10, 0x1008($8)
    LOG($10)
    lui $8, 0xc000
    lb $9, 0x345($8)
    sb $9, 0x345($8)
    MARK(4)
# Probes, with and without the address space.
    li $8, 0x00404000
    mtc0 $8, $10
    ehb
    tlbp
    ehb
    mfc0 $9, $0
    srl $9, $9, 31
    LOG($9)
    ori $8, $8, 5
    mtc0 $8, $10
    ehb
    tlbp
    ehb
    mfc0 $9, $0
    srl $9, $9, 31
    LOG($9)
    lui $8, 0x40
    ori $8, $8, 0x4000
    lw $9, 4($8)
    mtc0 $0, $10
    ehb
    lw $9, 4($8)
    LOG($9)
    MARK(5)
# A global entry of large pages: 16 KiB, seen by all.
    li $8, 0x6000
    mtc0 $8, $5
    li $8, 0x00800009
    mtc0 $8, $10
    li $8, (0x110000 >> 6) | 0x1f
    mtc0 $8, $2
    li $8, (0x114000 >> 6) | 0x1f
    mtc0 $8, $3
    li $8, 3
    mtc0 $8, $0
    ehb
    tlbwi
    mtc0 $0, $10
    mtc0 $0, $5
    ehb
    li $8, 0x00800000
    li $9, 0x5a5a
    sw $9, 0x3ffc($8)
    sw $8, 0x7ffc($8)
    lui $10, 0x8011
    lw $9, 0x3ffc($10)
    LOG($9)
    lw $9, 0x7ffc($10)
    LOG($9)
    li $8, 3
    mtc0 $8, $0
    ehb
    tlbr
    ehb
    LOGC(10, 0)
    LOGC(5, 0)
    LOGC(2, 0)
    LOGC(3, 0)
    mtc0 $0, $10
    mtc0 $0, $5
    ehb
    MARK(6)
# User mode, in a page of its own: 0x00a00000 is where the code below lies.
    la $8, user
    lui $9, 0x8000
    subu $9, $8, $9
    li $10, -0x2000
    and $10, $9, $10
    srl $10, $10, 6
    ori $10, $10, 0x1b
    mtc0 $10, $2
    addiu $10, $10, 0x40
    mtc0 $10, $3
    lui $11, 0x00a0
    mtc0 $11, $10
    li $12, 4
    mtc0 $12, $0
    ehb
    tlbwi
    mtc0 $0, $10
    andi $9, $9, 0x1fff
    addu $11, $11, $9
    MTC $11, $14
    la $30, 1f
    mfc0 $9, $12
    ori $9, $9, 0x12
    mtc0 $9, $12
    ehb
    eret
1:  MARK(7)
    li $4, 0
# The user's log is in kseg0, where it cannot write: it hands over registers.
    LOG($16)
    LOG($17)
    LOG($18)
    LOG($19)
# Software interrupts, by the general vector and by that of Cause.IV.
    mfc0 $8, $12
    li $9, 0x301
    or $8, $8, $9
    mtc0 $8, $12
    ehb
    li $9, 0x100
    mtc0 $9, $13
    ehb
    lui $9, 0x80
    mtc0 $9, $13
    ehb
    ori $9, $9, 0x200
    mtc0 $9, $13
    ehb
    di $9
    ehb
    LOG($9)
    mfc0 $9, $13
    ori $9, $9, 0x100
    mtc0 $9, $13
    ehb
    mfc0 $9, $13
    andi $9, $9, 0x300
    LOG($9)
    ei
    ehb
    di
    ehb
    MARK(8)
# Load-linked and store-conditional, broken by an exception.
    lui $8, 0x8003
    sw $0, 0($8)
    ll $9, 0($8)
    addiu $9, $9, 1
    sc $9, 0($8)
    LOG($9)
    ll $9, 0($8)
    syscall
    addiu $9, $9, 1
    sc $9, 0($8)
    LOG($9)
    lw $9, 0($8)
    LOG($9)
    MARK(9)
# Floating point, with an exception that is enabled.
    mfc0 $8, $12
    lui $9, 0x2000
    or $8, $8, $9
    mtc0 $8, $12
    ehb
    li $9, 0x400
    ctc1 $9, $31
    mtc1 $0, $f2
    li $9, 0x3f800000
    mtc1 $9, $f0
    div.s $f4, $f0, $f2
    cfc1 $9, $31
    LOG($9)
    ctc1 $0, $31
    MARK(10)
# Another base of the vectors.
    lui $8, 0x8004
    lui $9, 0x8000
    lw $10, 0x180($9)
    sw $10, 0x180($8)
    lw $10, 0x184($9)
    sw $10, 0x184($8)
# A jump to the handler, since the branch is relative.
    la $10, general
    sll $10, $10, 4
    srl $10, $10, 6
    lui $11, 0x0800
    or $10, $10, $11
    sw $10, 0x180($8)
    synci 0x180($8)
    sync
    mtc0 $8, $15, 1
    ehb
    li $27, 0
    syscall
    LOGC(15, 1)
#ifdef WIDE
    MARK(11)
# 64-bit segments and the XTLB refill's registers.
    lui $8, 0x9000
    dsll32 $8, $8, 0
    lui $9, 0x10
    or $8, $8, $9
    lw $10, 0x4004($8)
    LOG($10)
    mtc0 $0, $15, 1
    lui $9, 0x8000
    mtc0 $9, $15, 1
    ehb
    lui $8, 0x0012
    dsll $8, $8, 16
    ori $8, $8, 0x6000
    ld $9, 0x10($8)
    lui $8, 0xc000
    dsll32 $8, $8, 0
    ori $8, $8, 0x8000
    ld $9, 0x18($8)
    lui $8, 0x0800
    dsll32 $8, $8, 0
    ld $9, 0($8)
    lui $8, 0xa800
    dsll32 $8, $8, 0
    ld $9, 0($8)
#endif
    MARK(0xe0d)
1:  b 1b
    nop

user:
    addiu $16, $0, 1
# The kernel's memory and registers.
    lui $8, 0x8003
    lw $17, 0($8)
    mfc0 $18, $12
    rdhwr $18, $0
# Its own.
    li $8, 0x00404000
    lw $17, 4($8)
    addiu $18, $0, 3
    li $4, 1
    syscall
    cache 0, 0($8)
    addiu $19, $0, 4
    li $4, 0x77
    b 1f
    nop
1:  syscall
    b 1b
    nop
