/* Exceptions: what is guarded goes on; anything else is told, and ends in a reset. */
#include "fw.h"

extern char guard_fail[];
void exception(struct frame *f);
u32 guard;
struct fault fault;
bool (*hook)(struct frame *);
volatile u32 ticks;
u32 tick_period;

void print_fault(void)
{
    static const char *const names[] = {
        "interrupt", "TLB modified", "TLB load", "TLB store", "address error, load", "address error, store", "bus error, fetch", "bus error, data",
        "system call", "breakpoint", "reserved instruction", "coprocessor unusable", "overflow", "trap", "exception", "floating-point exception",
    };
    print("%s", fault.code < COUNT(names) ? names[fault.code] : "exception");
    if (fault.code >= 1 && fault.code <= 5)
        print(" at address 0x%08x", fault.badvaddr);
    print(" (code %u, pc 0x%08x)", fault.code, fault.epc + 4 * fault.bd);
}

/* The next tick comes so many counts from now: again, if they went by before Compare had it. */
void arm(u32 counts)
{
    u32 at;
    do {
        at = cp0_read(9, 0) + counts;
        cp0_write(11, 0, at);
    } while ((s32)(cp0_read(9, 0) - at) >= 0);
}

void exception(struct frame *f)
{
    u32 code = f->cause >> 2 & 31;
    if (code == 0 && f->cause & cp0_read(12, 0) & IM7) {
        ticks++;
        if (tick_period)
            arm(tick_period);
        else
            cp0_write(11, 0, cp0_read(11, 0));
        return;
    }
    fault = (struct fault){ code, f->r[27], f->epc, f->badvaddr, f->cause >> 31, fault.count + 1 };
    if (hook && hook(f))
        return;
    if (guard) {
        f->epc = (u32)guard_fail;
        return;
    }
    print("\nfatal: ");
    print_fault();
    print("\n");
    reset();
}
