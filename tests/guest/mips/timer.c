/* Count and Compare: what comes after what, and never a time. */
#include "common.h"

enum { IP7 = 1 << 15, TI = 1 << 30, DC = 1 << 27, WAIT = 20000 /* cycles of Count */ };
static volatile u32 seen, early, again;

/* Again, if that many cycles went by before Compare had it. */
static void arm(u32 in)
{
    u32 at;
    do {
        at = cp0_read(9, 0) + in;
        cp0_write(11, 0, at);
    } while ((s32)(cp0_read(9, 0) - at) >= 0);
}


/* Taken once, then acknowledged by a write of Compare. */
static int tick(struct frame *f)
{
    if ((f->cause >> 2 & 31) != 0 || !(f->cause & IP7))
        return 0;
    seen++;
    taken.vector = f->r[27];
    if ((s32)(cp0_read(9, 0) - cp0_read(11, 0)) < 0)
        early++;
    cp0_write(11, 0, cp0_read(11, 0));
    if (again)
        arm(again);
    return 1;
}

static void spin(u32 cycles) { for (u32 from = cp0_read(9, 0); cp0_read(9, 0) - from < cycles;) ; }
/* An emulator may be late. */
static void until_pending(void) { for (u32 from = cp0_read(9, 0); !(cp0_read(13, 0) & IP7) && cp0_read(9, 0) - from < 0x40000000;) ; }
static void until_seen(u32 n) { for (u32 from = cp0_read(9, 0); seen < n && cp0_read(9, 0) - from < 0x40000000;) ; }
static void say(const char *what, u32 v) { put(what); put(" "); put_dec(v); put("\n"); }

int main(void)
{
    u32 status = cp0_read(12, 0), a, b;
    hook = tick;
    a = cp0_read(9, 0);
    spin(WAIT);
    b = cp0_read(9, 0);
    say("count goes on", b - a >= WAIT);
    cp0_write(9, 0, 0xfffffff0);
    spin(WAIT);
    say("count wraps", cp0_read(9, 0) < 0x80000000);
    arm(WAIT << 13);
    say("nothing pending", !!(cp0_read(13, 0) & (IP7 | TI)));
    arm(WAIT);
    until_pending();
    say("pending", !!(cp0_read(13, 0) & IP7));
    say("timer interrupt", !!(cp0_read(13, 0) & TI));
    say("not taken", seen);
    cp0_write(12, 0, status | IE);
    spin(WAIT);
    say("not taken, masked", seen);
    arm(WAIT << 13);
    say("acknowledged", !!(cp0_read(13, 0) & (IP7 | TI)));
    arm(WAIT);
    until_pending();
    cp0_write(12, 0, status | IE | IP7);
    until_seen(1);
    say("taken", seen);
    say("vector", taken.vector);
    say("pending after it", !!(cp0_read(13, 0) & IP7));
    cp0_write(13, 0, 1 << 23);
    for (u32 i = 0; i < 5; i++) {
        arm(WAIT);
        until_seen(i + 2);
    }
    say("taken", seen);
    say("vector", taken.vector);
    /* Asleep until it comes, and again, so that it does not matter whether it comes before the sleep. */
    again = 50 * WAIT;
    arm(WAIT);
    for (u32 from = seen; seen < from + 3;)
        __asm__ volatile("wait");
    again = 0;
    cp0_write(11, 0, cp0_read(9, 0) - 1);
    say("woken", seen > 8);
    seen = 9;
    say("taken", seen);
    say("early", early);
    /* With EXL nothing is taken. */
    cp0_write(12, 0, status | IE | IP7 | EXL);
    arm(WAIT);
    until_pending();
    spin(WAIT);
    say("taken in an exception", seen);
    cp0_write(12, 0, status | IE | IP7);
    until_seen(10);
    say("taken after it", seen);
    /* Count stands still. */
    cp0_write(12, 0, status);
    cp0_write(13, 0, DC);
    cp0_write(9, 0, 1000);
    a = cp0_read(9, 0);
    for (volatile u32 k = 0; k < 10000; k++)
        ;
    say("stopped", cp0_read(9, 0) == a);
    cp0_write(13, 0, 0);
    spin(WAIT);
    say("goes on", cp0_read(9, 0) != a);
    put("timer: done\n");
    return 0;
}
