/* The way from the reset vector to 64-bit mode, the stubs of the exceptions, the way to ring 3 and
 * back, and what a second processor runs first. Each mode says on the serial line that it is there. */

#include "layout.h"

#define COM1 0x3f8

	.section .reset, "ax"
	.code16
	ljmp	$(ROM >> 4), $(start16 - ROM)
	.org	16

	.section .start, "ax"
	.code16
	.globl start16
start16:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	mov	$(hello16 - ROM), %si
	mov	$COM1, %dx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	/* What real mode counts with: a sum with carry over 16 bits. */
	mov	$0xfff0, %ax
	add	$0x20, %ax
	adc	$0, %bx
	lgdtl	%cs:(gdt_pointer - ROM)
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $start32

	.code32
start32:
	mov	$SEL_DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$STACK, %esp
	mov	$hello32, %esi
	mov	$COM1, %edx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	/* Data and BSS. */
	mov	$__data_rom, %esi
	mov	$__data_start, %edi
	mov	$__data_size, %ecx
	rep movsb
	xor	%eax, %eax
	mov	$__bss_start, %edi
	mov	$__bss_size, %ecx
	rep stosb
	/* Page tables: the first 4 GiB by pages of 2 MiB, for ring 3 too. */
	movl	$(PAGE_TABLES + 0x1007), PAGE_TABLES
	mov	$(PAGE_TABLES + 0x1000), %edi
	mov	$(PAGE_TABLES + 0x2007), %eax
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$0x1000, %eax
	add	$8, %edi
	loop	1b
	mov	$(PAGE_TABLES + 0x2000), %edi
	mov	$0x87, %eax
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	1b
	mov	$0, %edi
	jmp	to_long

/* Both processors: EDI is the number of this one. */
to_long:
	mov	$PAGE_TABLES, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80010001, %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE64, $start64

	.code64
start64:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	test	%edi, %edi
	jnz	1f
	mov	$STACK, %esp
	call	main
	ud2
1:	mov	$STACK2, %esp
	call	second
2:	hlt
	jmp	2b

/* The code of the second processor, to be copied to a page that a start-up interrupt can name. */
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	(trampoline_gdt - trampoline)
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $1f
	.balign 4
trampoline_gdt:
	.word	GDT_LIMIT
	.long	gdt
trampoline_end:
	.code32
1:	mov	$SEL_DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$1, %edi
	jmp	to_long

/* Exceptions and interrupts: all come to `trap` with a frame. */
	.code64
	.altmacro
	.macro	stub n
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17)
	.else
	push	$0
	.endif
	push	$\n
	jmp	common
	.balign	16
	.endm
	.balign	16
	.globl	stubs
stubs:
	.set	n, 0
	.rept	64
	stub	%n
	.set	n, n + 1
	.endr

common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	call	trap
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* long enter_user(long (*f)(long), long argument): runs f in ring 3. It comes back with its result by
 * the undefined instruction at user_return, for some hosts have no software interrupts there. */
	.globl	enter_user, leave_user, user_return
enter_user:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, saved_rsp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	push	$SEL_USER_DATA
	push	$USER_STACK
	push	$0x202
	push	$SEL_USER_CODE
	push	$1f
	iretq
1:	/* In ring 3 now. */
	call	*%rax
user_return:
	ud2
/* void leave_user(long result), on the stack of the exception. */
leave_user:
	mov	%rdi, %rax
	mov	saved_rsp, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .rodata, "a"
hello16:
	.asciz	"real mode\r\n"
hello32:
	.asciz	"protected mode\r\n"
	.balign 8
	.globl	gdt
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* code, 32 bits */
	.quad	0x00cf93000000ffff	/* data */
	.quad	0x00af9b000000ffff	/* code, 64 bits */
	.quad	0x00cff3000000ffff	/* data of ring 3 */
	.quad	0x00affb000000ffff	/* code of ring 3 */
gdt_end:
gdt_pointer:
	.word	GDT_LIMIT
	.long	gdt

	.bss
	.balign 8
saved_rsp:
	.quad	0

	.section .note.GNU-stack, "", @progbits
