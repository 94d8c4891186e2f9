/* Entry: reset vector at address 0, at EL3, EL2 or EL1, MMU off. Core 0 goes
   on at EL1 in C; any other core that was started here too sleeps for good. */
    .arch armv8-a
    .section .text.start, "ax"
    .globl _start
_start:
    msr     daifset, #0xf
    mrs     x0, mpidr_el1
    ldr     x1, =0xff00ffffff       /* Aff3..Aff0 */
    tst     x0, x1
    b.eq    1f
0:  wfi
    b       0b

1:  ldr     x0, =__stack_top
    mov     sp, x0
    /* .data from flash to RAM, .bss to zero: sizes are multiples of 16. */
    ldr     x1, =__data_load
    ldr     x2, =__data_start
    ldr     x3, =__data_end
2:  cmp     x2, x3
    b.hs    3f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x2], #16
    b       2b
3:  ldr     x2, =__bss_start
    ldr     x3, =__bss_end
4:  cmp     x2, x3
    b.hs    5f
    stp     xzr, xzr, [x2], #16
    b       4b

5:  mrs     x19, CurrentEL
    lsr     x19, x19, #2
    ldr     x0, =entry_el
    str     w19, [x0]
    cmp     x19, #3
    b.eq    from_el3
    cmp     x19, #2
    b.eq    from_el2

at_el1:
    ldr     x0, =0x30d00800         /* SCTLR_EL1: RES1 bits, MMU and caches off */
    msr     sctlr_el1, x0
    mov     x0, #(3 << 20)          /* CPACR_EL1.FPEN: no FP traps */
    msr     cpacr_el1, x0
    msr     spsel, #1
    ldr     x0, =__stack_top
    mov     sp, x0
    ldr     x0, =vectors
    msr     vbar_el1, x0
    isb
    bl      main
6:  wfi
    b       6b

/* To secure EL1: a flash that the reset code runs from is commonly secure memory,
   so this code could not go on in the non-secure state. */
from_el3:
    ldr     x0, =0x30430            /* SCR_EL3: API, APK, RW, RES1; not NS, not EEL2 */
    msr     scr_el3, x0
    mrs     x1, id_aa64pfr0_el1
    msr     cptr_el3, xzr
    ubfx    x2, x1, #32, #4         /* SVE */
    cbz     x2, 1f
    mov     x0, #(1 << 8)           /* CPTR_EL3.EZ */
    msr     cptr_el3, x0
    isb
    mov     x0, #0xf
    msr     s3_6_c1_c2_0, x0        /* ZCR_EL3 */
1:  ubfx    x2, x1, #24, #4         /* GIC system registers */
    cbz     x2, 2f
    mov     x0, #0xf
    msr     s3_6_c12_c12_5, x0      /* ICC_SRE_EL3 */
    isb
2:  msr     mdcr_el3, xzr
    mov     x0, #0x3c5              /* EL1h, DAIF masked */
    msr     spsr_el3, x0
    ldr     x1, =at_el1
    msr     elr_el3, x1
    isb
    eret

from_el2:
    ldr     x0, =el2_vectors
    msr     vbar_el2, x0
    ldr     x0, =0x0000030080000000 /* HCR_EL2: API, APK, RW */
    msr     hcr_el2, x0
    isb
    mov     x0, #3                  /* EL1 may use the physical counter and timer */
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    msr     hstr_el2, xzr
    msr     vttbr_el2, xzr
    mrs     x0, mdcr_el2
    and     x0, x0, #0x1f           /* keep HPMN */
    msr     mdcr_el2, x0
    mrs     x1, id_aa64pfr0_el1
    mov     x0, #0x33ff             /* CPTR_EL2 RES1 */
    ubfx    x2, x1, #32, #4
    cbz     x2, 1f
    mov     x0, #0x32ff             /* TZ off */
    msr     cptr_el2, x0
    isb
    mov     x0, #0xf
    msr     s3_4_c1_c2_0, x0        /* ZCR_EL2 */
    b       2f
1:  msr     cptr_el2, x0
2:  ubfx    x2, x1, #24, #4
    cbz     x2, 3f
    mov     x0, #0xf
    msr     s3_4_c12_c9_5, x0       /* ICC_SRE_EL2 */
    isb
    msr     s3_4_c12_c11_0, xzr     /* ICH_HCR_EL2 */
3:  mov     x0, #0x3c5
    msr     spsr_el2, x0
    ldr     x1, =at_el1
    msr     elr_el2, x1
    isb
    eret
    .ltorg

/* void kernel_jump(u64 entry, u64 dtb): the MMU is off already. A kernel starts at
   EL2 if this program did: PSCI will start the other cores there too. */
    .section .text.kernel_jump, "ax"
    .globl kernel_jump
    .equ    BACK_TO_EL2, 0x4b
kernel_jump:
    msr     daifset, #0xf
    mov     x4, x0
    mov     x0, x1
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    ic      iallu
    dsb     sy
    isb
    ldr     x5, =entry_el
    ldr     w5, [x5]
    cmp     w5, #2
    b.eq    1f
    br      x4
1:  hvc     #BACK_TO_EL2
    .ltorg

/* At EL2 only the call above is served; anything else that gets here stops. */
    .section .text.vectors, "ax"
    .balign 2048
el2_vectors:
    .rept   8
    .balign 128
    b       .
    .endr
    .balign 128                     /* synchronous, from AArch64 at EL1 */
    mrs     x5, esr_el2
    ldr     w6, =(0x16 << 26 | 1 << 25 | BACK_TO_EL2)
    cmp     w5, w6
    b.ne    .
    mov     x5, #0x3c9              /* EL2h, DAIF masked */
    msr     spsr_el2, x5
    msr     elr_el2, x4
    eret
    .rept   7
    .balign 128
    b       .
    .endr
    .ltorg

/* void mmu_set_sctlr(u64 value): one place, without memory accesses between. */
    .section .text.mmu_set_sctlr, "ax"
    .globl mmu_set_sctlr
mmu_set_sctlr:
    dsb     sy
    msr     sctlr_el1, x0
    isb
    ic      iallu
    tlbi    vmalle1
    dsb     sy
    isb
    ret

/* void mmu_off(u64 sctlr, u64 from, u64 to, u64 line): data cache off first, so
   that nothing is allocated any more; then write back what is dirty. No store
   happens between the two. */
    .section .text.mmu_off, "ax"
    .globl mmu_off
mmu_off:
    dsb     sy
    msr     sctlr_el1, x0
    isb
1:  cmp     x1, x2
    b.hs    2f
    dc      civac, x1
    add     x1, x1, x3
    b       1b
2:  dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    ret
