# What runs first on the Malta board when a kernel was given to be started: it sets the board up as
# the board's own monitor (YAMON) leaves it, and enters the kernel with what the monitor's boot
# protocol says. At the monitor's place are its calls, as far as they make sense without it.
#
# One source for both byte orders (--defsym BIG=1) and for processors of 32 and 64 bits: loads of
# words extend the sign, so that every address below is right in registers of either width.
#
# The emulator writes the words at `parameters`, and at 0x10 the board's revision.

        .set    noreorder
        .set    noat

        .equ    GT_RESET, 0xb4000000    # GT-64120 after a reset, in kseg1
        .equ    GT, 0xbbe00000          # and where it goes
        .equ    COM1, 0xb80003f8        # first serial port, behind PCI I/O
        .equ    SOFTRES, 0xbf000500     # reset register of the board
        .equ    GORESET, 0x42

        # Registers of the GT-64120 that are set.
        .equ    PCI0IOLD, 0x048
        .equ    PCI0IOHD, 0x050
        .equ    PCI0M0LD, 0x058
        .equ    PCI0M0HD, 0x060
        .equ    ISD, 0x068
        .equ    PCI0M1LD, 0x080
        .equ    PCI0M1HD, 0x088
        .equ    PCI0_CFGADDR, 0xcf8
        .equ    PCI0_CFGDATA, 0xcfc

        # The registers are little-endian.
        .macro  gt register, value
        .ifdef  BIG
        li      $8, ((\value & 0xff) << 24) | ((\value & 0xff00) << 8) | ((\value >> 8) & 0xff00) | ((\value >> 24) & 0xff)
        .else
        li      $8, \value
        .endif
        sw      $8, \register($9)
        .endm

        .macro  uart register, value
        li      $8, \value
        sb      $8, \register($9)
        .endm

        .text
        .globl  _start
_start: b       start
        nop

        .org    0x10
        .word   0                       # the board's revision

        # An exception before the kernel has vectors of its own ends here.
        .org    0x380
hang:   b       hang
        nop

        # The monitor's calls.
        .org    0x500
        .word   start
        .word   print_count
        .org    0x520
        .word   exit
        .org    0x52c
        .word   flush_cache
        .org    0x534
        .word   print
        .word   unsupported             # register_cpu_isr
        .word   unsupported             # deregister_cpu_isr
        .word   unsupported             # register_ic_isr
        .word   unsupported             # deregister_ic_isr
        .word   unsupported             # register_esr
        .word   unsupported             # deregister_esr
        .word   getchar
        .word   unsupported             # syscon_read

        .org    0x580
start:
        # Out of the state after a reset, with vectors still here.
        li      $8, 0x00400000          # BEV
        mtc0    $8, $12                 # Status
        ehb

        li      $9, GT_RESET
        gt      ISD, 0xdf               # 0x1be00000
        li      $9, GT
        gt      PCI0IOLD, 0xc0          # 0x18000000..0x181fffff
        gt      PCI0IOHD, 0x40
        gt      PCI0M0LD, 0x80          # 0x10000000..0x17ffffff
        gt      PCI0M0HD, 0x3f
        gt      PCI0M1LD, 0xc1          # 0x18200000..0x1bdfffff
        gt      PCI0M1HD, 0x5e

        # Interrupts A to D of the PCI bus are 10, 10, 11 and 11. Data for the south bridge is in
        # the processor's order.
        gt      PCI0_CFGADDR, 0x80005060
        li      $8, 0x0b0b0a0a
        sw      $8, PCI0_CFGDATA($9)

        # The console has 38400 baud, 8 bits, no parity.
        li      $9, COM1
        uart    3, 0x83
        uart    0, 3
        uart    1, 0
        uart    3, 0x03

        la      $9, parameters + 0x20000000     # not through the cache
        lw      $25, 0($9)
        lw      $4, 4($9)
        lw      $5, 8($9)
        lw      $6, 12($9)
        lw      $7, 16($9)
        lw      $29, 20($9)
        jalr    $25
        nop
        # The kernel came back: the monitor would be at its prompt.

# void exit(unsigned code)
exit:
        li      $9, SOFTRES
        li      $8, GORESET
        sw      $8, 0($9)
        b       hang
        nop

# void print(unsigned port, const char *text)
print:
        li      $9, COM1
1:      lbu     $8, 0($5)
        beqz    $8, 3f
        nop
2:      lbu     $10, 5($9)              # wait until there is room
        andi    $10, 0x20
        beqz    $10, 2b
        nop
        sb      $8, 0($9)
        b       1b
        addiu   $5, 1
3:      jr      $31
        move    $2, $0

# void print_count(unsigned port, const char *text, unsigned count)
print_count:
        li      $9, COM1
1:      beqz    $6, 3f
        nop
        lbu     $8, 0($5)
2:      lbu     $10, 5($9)
        andi    $10, 0x20
        beqz    $10, 2b
        nop
        sb      $8, 0($9)
        addiu   $5, 1
        b       1b
        addiu   $6, -1
3:      jr      $31
        move    $2, $0

# bool getchar(unsigned port, char *c): false if there is none
getchar:
        li      $9, COM1
        lbu     $2, 5($9)
        andi    $2, 1
        beqz    $2, 1f
        nop
        lbu     $8, 0($9)
        sb      $8, 0($5)
1:      jr      $31
        nop

# Caches hold what memory does.
flush_cache:
        jr      $31
        move    $2, $0

# What needs the monitor's interrupt handlers or variables: an error.
unsupported:
        jr      $31
        li      $2, 1

        # Entry, $4 to $7, $29.
        .org    0xf00
parameters:
        .word   0, 0, 0, 0, 0, 0
