/* PL011 (ARM DDI 0183). Output is polled; input comes by interrupt into a ring. */
#include "fw.h"

enum {
    DR = 0x00, FR = 0x18, IBRD = 0x24, FBRD = 0x28, LCR_H = 0x2c, CR = 0x30, IFLS = 0x34, IMSC = 0x38, ICR = 0x44,
    FR_BUSY = 1 << 3, FR_RXFE = 1 << 4, FR_TXFF = 1 << 5,
    INT_RX = 1 << 4, INT_RT = 1 << 6,
};

static u64 base;
static u8 ring[1024];
static volatile u32 head, tail;
static bool interrupts;

/* Takes what is in the receive FIFO; what the ring has no room for is lost. */
static void drain(void)
{
    while (!(mmio_read(base + FR) & FR_RXFE)) {
        u8 c = mmio_read(base + DR);
        if (head - tail < sizeof ring)
            ring[head++ % sizeof ring] = c;
    }
}

/* Keeps what was typed before: turning the FIFOs on empties them. */
void uart_init(u64 at, int intid)
{
    base = at;
    mmio_write(base + IMSC, 0);
    drain();
    mmio_write(base + CR, 0);
    mmio_write(base + IBRD, 13); /* 115200 baud from 24 MHz */
    mmio_write(base + FBRD, 1);
    mmio_write(base + LCR_H, 0x70); /* 8 bits, FIFOs on */
    mmio_write(base + IFLS, 0);
    mmio_write(base + CR, 0x301); /* receive, transmit, enable */
    mmio_write(base + ICR, 0x7ff);
    drain();
    interrupts = intid >= 0;
    if (interrupts)
        mmio_write(base + IMSC, INT_RX | INT_RT);
}

void uart_put(char c)
{
    while (mmio_read(base + FR) & FR_TXFF)
        ;
    mmio_write(base + DR, (u8)c);
}

/* Cleared first: a byte that comes after the last look at the FIFO then raises
   the interrupt again. */
void uart_irq(void)
{
    mmio_write(base + ICR, INT_RX | INT_RT);
    drain();
}

/* The interrupt is masked between the look at the ring and WFI, so it cannot
   come in between and be slept over; WFI wakes on a masked interrupt too. */
int uart_get(void)
{
    for (;;) {
        irq_disable();
        if (head != tail)
            break;
        if (interrupts)
            wfi();
        else
            drain();
        irq_enable();
        isb();
    }
    u8 c = ring[tail++ % sizeof ring];
    irq_enable();
    return c;
}

/* Nothing pending, nothing in flight: the next program finds it so. */
void uart_quiet(void)
{
    while (mmio_read(base + FR) & FR_BUSY)
        ;
    mmio_write(base + IMSC, 0);
    mmio_write(base + ICR, 0x7ff);
}
