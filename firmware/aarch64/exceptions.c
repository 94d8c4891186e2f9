/* Exceptions: accesses and calls that may fault go on; anything else is told and ends the program. */
#include "fw.h"

extern char probe_begin[], probe_end[], probe_fault[], guarded_return[];
int guarded_call(int (*f)(void *), void *arg, u64 *save);

struct guard { u64 save[13]; struct guard *outer; bool quiet; };
static struct guard *guard;
struct fault last_fault;

static const char *class_name(u32 ec)
{
    switch (ec) {
    case 0x00: return "undefined instruction";
    case 0x07: return "trapped FP or SIMD instruction";
    case 0x0e: return "illegal execution state";
    case 0x15: return "SVC";
    case 0x18: return "trapped system register access";
    case 0x20: case 0x21: return "instruction abort";
    case 0x22: return "PC alignment fault";
    case 0x24: case 0x25: return "data abort";
    case 0x26: return "SP alignment fault";
    case 0x2c: return "trapped floating-point exception";
    case 0x2f: return "SError";
    case 0x3c: return "BRK";
    default: return "exception";
    }
}

static const char *abort_name(u32 status)
{
    switch (status) {
    case 0x00 ... 0x03: return "address size fault";
    case 0x04 ... 0x07: return "translation fault";
    case 0x08 ... 0x0b: return "access flag fault";
    case 0x0c ... 0x0f: return "permission fault";
    case 0x10: return "external abort";
    case 0x21: return "alignment fault";
    default: return "other fault";
    }
}

void print_fault(void)
{
    u32 ec = last_fault.esr >> 26 & 0x3f;
    print("%s", class_name(ec));
    if (ec == 0)
        print(" 0x%08x", *(u32 *)last_fault.elr);
    if (ec == 0x20 || ec == 0x21 || ec == 0x24 || ec == 0x25)
        print(", %s, at address 0x%lx", abort_name(last_fault.esr & 0x3f), last_fault.far);
    print(" (ESR 0x%08lx, pc 0x%lx)", last_fault.esr, last_fault.elr);
}

void exception(struct frame *f, u64 kind)
{
    last_fault = (struct fault){ sysreg_read("esr_el1"), sysreg_read("far_el1"), f->elr };
    if (kind == 4 && f->elr >= (u64)probe_begin && f->elr < (u64)probe_end) {
        f->elr = (u64)probe_fault;
        return;
    }
    if (kind == 4 && guard) {
        if (!guard->quiet) {
            print_fault();
            print("\n");
        }
        f->x[0] = (u64)guard->save;
        f->elr = (u64)guarded_return;
        return;
    }
    print("\nfatal: vector %lu: ", kind);
    print_fault();
    print("\n");
    for (int i = 0; i < 31; i++)
        print("x%02d %016lx%s", i, f->x[i], i % 4 == 3 ? "\n" : "  ");
    print("\n");
    psci_call(PSCI_SYSTEM_OFF);
    for (;;)
        wfi();
}

int guarded(int (*f)(void *), void *arg, bool quiet)
{
    struct guard g = { .outer = guard, .quiet = quiet };
    u64 daif = sysreg_read("daif");
    guard = &g;
    int r = guarded_call(f, arg, g.save);
    guard = g.outer;
    sysreg_write("daif", daif);
    return r;
}

int probe_read(u64 at, int size, u64 *value)
{
    return size == 1 ? probe_read1(at, value) : size == 2 ? probe_read2(at, value)
         : size == 4 ? probe_read4(at, value) : probe_read8(at, value);
}

int probe_write(u64 at, int size, u64 value)
{
    return size == 1 ? probe_write1(at, value) : size == 2 ? probe_write2(at, value)
         : size == 4 ? probe_write4(at, value) : probe_write8(at, value);
}

void irq(void)
{
    u32 intid = gic_acknowledge();
    if (intid >= 1020)
        return;
    if ((int)intid == machine.uart_intid)
        uart_irq();
    else if ((int)intid == machine.timer_intid)
        timer_irq();
    gic_end(intid);
}
