/* u64 psci_hvc(function, three arguments), psci_smc: the two ways to PSCI. */
    .arch armv8-a
    .section .text.psci, "ax"
    .globl psci_hvc, psci_smc
psci_hvc:
    hvc     #0
    ret
psci_smc:
    smc     #0
    ret
