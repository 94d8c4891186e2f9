/*
 * Option ROM that boots the kernel of -kernel: it takes set-up code, command line, kernel and
 * initial RAM disk from the firmware configuration device (QEMU, docs/specs/fw_cfg) by DMA, each
 * to the address that is given there, and enters the set-up code as the Linux/x86 boot protocol
 * has it (Documentation/arch/x86/boot.rst, "Running the Kernel"). The board has filled in the
 * set-up header. BIOSes find the ROM's entry by its PnP header (BIOS Boot Specification, 1.01,
 * 3.3). The last byte makes the sum of all bytes 0; the board sets it.
 */
        .code16
        .set FW_CFG, 0x510
        .set FW_CFG_DMA, 0x514
        .set READ, 0x0a                 /* select, and read */
        .set SETUP_SEGMENT, 0x1000
        .set STACK, 0xe000
        .set LEN, 1024

        .text
        .globl start
start:  .byte   0x55, 0xaa, LEN / 512
        lret
        .org    0x18
        .word   0
        .word   pnp

        .balign 16
pnp:    .ascii  "$PnP"
        .byte   1, 2
        .word   0
        .byte   0, 0
        .long   0
        .word   0, name
        .byte   2, 0, 0                 /* mass storage */
        .byte   0x14                    /* it boots, and is not needed to read disks */
        .word   0, 0, boot, 0, 0

name:   .asciz  "Linux of -kernel"

/* Items: numbers of address, length and contents. */
items:  .word   0x16, 0x17, 0x18        /* set-up code */
        .word   0x13, 0x14, 0x15        /* command line */
        .word   0x07, 0x08, 0x11        /* kernel */
        .word   0x0a, 0x0b, 0x12        /* initial RAM disk */
items_end:

boot:   cli
        cld
        movw    $SETUP_SEGMENT, %ax
        movw    %ax, %ss
        movw    $STACK, %sp
        xorw    %ax, %ax
        movw    %ax, %es
        movw    $items, %si
1:      call    load
        addw    $6, %si
        cmpw    $items_end, %si
        jb      1b
        movw    $SETUP_SEGMENT, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        ljmp    $SETUP_SEGMENT + 0x20, $0

/* Loads the item at CS:SI. The DMA access, of 16 bytes, is on the stack. */
load:   movw    %cs:(%si), %ax
        call    number
        pushl   %eax                    /* address, low half; all are big-endian */
        pushl   $0                      /* high half */
        movw    %cs:2(%si), %ax
        call    number
        pushl   %eax                    /* length */
        movw    %cs:4(%si), %ax
        xchgb   %al, %ah
        movzwl  %ax, %eax
        orl     $READ << 24, %eax
        pushl   %eax                    /* control: number of the item, READ */
        xorl    %eax, %eax
        movw    $FW_CFG_DMA, %dx
        outl    %eax, %dx
        movzwl  %sp, %eax
        addl    $SETUP_SEGMENT << 4, %eax
        bswap   %eax
        movw    $FW_CFG_DMA + 4, %dx
        outl    %eax, %dx
        movw    %sp, %bp
2:      cmpl    $0, %ss:(%bp)
        jne     2b
        addw    $16, %sp
        ret

/* The number in item AX as big-endian EAX: four bytes, of which the first is the lowest. */
number: movw    $FW_CFG, %dx
        outw    %ax, %dx
        incw    %dx
        movw    $4, %cx
3:      shll    $8, %eax
        inb     %dx, %al
        loop    3b
        ret

        .org    LEN
