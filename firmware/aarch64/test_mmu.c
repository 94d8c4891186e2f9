#include "fw.h"
void test_mmu(void) { note("not yet"); }
