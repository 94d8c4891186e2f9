/* The TLB: refill, invalid and modified; page sizes; ASID and global pages; wired entries; TLBP, TLBR,
 * TLBWI and TLBWR; fetches; user mode; and with 64 bits XTLB and the big segments. Physical memory from
 * 16 MiB on is used; each word there holds its own address. */
#include "common.h"

enum { FROM = 16 << 20, LEN = 16 << 20, C = 3 << 3, D = 4, V = 2, G = 1 };
#define VA 0x00400000ul
enum { UX = 1 << 5 };
static u32 entries;
#if BITS == 64
#define MTC "dmtc0 "
#else
#define MTC "mtc0 "
#endif

static void clear(void)
{
    for (u32 i = 0; i < entries; i++) {
        cp0_write(0, 0, i);
        cp0_write_wide(10, 0, KSEG0 + i * 0x2000);
        cp0_write_wide(2, 0, 0);
        cp0_write_wide(3, 0, 0);
        cp0_write(5, 0, 0);
        __asm__ volatile("tlbwi\n\tehb");
    }
    cp0_write_wide(10, 0, 0);
}

static ulong lo(ulong pa, u32 flags) { return pa >> 12 << 6 | flags; }

static void set(ulong hi, ulong lo0, ulong lo1, u32 mask)
{
    cp0_write_wide(10, 0, hi);
    cp0_write_wide(2, 0, lo0);
    cp0_write_wide(3, 0, lo1);
    cp0_write(5, 0, mask);
}

static void write_at(u32 index) { cp0_write(0, 0, index); __asm__ volatile("tlbwi\n\tehb" : : : "memory"); }
static u32 probe(ulong hi)
{
    cp0_write_wide(10, 0, hi);
    __asm__ volatile("tlbp\n\tehb");
    return cp0_read(0, 0) & (s32)0x80000000 ? 99 : cp0_read(0, 0);
}

#define ACCESS(insn, at, v) __asm__ volatile(insn " %0, 0(%1)\n\tnop" : "+r"(v) : "r"(at) : "memory")
static u32 load(ulong at) { u32 v = 0xdead; ACCESS("lw", at, v); return v; }
static void store(ulong at, u32 v) { ACCESS("sw", at, v); }

static void told(const char *what)
{
    put(what);
    if (!taken.count) {
        put(": none\n");
        return;
    }
    put(": code ");
    put_dec(taken.code);
    put(" vector ");
    put_hex(taken.vector, 3);
    put(" bd ");
    put_dec(taken.bd);
    put(" badvaddr ");
    put_hex(taken.badvaddr, BITS / 4);
    taken.count = 0;
    if (taken.code > 3) { /* an address error leaves the others undefined */
        put("\n");
        return;
    }
    put(" context ");
    put_hex(cp0_read_wide(4, 0), BITS / 4);
    put(" entryhi ");
    put_hex(cp0_read_wide(10, 0), BITS / 4);
#if BITS == 64
    put(" xcontext ");
    put_hex(cp0_read_wide(20, 0), 16);
#endif
    put("\n");
}

/* Fills on demand, as a system does: the page at VA + n is at FROM + n. */
static u32 refills;
static int refill(struct frame *f)
{
    u32 code = f->cause >> 2 & 31;
    if ((code != 2 && code != 3) || f->r[27] == 0x180)
        return 0;
    ulong pa = (f->badvaddr & ~0x1ffful) - VA + FROM;
    cp0_write_wide(2, 0, lo(pa, C | D | V));
    cp0_write_wide(3, 0, lo(pa + 0x1000, C | D | V));
    cp0_write(5, 0, 0);
    __asm__ volatile("tlbwr\n\tehb");
    refills++;
    return 1;
}

static void basic(void)
{
    cp0_write_wide(4, 0, (ulong)(long)(s32)0xff800000);
    clear();
    load(VA + 0x1234 * 4), told("load, no entry");
    store(VA + 0x2344, 1), told("store, no entry");
    set(VA | 5, lo(FROM, C | V), lo(FROM + 0x1000, C), 0), write_at(3);
    begin(), mix32(load(VA + 0x10)), mix32(load(VA + 0xffc)), end("load");
    store(VA + 0x10, 7), told("store, not writable");
    load(VA + 0x1010), told("load, not valid");
    store(VA + 0x1010, 7), told("store, not valid");
    load(VA + 0x2010), told("load, the next pair");
    taken.count = 0;
    resume = 0;
    __asm__ volatile(".set push\n\t.set noreorder\n\tbeqz $0, 1f\n\tlw $2, 0(%0)\n\tnop\n1:\t.set pop" : : "r"(VA + 0x1010) : "$2");
    told("load in a slot");
    /* In an exception a refill is taken by the general vector. */
    u32 status = cp0_read(12, 0);
    cp0_write(12, 0, status | EXL);
    /* EPC is not written then: it goes on where the program has set it. */
    __asm__ volatile(LEA "$3, 1f\n\t" MTC "$3, $14\n\tehb\n\tlw $2, 0(%0)\n\tnop\n1:" : : "r"(VA + 0x5000) : "$2", "$3", "memory");
    cp0_write(12, 0, status);
    told("load in an exception");
}

static void sizes(void)
{
    static const u32 masks[] = { 0, 3, 0xf, 0x3f, 0xff, 0x3ff, 0xfff };
    for (u32 i = 0; i < COUNT(masks); i++) {
        ulong page = (ulong)(masks[i] + 1) << 12, va = 0x40000000;
        clear();
        begin();
        ulong even = FROM, odd = page <= LEN / 2 ? FROM + page : FROM;
        if (masks[i] == 0xfff)
            even = odd = FROM;
        set(va | 1, lo(even, C | D | V), lo(odd, C | V), masks[i] << 13), write_at(i);
        cp0_write_wide(10, 0, va | 1);
        for (u32 k = 0; k < 8; k++) {
            ulong at = (page / 8 * k + 4 * k) & (page - 1);
            mix32(load(va + at)), mix32(load(va + page + at));
        }
        store(va + 8, 0x77), mix32(load(va + 8)), mix32(*(volatile u32 *)(KSEG0 + even + 8));
        *(volatile u32 *)(KSEG0 + even + 8) = even + 8;
        mix32(taken.count);
        store(va + page + 8, 0x77), mix32(taken.count), mix32(taken.code);
        load(va + 2 * page), mix32(taken.count), mix32(taken.vector);
        mix32(probe((va + page * 2 - 0x1000) & ~0x1ffful ? (va | 1) : 0)), mix32(probe(va | 2)), mix32(probe((va + 2 * page) | 1));
        put_dec(page >> 10);
        end(" KiB");
    }
}

static void spaces(void)
{
    clear();
    begin();
    set(VA | 1, lo(FROM, C | V), lo(FROM + 0x1000, C | V), 0), write_at(0);
    set(VA | 2, lo(FROM + 0x4000, C | V), lo(FROM + 0x5000, C | V), 0), write_at(1);
    set((VA + 0x2000) | 3, lo(FROM + 0x6000, C | V | G), lo(FROM + 0x7000, C | V | G), 0), write_at(2);
    /* Global only if both halves are. */
    set((VA + 0x4000) | 3, lo(FROM + 0x8000, C | V | G), lo(FROM + 0x9000, C | V), 0), write_at(4);
    for (u32 asid = 1; asid < 6; asid++)
        for (u32 k = 0; k < 6; k++) {
            cp0_write_wide(10, 0, asid);
            mix32(load(VA + k * 0x1000 + 4)), mix32(taken.count);
        }
    end("address spaces");
    begin();
    for (u32 asid = 1; asid < 5; asid++)
        for (u32 k = 0; k < 4; k++)
            mix32(probe((VA + k * 0x2000) | asid));
    for (u32 i = 0; i < 5; i++) {
        cp0_write(0, 0, i);
        __asm__ volatile("ehb\n\ttlbr\n\tehb");
        mix(cp0_read_wide(10, 0)), mix(cp0_read_wide(2, 0)), mix(cp0_read_wide(3, 0)), mix32(cp0_read(5, 0));
    }
    end("probe and read");
}

static void random(void)
{
    clear();
    begin();
    cp0_write(6, 0, 4);
    for (u32 i = 0; i < 4; i++)
        set(0x60000000 + i * 0x2000, lo(FROM + i * 0x2000, C | V), lo(FROM + i * 0x2000 + 0x1000, C | V), 0), write_at(i);
    cp0_write_wide(10, 0, 0);
    refills = 0;
    hook = refill;
    u32 x = 1, bad = 0, low = 0;
    for (u32 i = 0; i < 5000; i++) {
        x = x * 1664525 + 1013904223;
        u32 at = (x >> 8 & (LEN / 2 - 1)) & ~3;
        bad += load(VA + at) != FROM + at;
        low += cp0_read(1, 0) < 4 || cp0_read(1, 0) >= entries;
    }
    for (u32 i = 0; i < 4; i++)
        bad += probe(0x60000000 + i * 0x2000) != i;
    cp0_write_wide(10, 0, 0);
    hook = 0;
    mix32(bad), mix32(low), mix32(refills > 1000);
    end("random entries, four wired");
    cp0_write(6, 0, 0);
}

/* jr $31; addiu $2, $2, 1 at the end of a page and across it. */
static void fetches(void)
{
    volatile u32 *code = (volatile u32 *)(KSEG0 + FROM);
    clear();
    begin();
    code[0] = 0x24420001, code[1] = 0x03e00008, code[2] = 0x24420002;
    code[1023] = 0x03e00008, code[1024] = 0x24420004;
    __asm__ volatile("sync");
    for (ulong a = KSEG0 + FROM; a < KSEG0 + FROM + 0x2000; a += 16)
        __asm__ volatile("cache 0x15, 0(%0)\n\tcache 0x10, 0(%0)" : : "r"(a));
    set(VA, lo(FROM, C | V), lo(FROM + 0x1000, C | V), 0), write_at(0);
    u32 r;
#define CALL(at) __asm__ volatile(".set push\n\t.set noreorder\n\tli $2, 0\n\tjalr %1\n\tnop\n1:\tmove %0, $2\n\t.set pop" : "=r"(r) : "r"(at) : "$2", "$31", "memory")
    CALL(VA); mix32(r);
    CALL(VA + 0xffc); mix32(r);
    end("code in pages");
    /* Without its second page the slot cannot be fetched; with the page it goes on from the jump. */
    set(VA, lo(FROM, C | V), lo(FROM + 0x1000, C), 0), write_at(0);
    extern int give(struct frame *);
    hook = give;
    CALL(VA + 0xffc);
    hook = 0;
    told("slot on a page that is not valid");
    line("result", r);
    clear();
    hook = refill;
    refills = 0;
    CALL(VA);
    hook = 0;
    line("refilled", r);
}

int give(struct frame *f)
{
    taken.count++;
    taken.code = f->cause >> 2 & 31;
    taken.bd = f->cause >> 31 & 1;
    taken.vector = f->r[27];
    taken.badvaddr = f->badvaddr;
    line("epc", f->epc);
    set(VA, lo(FROM, C | V), lo(FROM + 0x1000, C | V), 0), write_at(0);
    return 1;
}

/* User mode: what it may not. Each of these words is run there and must trap. */
static int trapped(struct frame *f)
{
    put(" code ");
    put_dec(f->cause >> 2 & 31);
    if ((f->cause >> 2 & 31) == 11)
        put_dec(f->cause >> 28 & 3);
    put(" epc +");
    put_hex(f->epc - VA, 4);
    put(" mode ");
    put_hex(f->status >> 3 & 3, 1);
    put("\n");
    f->epc = (ulong)leave_user;
    f->status &= ~(0x10 | EXL);
    f->status |= EXL;
    return 1;
}

static void modes(void)
{
    static const struct { const char *name; u32 word; } words[] = {
        { "syscall", 0x0000000c }, { "mfc0", 0x40026000 }, { "eret", 0x42000018 }, { "tlbwi", 0x42000002 }, { "wait", 0x42000020 },
        { "cache", 0xbc000000 }, { "di", 0x41606000 }, { "kernel load", 0x8c820000 }, { "kernel store", 0xac820000 }, { "mfc1", 0x44020000 },
        { "rdhwr 0", 0x7c02003b }, { "break", 0x0000000d }, { "reserved", 0x7000003e }, { "jump to kernel", 0x00800008 },
    };
    volatile u32 *code = (volatile u32 *)(KSEG0 + FROM);
    clear();
    set(VA, lo(FROM, C | V | G), lo(FROM + 0x1000, C | V | G), 0), write_at(0);
    u32 status = cp0_read(12, 0);
    cp0_write(12, 0, status & ~(1 << 28 | CU1));
    for (u32 i = 0; i < COUNT(words); i++) {
        code[0] = 0x3c048000; /* lui $4, 0x8000 */
        code[1] = words[i].word;
        code[2] = 0;
        code[3] = 0x0000000c;
        __asm__ volatile("sync\n\tcache 0x15, 0(%0)\n\tcache 0x10, 0(%0)" : : "r"(code));
        put(words[i].name);
        hook = trapped;
        user(VA);
        hook = 0;
    }
    cp0_write(12, 0, status);
}

#if BITS == 64
static void big(void)
{
    clear();
    load(0x100000000000ull >> 8 | 0x3000), told("xuseg, off");
    cp0_write(12, 0, cp0_read(12, 0) | KX | UX);
    cp0_write_wide(20, 0, 0xffff800000000000ull);
    load(0x0000001234567000ull), told("xuseg, no entry");
    store(0xc000001234567000ull, 1), told("xkseg, no entry");
    load(VA), told("useg, no entry");
    load(0xffffffffe0002000ull), told("kseg3, no entry");
    set(0x0000001234566000ull | 9, lo(FROM, C | V), lo(FROM + 0x1000, C | V), 0), write_at(7);
    begin();
    mix32(load(0x0000001234567010ull)), mix32(load(0x0000001234566010ull));
    mix32(probe(0x0000001234566000ull | 9)), mix32(probe(0x34566000 | 9)), mix32(probe(0xc000001234566000ull | 9));
    set(0xc000001234566000ull | 9, lo(FROM + 0x2000, C | V | D), lo(FROM + 0x3000, C | V | D), 0), write_at(8);
    mix32(load(0xc000001234567010ull)), mix32(probe(0xc000001234566000ull | 9)), mix32(probe(0x0000001234566000ull | 9));
    __asm__ volatile("tlbr\n\tehb");
    mix(cp0_read_wide(10, 0));
    /* XKPHYS, cached and not. */
    mix32(load(0x9000000000000000ull + FROM + 0x44)), mix32(load(0x9800000000000000ull + FROM + 0x48));
    store(0x9800000000000000ull + FROM + 0x48, 5), mix32(load(KSEG0 + FROM + 0x48)), store(KSEG0 + FROM + 0x48, FROM + 0x48);
    end("big segments");
    load(0x0000800000000000ull), told("past xuseg");
    load(0xc000800000000000ull), told("past xkseg");
    load(0x9000001000000000ull << 4), told("past xkphys");
    cp0_write(12, 0, cp0_read(12, 0) & ~(KX | UX));
}
#endif

int main(void)
{
    entries = (cp0_read(16, 1) >> 25 & 63) + 1;
    for (u32 i = FROM; i < FROM + LEN; i += 4)
        *(volatile u32 *)(KSEG0 + i) = i;
    basic();
    sizes();
    spaces();
    random();
    fetches();
    modes();
#if BITS == 64
    big();
#endif
    put("tlb: done\n");
    return 0;
}
