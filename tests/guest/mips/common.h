/* What the bare-metal programs share. They print nothing that depends on time, on the length of
 * code or on what an implementation may choose. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef unsigned long ulong; /* a register */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#ifdef __mips64
#define BITS 64
#define LEA "dla "
#else
#define BITS 32
#define LEA "la "
#endif
#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define KSEG1 ((ulong)(long)(s32)0xa0000000)
#define KSEG0 ((ulong)(long)(s32)0x80000000)

#define cp0_read(n, s) ({ u32 v_; __asm__ volatile("mfc0 %0, $" #n ", " #s : "=r"(v_)); v_; })
#define cp0_write(n, s, v) __asm__ volatile("mtc0 %z0, $" #n ", " #s "\n\tehb" : : "Jr"((u32)(v)) : "memory")
#ifdef __mips64
#define cp0_read_wide(n, s) ({ u64 v_; __asm__ volatile("dmfc0 %0, $" #n ", " #s : "=r"(v_)); v_; })
#define cp0_write_wide(n, s, v) __asm__ volatile("dmtc0 %z0, $" #n ", " #s "\n\tehb" : : "Jr"((u64)(v)) : "memory")
#else
#define cp0_read_wide cp0_read
#define cp0_write_wide cp0_write
#endif
enum { IE = 1, EXL = 2, KX = 1 << 7, FR = 1 << 26, CU1 = 1 << 29, CU2 = 1 << 30, BD = (s32)0x80000000 };

struct frame { ulong r[32], lo, hi, epc, cause, status, badvaddr; };
/* The last exception, and how many there were. */
struct taken { u32 count, vector, cause, code, status; ulong epc, badvaddr, pc; u32 bd; };
extern struct taken taken;
/* Where exceptions go on: 0 is behind the instruction. `hook`, if set, is asked first; when it gives
 * 1 it has done what there is to do. */
extern volatile ulong resume;
extern int (*hook)(struct frame *);
void user(ulong pc), leave_user(void);

void put(const char *s);
void put_hex(u64 v, int digits);
void put_dec(u32 v);
void line(const char *name, u64 value);

/* Checksum of what a group computed (FNV-1a over words). With -DVERBOSE each value is shown. */
extern u32 sum;
void mix32(u32 v);
void mix(u64 v);
void begin(void);
void end(const char *name); /* prints the line */
