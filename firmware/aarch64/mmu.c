#include "fw.h"
void mmu_stop(void){}
