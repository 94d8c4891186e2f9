//! State that can be saved, loaded, reset and looked at: declared once, by `#[derive(State)]`.
//!
//! The encoding is little-endian and self-describing: a struct is its version, its number of
//! fields, and each field's name before its value. A load that meets another version, another
//! field or bytes left over is an error that says where.

use std::collections::VecDeque;

/// Something with state. Made by `#[derive(State)]`; see the crate `proteus-derive` for its
/// attributes.
pub trait State {
    /// Writes the state.
    fn save(&self, w: &mut Writer);

    /// Reads back what `save` wrote. After an error the state is unspecified but valid.
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError>;

    /// Back to the value after construction.
    fn reset_state(&mut self);

    /// Shows the state to an inspector.
    fn inspect(&self, i: &mut Inspector);

    /// Saves a run of values; bytes do it at once.
    #[doc(hidden)]
    fn save_slice(items: &[Self], w: &mut Writer)
    where
        Self: Sized,
    {
        items.iter().for_each(|item| item.save(w));
    }

    /// Loads a run of values.
    #[doc(hidden)]
    fn load_slice(items: &mut [Self], r: &mut Reader<'_>) -> Result<(), StateError>
    where
        Self: Sized,
    {
        items.iter_mut().try_for_each(|item| item.load(r))
    }

    /// Shows a run of values.
    #[doc(hidden)]
    fn inspect_slice(items: &[Self], i: &mut Inspector)
    where
        Self: Sized,
    {
        for (n, item) in items.iter().enumerate() {
            i.child(&n.to_string(), |i| item.inspect(i));
        }
    }
}

/// Why a saved state was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The data ends early.
    #[error("{at}: saved state is cut short")]
    Short {
        /// Path of the field.
        at: String,
    },
    /// Bytes are left over.
    #[error("{at}: {bytes} bytes of saved state are left over")]
    LeftOver {
        /// Path of the value.
        at: String,
        /// How many.
        bytes: usize,
    },
    /// Saved by another version of the code.
    #[error("{at}: saved state has version {found}, this build reads version {expected}")]
    Version {
        /// Path of the struct.
        at: String,
        /// Version in the data.
        found: u32,
        /// Version of this build.
        expected: u32,
    },
    /// Another name or number of fields than this build has.
    #[error("{at}: saved state has '{found}' where '{expected}' belongs")]
    Field {
        /// Path of the struct.
        at: String,
        /// What is in the data.
        found: String,
        /// What this build has.
        expected: String,
    },
    /// A value that cannot be.
    #[error("{at}: saved value {value} is out of range")]
    Value {
        /// Path of the field.
        at: String,
        /// The value.
        value: u64,
    },
}

/// Collects saved state.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends a number of 32 bits.
    pub fn u32(&mut self, n: u32) {
        self.bytes(&n.to_le_bytes());
    }

    /// Appends a number of 64 bits.
    pub fn u64(&mut self, n: u64) {
        self.bytes(&n.to_le_bytes());
    }

    /// Appends a string with its length.
    pub fn str(&mut self, s: &str) {
        self.u32(s.len() as u32);
        self.bytes(s.as_bytes());
    }

    /// Begins a struct.
    pub fn begin(&mut self, version: u32, fields: u32) {
        self.u32(version);
        self.u32(fields);
    }

    /// Writes one field of a struct.
    pub fn field(&mut self, name: &str, value: &dyn Fn(&mut Writer)) {
        self.str(name);
        value(self);
    }

    /// Writes a section: what `f` writes, after its length.
    pub fn section(&mut self, f: impl FnOnce(&mut Writer)) {
        let at = self.out.len();
        self.u32(0);
        f(self);
        let len = (self.out.len() - at - 4) as u32;
        self.out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Reads saved state, knowing where it is for its errors.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; errors begin with `name`.
    pub fn new(name: &str, bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, path: vec![name.into()] }
    }

    /// Path of the value being read.
    pub fn at(&self) -> String {
        self.path.join(".")
    }

    /// Takes `n` raw bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], StateError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| StateError::Short { at: self.at() })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes an array of raw bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| StateError::Short { at: self.at() })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes a number of 32 bits.
    pub fn u32(&mut self) -> Result<u32, StateError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes a number of 64 bits.
    pub fn u64(&mut self) -> Result<u64, StateError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a string.
    pub fn str(&mut self) -> Result<&'a str, StateError> {
        let len = self.u32()?;
        let bytes = self.bytes(len as usize)?;
        std::str::from_utf8(bytes).map_err(|_| self.value(u64::from(len)))
    }

    /// An error about a value that cannot be.
    pub fn value(&self, value: u64) -> StateError {
        StateError::Value { at: self.at(), value }
    }

    /// Begins a struct: checks its version and number of fields.
    pub fn begin(&mut self, version: u32, fields: u32) -> Result<(), StateError> {
        let found = self.u32()?;
        if found != version {
            return Err(StateError::Version { at: self.at(), found, expected: version });
        }
        let found = self.u32()?;
        if found != fields {
            return Err(StateError::Field { at: self.at(), found: format!("{found} fields"), expected: format!("{fields} fields") });
        }
        Ok(())
    }

    /// Reads one field of a struct after checking its name.
    pub fn field(&mut self, name: &str, value: &mut dyn FnMut(&mut Reader<'a>) -> Result<(), StateError>) -> Result<(), StateError> {
        let found = self.str()?;
        if found != name {
            return Err(StateError::Field { at: self.at(), found: found.into(), expected: name.into() });
        }
        self.path.push(name.into());
        value(self)?;
        self.path.pop();
        Ok(())
    }

    /// Reads a section, all of which `f` must consume.
    pub fn section<T>(&mut self, name: &str, f: impl FnOnce(&mut Reader<'a>) -> Result<T, StateError>) -> Result<T, StateError> {
        let len = self.u32()? as usize;
        let mut inner = Reader { rest: self.bytes(len)?, path: self.path.clone() };
        inner.path.push(name.into());
        let value = f(&mut inner)?;
        inner.finish()?;
        Ok(value)
    }

    /// A length that must not be above `max`.
    pub fn length(&mut self, max: usize) -> Result<usize, StateError> {
        let n = self.u32()?;
        if n as usize > max { Err(self.value(n.into())) } else { Ok(n as usize) }
    }

    /// Fails if bytes are left over.
    pub fn finish(&self) -> Result<(), StateError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(StateError::LeftOver { at: self.at(), bytes }),
        }
    }
}

/// A value without parts, in an inspection tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// An unsigned number.
    U64(u64),
    /// A signed number.
    I64(i64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Str(String),
    /// The first bytes, and how many there are.
    Bytes(Vec<u8>, usize),
}

/// A node of an inspection tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Name in its parent.
    pub name: String,
    /// Value, if it is one.
    pub value: Option<Leaf>,
    /// Parts.
    pub children: Vec<Node>,
}

impl Node {
    /// The node at a path with dots, like "uart0.state.fifo".
    pub fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, name| node.children.iter().find(|c| c.name == name))
    }
}

/// Builds an inspection tree.
#[derive(Debug, Default)]
pub struct Inspector {
    node: Node,
}

impl Inspector {
    /// Builds a tree named `name`.
    pub fn tree(name: &str, f: impl FnOnce(&mut Inspector)) -> Node {
        let mut i = Inspector { node: Node { name: name.into(), ..Node::default() } };
        f(&mut i);
        i.node
    }

    /// The value of this node.
    pub fn leaf(&mut self, leaf: Leaf) {
        self.node.value = Some(leaf);
    }

    /// A part of this node.
    pub fn child(&mut self, name: &str, f: impl FnOnce(&mut Inspector)) {
        self.node.children.push(Inspector::tree(name, f));
    }
}

/// Most bytes shown of a long one.
const SHOWN: usize = 64;

macro_rules! int_state {
    ($($int:ty => $leaf:ident as $wide:ty),*) => {$(
        impl State for $int {
            fn save(&self, w: &mut Writer) { w.bytes(&self.to_le_bytes()); }
            fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
                *self = <$int>::from_le_bytes(r.array()?);
                Ok(())
            }
            fn reset_state(&mut self) { *self = 0; }
            fn inspect(&self, i: &mut Inspector) { i.leaf(Leaf::$leaf(*self as $wide)); }
        }
    )*};
}
int_state!(u16 => U64 as u64, u32 => U64 as u64, u64 => U64 as u64,
    i8 => I64 as i64, i16 => I64 as i64, i32 => I64 as i64, i64 => I64 as i64);

impl State for u8 {
    fn save(&self, w: &mut Writer) {
        w.bytes(&[*self]);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        let [byte] = r.array()?;
        *self = byte;
        Ok(())
    }
    fn reset_state(&mut self) {
        *self = 0;
    }
    fn inspect(&self, i: &mut Inspector) {
        i.leaf(Leaf::U64((*self).into()));
    }
    fn save_slice(items: &[u8], w: &mut Writer) {
        w.bytes(items);
    }
    fn load_slice(items: &mut [u8], r: &mut Reader<'_>) -> Result<(), StateError> {
        items.copy_from_slice(r.bytes(items.len())?);
        Ok(())
    }
    fn inspect_slice(items: &[u8], i: &mut Inspector) {
        i.leaf(Leaf::Bytes(items[..items.len().min(SHOWN)].to_vec(), items.len()));
    }
}

impl State for u128 {
    fn save(&self, w: &mut Writer) {
        w.bytes(&self.to_le_bytes());
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        *self = u128::from_le_bytes(r.array()?);
        Ok(())
    }
    fn reset_state(&mut self) {
        *self = 0;
    }
    fn inspect(&self, i: &mut Inspector) {
        i.leaf(Leaf::Str(format!("{self:#x}")));
    }
}

/// Saved as 64 bits, so that a snapshot does not depend on the host.
impl State for usize {
    fn save(&self, w: &mut Writer) {
        w.u64(*self as u64);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        let n = r.u64()?;
        *self = usize::try_from(n).map_err(|_| r.value(n))?;
        Ok(())
    }
    fn reset_state(&mut self) {
        *self = 0;
    }
    fn inspect(&self, i: &mut Inspector) {
        i.leaf(Leaf::U64(*self as u64));
    }
}

impl State for bool {
    fn save(&self, w: &mut Writer) {
        w.bytes(&[u8::from(*self)]);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        *self = match r.array()? {
            [0] => false,
            [1] => true,
            [n] => return Err(r.value(n.into())),
        };
        Ok(())
    }
    fn reset_state(&mut self) {
        *self = false;
    }
    fn inspect(&self, i: &mut Inspector) {
        i.leaf(Leaf::Bool(*self));
    }
}

impl<T: State, const N: usize> State for [T; N] {
    fn save(&self, w: &mut Writer) {
        T::save_slice(self, w);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        T::load_slice(self, r)
    }
    fn reset_state(&mut self) {
        self.iter_mut().for_each(T::reset_state);
    }
    fn inspect(&self, i: &mut Inspector) {
        T::inspect_slice(self, i);
    }
}

/// A vector whose length is fixed at construction (banks, one a core): a load demands the same
/// length, a reset resets the elements. For one that grows, the derive's `max` attribute.
impl<T: State> State for Vec<T> {
    fn save(&self, w: &mut Writer) {
        w.u32(self.len() as u32);
        T::save_slice(self, w);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        let n = r.u32()?;
        if n as usize != self.len() {
            return Err(r.value(n.into()));
        }
        T::load_slice(self, r)
    }
    fn reset_state(&mut self) {
        self.iter_mut().for_each(T::reset_state);
    }
    fn inspect(&self, i: &mut Inspector) {
        T::inspect_slice(self, i);
    }
}

impl<T: State> State for Box<[T]> {
    fn save(&self, w: &mut Writer) {
        w.u32(self.len() as u32);
        T::save_slice(self, w);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        let n = r.u32()?;
        if n as usize != self.len() {
            return Err(r.value(n.into()));
        }
        T::load_slice(self, r)
    }
    fn reset_state(&mut self) {
        self.iter_mut().for_each(T::reset_state);
    }
    fn inspect(&self, i: &mut Inspector) {
        T::inspect_slice(self, i);
    }
}

impl<T: State + Default> State for Option<T> {
    fn save(&self, w: &mut Writer) {
        self.is_some().save(w);
        if let Some(value) = self {
            value.save(w);
        }
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        let mut some = false;
        some.load(r)?;
        *self = None;
        if some { self.insert(T::default()).load(r) } else { Ok(()) }
    }
    fn reset_state(&mut self) {
        *self = None;
    }
    fn inspect(&self, i: &mut Inspector) {
        match self {
            Some(value) => value.inspect(i),
            None => i.leaf(Leaf::Str("none".into())),
        }
    }
}

impl<A: State, B: State> State for (A, B) {
    fn save(&self, w: &mut Writer) {
        self.0.save(w);
        self.1.save(w);
    }
    fn load(&mut self, r: &mut Reader<'_>) -> Result<(), StateError> {
        self.0.load(r)?;
        self.1.load(r)
    }
    fn reset_state(&mut self) {
        self.0.reset_state();
        self.1.reset_state();
    }
    fn inspect(&self, i: &mut Inspector) {
        i.child("0", |i| self.0.inspect(i));
        i.child("1", |i| self.1.inspect(i));
    }
}

/// A sequence that grows and shrinks up to a bound the derive's `max` attribute gives.
pub trait Bounded {
    /// Saves it.
    fn save_bounded(&self, w: &mut Writer);
    /// Loads it; more than `max` elements are an error.
    fn load_bounded(&mut self, max: usize, r: &mut Reader<'_>) -> Result<(), StateError>;
    /// Empties it.
    fn clear_bounded(&mut self);
    /// Shows it.
    fn inspect_bounded(&self, i: &mut Inspector);
}

impl<T: State + Default> Bounded for Vec<T> {
    fn save_bounded(&self, w: &mut Writer) {
        self.save(w);
    }
    fn load_bounded(&mut self, max: usize, r: &mut Reader<'_>) -> Result<(), StateError> {
        let n = r.length(max)?;
        self.clear();
        // Grown as the elements are read, so that a false length allocates nothing.
        for _ in 0..n {
            let mut item = T::default();
            item.load(r)?;
            self.push(item);
        }
        Ok(())
    }
    fn clear_bounded(&mut self) {
        self.clear();
    }
    fn inspect_bounded(&self, i: &mut Inspector) {
        self.inspect(i);
    }
}

impl<T: State + Default> Bounded for VecDeque<T> {
    fn save_bounded(&self, w: &mut Writer) {
        w.u32(self.len() as u32);
        let (a, b) = self.as_slices();
        T::save_slice(a, w);
        T::save_slice(b, w);
    }
    fn load_bounded(&mut self, max: usize, r: &mut Reader<'_>) -> Result<(), StateError> {
        let n = r.length(max)?;
        self.clear();
        for _ in 0..n {
            let mut item = T::default();
            item.load(r)?;
            self.push_back(item);
        }
        Ok(())
    }
    fn clear_bounded(&mut self) {
        self.clear();
    }
    fn inspect_bounded(&self, i: &mut Inspector) {
        for (n, item) in self.iter().enumerate() {
            i.child(&n.to_string(), |i| item.inspect(i));
        }
    }
}

impl Bounded for String {
    fn save_bounded(&self, w: &mut Writer) {
        w.str(self);
    }
    fn load_bounded(&mut self, max: usize, r: &mut Reader<'_>) -> Result<(), StateError> {
        let s = r.str()?;
        if s.len() > max {
            return Err(r.value(s.len() as u64));
        }
        *self = s.into();
        Ok(())
    }
    fn clear_bounded(&mut self) {
        self.clear();
    }
    fn inspect_bounded(&self, i: &mut Inspector) {
        i.leaf(Leaf::Str(self.clone()));
    }
}
