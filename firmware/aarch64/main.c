/* The program's course: greet, test, boot a disk's kernel if there is one, else prompt. */
#include "fw.h"

void main(void);

void main(void)
{
    fdt_open(0x40000000);
    machine_find();
    bool gic = gic_init();
    if (!gic) /* then the prompt polls */
        machine.uart_intid = machine.timer_intid = -1;
    uart_init(machine.uart, machine.uart_intid);
    print("\nProteus AArch64 firmware\n");
    machine_print();
    if (machine.uart_intid >= 0)
        gic_enable(machine.uart_intid);
    irq_enable();
    selftest();
    boot();
    shell();
}
