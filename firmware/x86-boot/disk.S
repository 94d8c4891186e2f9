/*
 * A disk whose first sector a BIOS boots (SeaBIOS on the board pc). It reads the sectors behind it
 * by INT 13h, goes on there, reads a far sector and writes one, prints on the first serial port and
 * by INT 10h, and leaves through isa-debug-exit at 0x501 with the byte at the start of the far
 * sector.
 *
 * Sector 0: this one. 1 to 3: stage 2. 64: what the test put there; 65: written.
 */
        .code16
        .set STAGE2, 0x8000
        .set STAGE2_SECTORS, 3
        .set BUFFER, 0x9000
        .set FAR_SECTOR, 64
        .set COM1, 0x3f8
        .set EXIT, 0x501
        .set FAILED, 0x7f

        .section .boot, "ax"
        .globl start
start:
        ljmp    $0, $1f
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld
        movb    %dl, drive
        movw    $hello, %si
        call    print
        movw    $packet, %si
        movb    $0x42, %ah
        int     $0x13
        jc      failed
        cmpl    $0x32534250, STAGE2     /* "PBS2" */
        jne     failed
        jmp     STAGE2 + 4

failed: movw    $failure, %si
        call    print
        movb    $FAILED, %al
exit:   movw    $EXIT, %dx
        outb    %al, %dx
1:      hlt
        jmp     1b

/* Prints the text at SI on serial port and screen. */
print:  lodsb
        testb   %al, %al
        jz      2f
        call    putc
        jmp     print
2:      ret

putc:   pushw   %ax
        pushw   %bx
        pushw   %dx
        pushw   %ax
        movw    $COM1 + 5, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popw    %ax
        movw    $COM1, %dx
        outb    %al, %dx
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        popw    %dx
        popw    %bx
        popw    %ax
        ret

/* Prints AL in hexadecimal. */
hex:    pushw   %ax
        shrb    $4, %al
        call    digit
        popw    %ax
digit:  andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     1f
        addb    $'a' - '0' - 10, %al
1:      jmp     putc

hello:  .asciz  "boot sector\r\n"
failure: .asciz "INT 13h failed\r\n"
drive:  .byte   0
        .balign 4
/* What extended reads and writes (EDD) are given: sectors, address, first sector. */
packet: .byte   16, 0
        .word   STAGE2_SECTORS
        .word   STAGE2, 0
        .quad   1

        .section .signature, "a"
        .word   0xaa55

        .section .stage2, "ax"
        .ascii  "PBS2"
        movw    $second, %si
        call    print
        movb    drive, %al
        call    hex
        movw    $sector, %si
        call    print
        movw    $1, packet + 2
        movw    $BUFFER, packet + 4
        movl    $FAR_SECTOR, packet + 8
        movb    drive, %dl
        movw    $packet, %si
        movb    $0x42, %ah
        int     $0x13
        jc      failed
        movw    $BUFFER + 1, %si
        call    print
        /* The same with each byte inverted, one sector further. */
        movw    $BUFFER, %si
        movw    $512, %cx
1:      notb    (%si)
        incw    %si
        loop    1b
        incl    packet + 8
        movb    drive, %dl
        movw    $packet, %si
        movw    $0x4300, %ax
        int     $0x13
        jc      failed
        movw    $written, %si
        call    print
        movb    BUFFER, %al
        notb    %al
        jmp     exit

second: .asciz  "stage 2 from drive "
sector: .asciz  ", sector 64: "
written: .asciz "\r\nwritten\r\n"
