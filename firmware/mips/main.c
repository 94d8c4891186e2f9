/* The program's course: greet, test, prompt. */
#include "fw.h"

void main(void);

void main(void)
{
    console_init();
    print("\nProteus MIPS firmware\n");
    machine_print();
    selftest();
    shell();
}
