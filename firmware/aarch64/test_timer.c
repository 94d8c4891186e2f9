/* The virtual timer's interrupt through the GIC, within a limit of counter time. */
#include "fw.h"

enum { WANTED = 5, LIMIT = 10 /* seconds; a loaded host may stop the machine for long */ };

volatile u64 timer_interrupts;

u64 time_now(void)
{
    isb();
    return sysreg_read("cntvct_el0");
}

u64 time_hz(void) { return sysreg_read("cntfrq_el0"); }

/* Level-triggered: masked here, or it would come again at once. */
void timer_irq(void)
{
    timer_interrupts++;
    sysreg_write("cntv_ctl_el0", 2 | 1);
    isb();
}

static void arm(u64 ticks, u64 control)
{
    sysreg_write("cntv_tval_el0", ticks);
    sysreg_write("cntv_ctl_el0", control);
    isb();
}

/* Spins; turns bound the wait should the counter stand still. */
static bool comes(u64 count, u64 ticks)
{
    u64 start = time_now();
    for (u64 turns = 0; turns < 1000000000 && time_now() - start < ticks; turns++)
        if (timer_interrupts >= count)
            return true;
    return timer_interrupts >= count;
}

void test_timer(void)
{
    u64 hz = time_hz(), before;
    if (machine.gic_version == 0 || machine.timer_intid < 0) {
        note("no GIC or no timer in the device tree");
        return;
    }
    check("cntfrq_el0 is set", hz != 0, 1);
    timer_interrupts = 0;
    sysreg_write("cntv_ctl_el0", 0);
    gic_enable(machine.timer_intid);

    before = time_now();
    arm(hz / 1000, 1);
    check("interrupt within 10 s", comes(1, hz * LIMIT), 1);
    check("not before its time", time_now() - before >= hz / 1000, 1);
    check("ISTATUS", sysreg_read("cntv_ctl_el0"), 7);
    check("acknowledged once", timer_interrupts, 1);
    if (timer_interrupts != 1)
        goto out;

    /* From here on it is known to come: sleep until it does. */
    for (u64 i = 2; i <= WANTED; i++) {
        irq_disable();
        arm(hz / 1000, 1);
        while (timer_interrupts < i) {
            wfi();
            irq_enable();
            isb();
            irq_disable();
        }
        irq_enable();
    }
    check("count", timer_interrupts, WANTED);

    arm(hz / 10000, 2 | 1); /* masked by IMASK: the condition is met, no interrupt */
    check("IMASK", comes(WANTED + 1, hz / 1000), 0);
    before = time_now(); /* an emulator may set ISTATUS late, as hardware never does */
    while (!(sysreg_read("cntv_ctl_el0") & 4) && time_now() - before < hz * LIMIT)
        ;
    check("ISTATUS under IMASK", sysreg_read("cntv_ctl_el0"), 7);
    gic_disable(machine.timer_intid);
    arm(hz / 10000, 1); /* disabled at the GIC */
    check("disabled at the GIC", comes(WANTED + 1, hz / 1000), 0);
    gic_enable(machine.timer_intid); /* still pending, so it comes now */
    check("pending at enable", comes(WANTED + 1, hz * LIMIT), 1);
    irq_disable();
    arm(0, 1);
    check("masked by DAIF", comes(WANTED + 2, hz / 1000), 0);
    irq_enable();
    check("pending at unmask", comes(WANTED + 2, hz * LIMIT), 1);
    check("all of them", timer_interrupts, WANTED + 2);
    note("7 interrupts");
out:
    sysreg_write("cntv_ctl_el0", 0);
    gic_disable(machine.timer_intid);
    irq_enable();
}
