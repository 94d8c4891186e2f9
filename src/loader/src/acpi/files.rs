//! The files of ACPI tables in the firmware configuration device, and the commands by which firmware
//! puts them into memory (QEMU, docs/specs/fw_cfg, and the table loader of SeaBIOS and EDK2). What
//! firmware does with them is done here for boards that have none.

/// Names of the files in the firmware configuration device.
pub const TABLES_FILE: &str = "etc/acpi/tables";
/// See [`TABLES_FILE`].
pub const RSDP_FILE: &str = "etc/acpi/rsdp";
/// See [`TABLES_FILE`].
pub const LOADER_FILE: &str = "etc/table-loader";

/// The contents of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// All tables but the RSDP, one after another.
    pub tables: Vec<u8>,
    /// The root pointer.
    pub rsdp: Vec<u8>,
    /// What firmware has to do with them.
    pub loader: Vec<u8>,
    steps: Vec<Step>,
}

/// The length of a root pointer.
pub const RSDP_LEN: usize = 20;

impl Files {
    /// Root pointer and tables as they are in memory at this address, the tables behind it.
    pub fn placed(&self, address: u32) -> Vec<u8> {
        let start = RSDP_LEN.next_multiple_of(ALIGN as usize);
        let mut memory = self.rsdp.clone();
        memory.resize(start, 0);
        memory.extend(&self.tables);
        let base = |of: Of| if of == Of::Tables { start } else { 0 };
        for step in &self.steps {
            match *step {
                Step::Pointer { of, at, len } => {
                    let field = &mut memory[base(of) + at..][..len];
                    // The distance fits in 32 bits, and so does the sum.
                    let distance = field.iter().take(4).rev().fold(0u32, |n, byte| n << 8 | u32::from(*byte));
                    field[..4].copy_from_slice(&distance.wrapping_add(address + start as u32).to_le_bytes());
                }
                Step::Checksum { of, at, start, len } => {
                    let sum = memory[base(of) + start..][..len].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
                    memory[base(of) + at] = sum.wrapping_neg();
                }
            }
        }
        memory
    }
}

/// Length of a table's header.
pub(super) const HEADER: usize = 36;
const OEM: &[u8; 6] = b"PROTEU";
const OEM_TABLE: &[u8; 8] = b"PROTEUSP";
const CREATOR: &[u8; 4] = b"PROT";
const FACS_LEN: u32 = 64;
/// Of the tables' start: the FACS has the strictest.
const ALIGN: u32 = 64;

/// Where firmware puts a file: anywhere in memory, or below 1 MiB where the root pointer is sought.
#[derive(Clone, Copy)]
enum Zone {
    High = 1,
    Fseg = 2,
}

/// One of the two files that get into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Tables,
    Rsdp,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::Tables => TABLES_FILE,
            Of::Rsdp => RSDP_FILE,
        }
    }
}

/// What is to be done once the files have their places, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The field at `at` is the distance of a table from the start of the tables: its address is wanted.
    Pointer { of: Of, at: usize, len: usize },
    /// The byte at `at` makes the sum of the bytes from `start` on 0.
    Checksum { of: Of, at: usize, start: usize, len: usize },
}

/// Collects tables, and what is to be done with them.
#[derive(Default)]
pub(super) struct Builder {
    tables: Vec<u8>,
    steps: Vec<Step>,
}

const COMMAND_LEN: usize = 128;
const FILE_LEN: usize = 56;
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;

/// Writes the commands.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    fn command(&mut self, command: u32, files: &[&str], rest: &[u8]) {
        let start = self.0.len();
        self.0.extend(command.to_le_bytes());
        for (n, file) in files.iter().enumerate() {
            self.0.extend(file.as_bytes());
            self.0.resize(start + 4 + (n + 1) * FILE_LEN, 0);
        }
        self.0.extend(rest);
        self.0.resize(start + COMMAND_LEN, 0);
    }

    fn allocate(&mut self, of: Of, align: u32, zone: Zone) {
        let [a, b, c, d] = align.to_le_bytes();
        self.command(ALLOCATE, &[of.name()], &[a, b, c, d, zone as u8]);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pointer { of, at, len } => {
                let [a, b, c, d] = (at as u32).to_le_bytes();
                self.command(ADD_POINTER, &[of.name(), TABLES_FILE], &[a, b, c, d, len as u8]);
            }
            Step::Checksum { of, at, start, len } => {
                let words = [at as u32, start as u32, len as u32];
                self.command(ADD_CHECKSUM, &[of.name()], &words.map(u32::to_le_bytes).concat());
            }
        }
    }
}

impl Builder {
    /// Adds the firmware control structure, which has no header of the others'.
    pub fn facs(&mut self) -> usize {
        let at = self.tables.len().next_multiple_of(ALIGN as usize);
        self.tables.resize(at, 0);
        self.tables.extend(b"FACS");
        self.tables.extend(FACS_LEN.to_le_bytes());
        self.tables.resize(at + FACS_LEN as usize, 0);
        self.tables[at + 32] = 1;
        at
    }

    /// Adds a table without pointers, with its header and its sum; gives where it is.
    pub fn table(&mut self, signature: &[u8; 4], revision: u8, body: &[u8]) -> usize {
        let at = self.unfinished(signature, revision, body);
        self.checksum(at);
        at
    }

    /// Adds the fixed table, which points to two others.
    pub fn fadt(&mut self, revision: u8, body: &[u8], facs: Option<usize>, dsdt: usize) -> usize {
        let at = self.unfinished(b"FACP", revision, body);
        if let Some(facs) = facs {
            self.pointer(at + 36, facs, 4);
        }
        self.pointer(at + 40, dsdt, 4);
        self.pointer(at + 140, dsdt, 8);
        self.checksum(at);
        at
    }

    /// Adds a table with its header; gives where it is.
    fn unfinished(&mut self, signature: &[u8; 4], revision: u8, body: &[u8]) -> usize {
        let at = self.tables.len().next_multiple_of(16);
        self.tables.resize(at, 0);
        self.tables.extend(signature);
        self.tables.extend(((HEADER + body.len()) as u32).to_le_bytes());
        self.tables.extend([revision, 0]);
        self.tables.extend(OEM);
        self.tables.extend(OEM_TABLE);
        self.tables.extend(1u32.to_le_bytes());
        self.tables.extend(CREATOR);
        self.tables.extend(1u32.to_le_bytes());
        self.tables.extend(body);
        at
    }

    fn pointer(&mut self, at: usize, to: usize, len: usize) {
        self.tables[at..at + 4].copy_from_slice(&(to as u32).to_le_bytes());
        self.steps.push(Step::Pointer { of: Of::Tables, at, len });
    }

    /// The last table's.
    fn checksum(&mut self, table: usize) {
        self.steps.push(Step::Checksum { of: Of::Tables, at: table + 9, start: table, len: self.tables.len() - table });
    }

    /// Adds the root table, of these, and the root pointer.
    pub fn root(mut self, tables: &[usize]) -> Files {
        let rsdt = self.unfinished(b"RSDT", 1, &vec![0; 4 * tables.len()]);
        for (n, table) in tables.iter().enumerate() {
            self.pointer(rsdt + HEADER + 4 * n, *table, 4);
        }
        self.checksum(rsdt);
        let mut rsdp = b"RSD PTR ".to_vec();
        rsdp.push(0);
        rsdp.extend(OEM);
        rsdp.push(0);
        rsdp.extend((rsdt as u32).to_le_bytes());
        self.steps.push(Step::Pointer { of: Of::Rsdp, at: 16, len: 4 });
        self.steps.push(Step::Checksum { of: Of::Rsdp, at: 8, start: 0, len: RSDP_LEN });
        let mut script = Script::default();
        script.allocate(Of::Tables, ALIGN, Zone::High);
        script.allocate(Of::Rsdp, 16, Zone::Fseg);
        self.steps.iter().for_each(|step| script.step(step));
        Files { tables: self.tables, rsdp, loader: script.0, steps: self.steps }
    }
}
