//! `#[derive(State)]` and `registers!`, both used through `proteus-model`.
#![forbid(unsafe_code)]

mod registers;
mod state;

use proc_macro::TokenStream;

/// Derives `proteus_model::State` for a struct, or for an enum of unit variants with a
/// `#[repr(u8)]` (or u16, u32, u64) and a `Default`.
///
/// On the struct: `#[state(version = 1)]` (default 1): raise it when fields change meaning.
///
/// On a field:
/// - `#[state(skip)]`: configuration, fixed at construction; neither saved nor reset.
/// - `#[state(keep)]`: saved, but survives a reset (battery-backed, non-volatile).
/// - `#[state(reset = expr)]`: value after reset; may use `self`. Without it, numbers become 0,
///   options `None`, arrays and vectors reset element by element, nested state resets itself.
/// - `#[state(max = N)]`: for `Vec`, `VecDeque` and `String` that grow: at most so many elements
///   are loaded, and a reset empties it. `VecDeque` and `String` must have it; a `Vec` without it
///   has the length of its construction.
#[proc_macro_derive(State, attributes(state))]
pub fn derive_state(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    state::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Declares registers as the datasheet prints them.
///
/// ```text
/// registers! {
///     /// Doc comment of the table.
///     pub REGISTERS: u32;
///
///     /// Data register
///     0x000 DR rw { 7:0 DATA, 8 FE ro, 9 PE ro: unmodelled }
///     0x018 FR ro = 0x90 { 7 TXFE, 4 RXFE, 8 RI: unmodelled }
///     0x044 ICR wo
///     0x400 IPRIORITYR[64] rw
///     0x800 ITARGETSR[8; 0x10] rw u8
///     0xfe0 PERIPHID0 ro = 0x11: unmodelled
/// }
/// ```
///
/// A row is offset, name, `[count]` or `[count; stride]`, access (`rw ro wo w1c w1s rsvd`), a
/// width other than the table's, `= reset`, `: unmodelled`, and fields: bit or `high:low`, name,
/// access other than the register's, `: unmodelled`. It gives the constants `DR` (offset, u64),
/// `DR_RESET`, and for each field a mask `DR_DATA` (u64); for an array `IPRIORITYR_COUNT` and
/// `IPRIORITYR_STRIDE`; and the table, a `&[proteus_model::RegisterInfo]`. Overlapping registers
/// or fields, and fields or reset values that do not fit, are errors.
#[proc_macro]
pub fn registers(input: TokenStream) -> TokenStream {
    let table = syn::parse_macro_input!(input as registers::Table);
    registers::expand(&table).unwrap_or_else(syn::Error::into_compile_error).into()
}
