#include "fw.h"
void test_atomics(void) { note("not yet"); }
