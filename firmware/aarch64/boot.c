#include "fw.h"
void boot(void){}
void timer_irq(void){}
