/* What the parts of the program know of each other. Registers and addresses have 32 bits, on 64-bit
 * processors too. */
#ifndef FW_H
#define FW_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef int bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define cp0_read(n, s) ({ u32 v_; __asm__ volatile("mfc0 %0, $" #n ", " #s : "=r"(v_)); v_; })
#define cp0_write(n, s, v) __asm__ volatile("mtc0 %z0, $" #n ", " #s "\n\tehb" : : "Jr"((u32)(v)) : "memory")
enum { IE = 1, EXL = 2, IM7 = 1 << 15, FR = 1 << 26, CU1 = 1 << 29 };

/* console.c */
void console_init(void);
void put_char(char c);
int get_char(void); /* sleeps until there is one */
void print(const char *format, ...) __attribute__((format(printf, 1, 2))); /* %s %c %d %u %x, width, zeros */
bool parse_number(const char *s, u32 *out);
int compare(const char *a, const char *b);

/* exceptions.c */
struct frame { u32 r[32], lo, hi, epc, cause, badvaddr; };
struct fault { u32 code, vector, epc, badvaddr, bd, count; };
extern struct fault fault;
extern bool (*hook)(struct frame *); /* true: handled */
int guarded(void (*f)(void *), void *arg);
void print_fault(void);
extern volatile u32 ticks;
void arm(u32 counts);
extern u32 tick_period; /* of Count; 0: one tick only */

/* machine.c */
bool is_64(void), has_fpu(void), has_release2(void), has_fpu_64(void);
void machine_print(void);
void power_off(void), reset(void);
void tlb_write(u32 index, u32 hi, u32 lo0, u32 lo1), tlb_clear(void);
u32 tlb_size(void);

/* selftest.c */
bool selftest(void);
/* shell.c */
void shell(void) __attribute__((noreturn));
#endif
