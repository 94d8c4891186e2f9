#include "fw.h"
void shell(void){ for(;;) uart_put(uart_get()); }
