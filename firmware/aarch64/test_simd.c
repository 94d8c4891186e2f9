#include "fw.h"
void test_simd(void) { note("not yet"); }
