/* A stand-in for a kernel: the header of a Linux arm64 Image, then C. It runs
   where boot.c puts an Image with text_offset 0. */
    .section .head, "ax"
    .globl _start
_start:
    b       1f
    .long   0
    .quad   0                       /* text_offset */
    .quad   __image_size
    .quad   0xa                     /* little endian, 4 KiB pages, anywhere */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
1:  adr     x9, _start
    ldr     x10, =_start
    cmp     x9, x10
    b.ne    .                       /* loaded elsewhere than linked */
    ldr     x9, =__stack_top
    mov     sp, x9
    ldr     x9, =__bss_start
    ldr     x10, =__bss_end
2:  cmp     x9, x10
    b.hs    3f
    str     xzr, [x9], #8
    b       2b
3:  bl      start
    b       .
