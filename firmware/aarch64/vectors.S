/* Exception vectors, guarded calls, and accesses that may fault. */
    .arch armv8-a
    .section .text.vectors, "ax"
    .globl vectors
    .macro  vector kind, handler
    .balign 128
    sub     sp, sp, #272
    stp     x0, x1, [sp]
    mov     x1, #\kind
    b       \handler
    .endm

    .balign 2048
vectors:
    vector  0, trap                 /* EL1t */
    vector  1, trap
    vector  2, trap
    vector  3, trap
    vector  4, trap                 /* EL1h: synchronous */
    vector  5, interrupt            /*       IRQ */
    vector  6, trap                 /*       FIQ */
    vector  7, trap                 /*       SError */
    vector  8, trap                 /* EL0, AArch64 */
    vector  9, trap
    vector  10, trap
    vector  11, trap
    vector  12, trap                /* EL0, AArch32 */
    vector  13, trap
    vector  14, trap
    vector  15, trap

/* struct frame: x0..x30 at 0..247, ELR at 248, SPSR at 256. */
    .macro  save_rest
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el1
    stp     x30, x2, [sp, #240]
    mrs     x2, spsr_el1
    str     x2, [sp, #256]
    mov     x0, sp
    .endm

trap:
    save_rest
    bl      exception
    b       restore
interrupt:
    save_rest
    bl      irq
restore:
    ldr     x2, [sp, #256]
    msr     spsr_el1, x2
    ldp     x30, x2, [sp, #240]
    msr     elr_el1, x2
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #272
    eret

/* int guarded_call(int (*f)(void *), void *arg, u64 *save): f's result, or
   negative if it took an exception; exception() then returns to guarded_return
   with x0 = save. save holds x19..x30 and sp. */
    .globl guarded_call, guarded_return
guarded_call:
    stp     x19, x20, [x2]
    stp     x21, x22, [x2, #16]
    stp     x23, x24, [x2, #32]
    stp     x25, x26, [x2, #48]
    stp     x27, x28, [x2, #64]
    stp     x29, x30, [x2, #80]
    mov     x9, sp
    str     x9, [x2, #96]
    mov     x9, x0
    mov     x0, x1
    stp     x29, x30, [sp, #-16]!
    blr     x9
    ldp     x29, x30, [sp], #16
    ret
guarded_return:
    ldp     x19, x20, [x0]
    ldp     x21, x22, [x0, #16]
    ldp     x23, x24, [x0, #32]
    ldp     x25, x26, [x0, #48]
    ldp     x27, x28, [x0, #64]
    ldp     x29, x30, [x0, #80]
    ldr     x9, [x0, #96]
    mov     sp, x9
    mov     x0, #-1
    ret

/* int probe_readN(u64 address, u64 *value), int probe_writeN(u64 address,
   u64 value): 0, or -1 if the access faulted. exception() knows the range. */
    .globl probe_begin, probe_end, probe_fault
    .macro  reader name, load, reg
    .globl  \name
\name:
    \load   \reg, [x0]
    str     x9, [x1]
    mov     w0, #0
    ret
    .endm
    .macro  writer name, store, reg
    .globl  \name
\name:
    \store  \reg, [x0]
    dsb     sy
    mov     w0, #0
    ret
    .endm
probe_begin:
    reader  probe_read1, ldrb, w9
    reader  probe_read2, ldrh, w9
    reader  probe_read4, ldr, w9
    reader  probe_read8, ldr, x9
    writer  probe_write1, strb, w1
    writer  probe_write2, strh, w1
    writer  probe_write4, str, w1
    writer  probe_write8, str, x1
probe_end:
probe_fault:
    mov     w0, #-1
    ret
