#include "fw.h"
void test_fp(void) { note("not yet"); }
