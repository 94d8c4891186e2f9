/* Where things are: the image in ROM below 1 MiB, the rest in memory. */
#define ROM 0xf0000
#define DATA 0x10000
#define STACK 0x30000
#define STACK2 0x34000
#define TRAP_STACK 0x38000
#define USER_STACK 0x3c000
#define PAGE_TABLES 0x40000
#define TRAMPOLINE 0x8000
/* A page that ring 3's tests map anew, and the tables it needs. */
#define TEST_PAGE 0x600000
#define TEST_TABLE 0x48000
#define SCRATCH 0x700000

#define SEL_CODE32 0x08
#define SEL_DATA 0x10
#define SEL_CODE64 0x18
#define SEL_USER_DATA 0x23
#define SEL_USER_CODE 0x2b
#define SEL_TSS 0x30
#define GDT_LIMIT 0x2f
