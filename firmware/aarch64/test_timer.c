#include "fw.h"
void test_timer(void) { note("not yet"); }
