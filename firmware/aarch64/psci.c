/* Power State Coordination Interface (DEN 0022) by the conduit that the device tree names. */
#include "fw.h"

/* Returns only if it failed. */
bool psci_call(u64 function)
{
    const char *method = machine.psci_method;
    if (method && strcmp(method, "hvc") == 0)
        psci_hvc(function, 0, 0, 0);
    else if (method && strcmp(method, "smc") == 0)
        psci_smc(function, 0, 0, 0);
    return false;
}
