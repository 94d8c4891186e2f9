//! Registers of the controller, as the datasheet has them: the control and status registers (CSR)
//! and the bus configuration registers (BCR), which are reached by their numbers.
//!
//! Bits that only say how the chip uses the bus, its buffers and the wire (bursts, thresholds,
//! gaps, deferral) are storage: nothing of it can be seen by a guest. What a guest would notice the
//! lack of is `unmodelled`, and reported when it is used.

use proteus_model::registers;

registers! {
    /// Control and status registers; offsets are twice their numbers.
    pub(super) CSRS: u16;

    0x00 CSR0 rw = 0x0004 {
        0 INIT w1s, 1 STRT w1s, 2 STOP w1s, 3 TDMD w1s, 4 TXON ro, 5 RXON ro, 6 IENA, 7 INTR ro,
        8 IDON w1c, 9 TINT w1c, 10 RINT w1c, 11 MERR w1c, 12 MISS w1c, 13 CERR w1c, 14 BABL w1c, 15 ERR ro
    }
    /// Address of the initialization block
    0x02 CSR1 rw
    0x04 CSR2 rw
    0x06 CSR3 rw {
        2 BSWP: unmodelled, 3 EMBA, 4 DXMT2PD, 5 LAPPEN: unmodelled, 6 DXSUFLO,
        8 IDONM, 9 TINTM, 10 RINTM, 11 MERRM, 12 MISSM, 14 BABLM
    }
    0x08 CSR4 rw = 0x0115 {
        0 JABM, 1 JAB w1c, 2 TXSTRTM, 3 TXSTRT w1c, 4 RCVCCOM, 5 RCVCCO w1c, 6 UINT w1c, 7 UINTCMD w1s, 8 MFCOM, 9 MFCO w1c,
        10 ASTRP_RCV, 11 APAD_XMT, 12 TXDPOLL, 14 DMAPLUS
    }
    0x0a CSR5 rw {
        0 SPND, 1 MPMODE: unmodelled, 2 MPEN: unmodelled, 3 MPINTE, 4 MPINT w1c, 5 MPPLBA: unmodelled, 6 EXDINTE, 7 EXDINT w1c,
        10 SINTE, 11 SINT w1c, 14 LTINTEN, 15 TOKINTD
    }
    0x0c CSR6 ro { 11:8 RLEN, 15:12 TLEN }
    0x0e CSR7 rw {
        0 MIIPDTINTE, 1 MIIPDTINT w1c, 2 MCCIINTE, 3 MCCIINT w1c, 4 MCCINTE, 5 MCCINT w1c, 6 MAPINTE: unmodelled, 7 MAPINT w1c,
        8 MREINTE, 9 MREINT w1c, 10 STINTE, 11 STINT w1c, 12 RXDPOLL, 13 RDMD w1s, 14 RXFRTG, 15 FASTSPND
    }
    /// Logical address filter
    0x10 CSR8[4; 2] rw
    /// Physical address
    0x18 CSR12[3; 2] rw
    /// Mode
    0x1e CSR15 rw {
        0 DRX, 1 DTX, 2 LOOP, 3 DXMTFCS, 4 FCOLL: unmodelled, 5 DRTY, 6 INTL, 8:7 PORTSEL, 9 TSEL, 10 MENDECL, 11 DAPC,
        12 DLNKTST, 13 DRCVPA, 14 DRCVBC, 15 PROM
    }
    /// CSR1 and CSR2 once more
    0x20 CSR16 rw
    0x22 CSR17 rw
    /// Current and next buffers
    0x24 CSR18[6; 2] rw: unmodelled
    /// Base of the receive ring
    0x30 CSR24 rw
    0x32 CSR25 rw
    /// Next and current receive descriptor
    0x34 CSR26 ro
    0x36 CSR27 ro
    0x38 CSR28 ro
    0x3a CSR29 ro
    /// Base of the transmit ring
    0x3c CSR30 rw
    0x3e CSR31 rw
    /// Next and current transmit descriptor
    0x40 CSR32 ro
    0x42 CSR33 ro
    0x44 CSR34 ro
    0x46 CSR35 ro
    /// Descriptors after the next, byte counts and status of the current ones
    0x48 CSR36[11; 2] rw: unmodelled
    /// Interval of looking at the transmit ring, in clocks of the bus, two's complement
    0x5e CSR47 rw
    0x60 CSR48 rw: unmodelled
    /// Interval of looking at the receive ring
    0x62 CSR49 rw
    /// BCR20 once more
    0x74 CSR58 rw = 0x0200 { 7:0 SWSTYLE, 8 SSIZE32 ro, 9 CSRPCNET ro, 10 APERREN: unmodelled }
    /// Previous and next transmit descriptors and buffers
    0x78 CSR60[8; 2] rw: unmodelled
    /// Receive ring counter
    0x90 CSR72 rw
    /// Transmit ring counter
    0x94 CSR74 rw
    /// Receive ring length, two's complement
    0x98 CSR76 rw
    /// Transmit ring length, two's complement
    0x9c CSR78 rw
    /// DMA transfer counter and FIFO thresholds
    0xa0 CSR80 rw = 0x1410
    /// Bus activity timer
    0xa4 CSR82 rw: unmodelled
    /// DMA address and byte count
    0xa8 CSR84[3; 2] rw: unmodelled
    /// Chip identity: version, 0x2625 for the Am79C973, AMD
    0xb0 CSR88 ro = 0x5003
    0xb2 CSR89 ro = 0x0262
    0xb8 CSR92 rw: unmodelled
    0xbc CSR94 ro
    /// Bus time-out
    0xc8 CSR100 rw = 0x0200
    /// Missed frame count
    0xe0 CSR112 rw
    /// Receive collision count
    0xe4 CSR114 rw
    /// OnNow: power management
    0xe8 CSR116 rw: unmodelled
    /// Receive frame alignment
    0xf4 CSR122 rw { 0 RCVALGN: unmodelled }
    /// Test
    0xf8 CSR124 rw { 3 RPA }
    /// Gaps between frames
    0xfa CSR125 rw = 0x603c
}

registers! {
    /// Bus configuration registers; offsets are twice their numbers.
    pub(super) BCRS: u16;

    0x00 BCR0 ro = 0x0005
    0x02 BCR1 ro = 0x0005
    /// Miscellaneous
    0x04 BCR2 rw = 0x0002 { 0 XMAUSEL, 1 ASEL, 3 EADISEL: unmodelled, 7 INTLEVEL: unmodelled, 8 APROMWE, 12 LEDPE, 14 TMAULOOP: unmodelled }
    /// LEDs: which signals light them
    0x08 BCR4 rw = 0x00c0 { 5:0 ACTIVITY, 6 LNKSE, 7 PSE, 8 FDLSE, 9 MPSE, 12 E100, 13 LEDDIS, 14 LEDPOL, 15 LEDOUT ro }
    0x0a BCR5 rw = 0x0084 { 5:0 ACTIVITY, 6 LNKSE, 7 PSE, 8 FDLSE, 9 MPSE, 12 E100, 13 LEDDIS, 14 LEDPOL, 15 LEDOUT ro }
    0x0c BCR6 rw = 0x0088 { 5:0 ACTIVITY, 6 LNKSE, 7 PSE, 8 FDLSE, 9 MPSE, 12 E100, 13 LEDDIS, 14 LEDPOL, 15 LEDOUT ro }
    0x0e BCR7 rw = 0x0090 { 5:0 ACTIVITY, 6 LNKSE, 7 PSE, 8 FDLSE, 9 MPSE, 12 E100, 13 LEDDIS, 14 LEDPOL, 15 LEDOUT ro }
    /// Full duplex
    0x12 BCR9 rw { 0 FDEN, 1 AUIFD, 2 FDRPAD }
    /// I/O base of a chip that is on no PCI
    0x20 BCR16 rw: unmodelled
    0x22 BCR17 rw: unmodelled
    /// Burst and bus control
    0x24 BCR18 rw = 0x9001 { 2:0 LINBC, 4:3 TSTSHDW, 5 BWRITE, 6 BREADE, 7 DWIO ro, 8 EXTREQ, 9 MEMCMD, 11:10 NOUFLO, 15:12 ROMTMG }
    /// EEPROM: one is there, and what it holds is valid
    0x26 BCR19 rw = 0xa000 { 0 EDI: unmodelled, 1 ESK: unmodelled, 2 ECS: unmodelled, 4 EEN: unmodelled, 13 EEDET ro, 14 PREAD w1s, 15 PVALID ro }
    /// Software style
    0x28 BCR20 rw = 0x0200 { 7:0 SWSTYLE, 8 SSIZE32 ro, 9 CSRPCNET ro, 10 APERREN: unmodelled }
    0x2a BCR21 rw: unmodelled
    /// Latencies in configuration space
    0x2c BCR22 rw = 0xff06
    /// Subsystem vendor and subsystem
    0x2e BCR23 ro
    0x30 BCR24 ro
    /// How the chip's own buffers are divided, and what is beside them
    0x32 BCR25 rw
    0x34 BCR26 rw
    0x36 BCR27 rw
    /// Memory beside the chip, such as an expansion ROM
    0x38 BCR28[3; 2] rw: unmodelled
    /// Period of the software timer
    0x3e BCR31 rw = 0xffff
    /// MII control and status
    0x40 BCR32 rw = 0x0400 {
        1 MIIILP, 3 XPHYSP, 4 XPHYFD, 5 XPHYANE, 6 XPHYRST: unmodelled, 7 DANAS, 10:8 APDW, 11 APEP: unmodelled, 13:12 FMDC, 14 MIIPD ro, 15 ANTST
    }
    0x42 BCR33 rw { 4:0 REGAD, 9:5 PHYAD }
    0x44 BCR34 rw
    /// PCI vendor
    0x46 BCR35 ro = 0x1022
    /// Power management and pattern matching, the transceiver's LED and port
    0x48 BCR36[14; 2] rw: unmodelled
}

registers! {
    /// Status of a receive descriptor: its word RMD1 in the layouts of 32 bits, into which the
    /// other ones are turned.
    pub(super) RECEIVE: u32;

    0 RMD1 rw { 11:0 BCNT, 15:12 ONES, 20 BAM, 21 LAFM, 22 PAM, 23 BPE, 24 ENP, 25 STP, 26 BUFF, 27 CRC, 28 OFLO, 29 FRAM, 30 ERR, 31 OWN }
}

registers! {
    /// Status of a transmit descriptor: its words TMD1 and TMD2 in the layouts of 32 bits.
    pub(super) TRANSMIT: u32;

    0 TMD1 rw { 11:0 BCNT, 15:12 ONES, 23 BPE, 24 ENP, 25 STP, 26 DEF, 27 ONE, 28 LTINT, 29 ADD_FCS, 30 ERR, 31 OWN }
    4 TMD2 rw { 3:0 TRC, 26 RTRY, 27 LCAR, 28 LCOL, 29 EXDEF, 30 UFLO, 31 BUFF }
}
