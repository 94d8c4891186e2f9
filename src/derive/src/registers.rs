//! `registers!`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Ident, LitInt, Result, Token, Visibility, braced, bracketed};

/// A whole table.
pub struct Table {
    docs: Vec<Attribute>,
    vis: Visibility,
    name: Ident,
    bytes: u64,
    rows: Vec<Row>,
}

struct Row {
    docs: Vec<Attribute>,
    offset: u64,
    name: Ident,
    /// Count and stride.
    array: Option<(u64, u64)>,
    access: Access,
    bytes: u64,
    reset: u64,
    modelled: bool,
    fields: Vec<Field>,
}

struct Field {
    docs: Vec<Attribute>,
    span: Span,
    high: u32,
    low: u32,
    name: Ident,
    access: Access,
    modelled: bool,
}

#[derive(Clone, Copy)]
struct Access(&'static str);

fn access(input: ParseStream) -> Result<Option<Access>> {
    if !input.peek(Ident) {
        return Ok(None);
    }
    let ahead = input.fork();
    let word: Ident = ahead.parse()?;
    let access = match word.to_string().as_str() {
        "rw" => "ReadWrite",
        "ro" => "ReadOnly",
        "wo" => "WriteOnly",
        "w1c" => "Write1ToClear",
        "w1s" => "Write1ToSet",
        "rsvd" => "Reserved",
        _ => return Ok(None),
    };
    let _: Ident = input.parse()?;
    Ok(Some(Access(access)))
}

fn bytes_of(word: &Ident) -> Result<u64> {
    match word.to_string().as_str() {
        "u8" => Ok(1),
        "u16" => Ok(2),
        "u32" => Ok(4),
        "u64" => Ok(8),
        _ => Err(Error::new(word.span(), "a width: u8, u16, u32 or u64")),
    }
}

fn number(input: ParseStream) -> Result<u64> {
    input.parse::<LitInt>()?.base10_parse()
}

fn unmodelled(input: ParseStream) -> Result<bool> {
    if !input.peek(Token![:]) {
        return Ok(false);
    }
    let _: Token![:] = input.parse()?;
    let word: Ident = input.parse()?;
    if word == "unmodelled" { Ok(true) } else { Err(Error::new(word.span(), "expected `unmodelled`")) }
}

impl Parse for Table {
    fn parse(input: ParseStream) -> Result<Self> {
        let docs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let name = input.parse()?;
        let _: Token![:] = input.parse()?;
        let bytes = bytes_of(&input.parse()?)?;
        let _: Token![;] = input.parse()?;
        let mut rows = vec![];
        while !input.is_empty() {
            rows.push(row(input, bytes)?);
        }
        Ok(Table { docs, vis, name, bytes, rows })
    }
}

fn row(input: ParseStream, bytes: u64) -> Result<Row> {
    let docs = input.call(Attribute::parse_outer)?;
    let offset = number(input)?;
    let name: Ident = input.parse()?;
    let mut count = None;
    if input.peek(syn::token::Bracket) {
        let inner;
        bracketed!(inner in input);
        let n = number(&inner)?;
        let mut stride = None;
        if inner.peek(Token![;]) {
            let _: Token![;] = inner.parse()?;
            stride = Some(number(&inner)?);
        }
        count = Some((n, stride));
    }
    let access = access(input)?.ok_or_else(|| input.error("access: rw, ro, wo, w1c, w1s or rsvd"))?;
    let bytes = if input.peek(Ident) { bytes_of(&input.parse()?)? } else { bytes };
    let mut reset = 0;
    if input.peek(Token![=]) {
        let _: Token![=] = input.parse()?;
        reset = number(input)?;
    }
    let modelled = !unmodelled(input)?;
    let mut fields = vec![];
    if input.peek(syn::token::Brace) {
        let inner;
        braced!(inner in input);
        while !inner.is_empty() {
            fields.push(field(&inner, access)?);
            if !inner.is_empty() {
                let _: Token![,] = inner.parse()?;
            }
        }
    }
    let array = count.map(|(n, stride)| (n, stride.unwrap_or(bytes)));
    let row = Row { docs, offset, name, array, access, bytes, reset, modelled, fields };
    check(&row)?;
    Ok(row)
}

fn field(input: ParseStream, register: Access) -> Result<Field> {
    let docs = input.call(Attribute::parse_outer)?;
    let span = input.span();
    let high: u32 = input.parse::<LitInt>()?.base10_parse()?;
    let mut low = high;
    if input.peek(Token![:]) {
        let _: Token![:] = input.parse()?;
        low = input.parse::<LitInt>()?.base10_parse()?;
    }
    let name = input.parse()?;
    let access = access(input)?.unwrap_or(register);
    let modelled = !unmodelled(input)?;
    Ok(Field { docs, span, high, low, name, access, modelled })
}

fn check(row: &Row) -> Result<()> {
    let bits = 8 * row.bytes as u32;
    let mut used = 0u64;
    for f in &row.fields {
        if f.low > f.high || f.high >= bits {
            return Err(Error::new(f.span, format!("bits {}:{} are not in a register of {bits}", f.high, f.low)));
        }
        let mask = (u64::MAX >> (63 - (f.high - f.low))) << f.low;
        if used & mask != 0 {
            return Err(Error::new(f.span, format!("{} overlaps another field of {}", f.name, row.name)));
        }
        used |= mask;
    }
    if bits < 64 && row.reset >> bits != 0 {
        return Err(Error::new(row.name.span(), "the reset value does not fit"));
    }
    if row.array.is_some_and(|(count, stride)| count == 0 || stride < row.bytes) {
        return Err(Error::new(row.name.span(), "an array has at least one register, and none overlap"));
    }
    Ok(())
}

/// Refuses registers that cover the same bytes, except that a read-only and a write-only one may
/// share an offset, as datasheets have it.
fn check_overlap(rows: &[Row]) -> Result<()> {
    let covers = |r: &Row, at: u64| match r.array {
        None => (r.offset..r.offset + r.bytes).contains(&at),
        Some((count, stride)) => at >= r.offset && (at - r.offset) / stride < count && (at - r.offset) % stride < r.bytes,
    };
    for (n, a) in rows.iter().enumerate() {
        for b in &rows[..n] {
            let views = matches!(
                (a.access.0, b.access.0),
                ("ReadOnly", "WriteOnly" | "Write1ToClear" | "Write1ToSet") | ("WriteOnly" | "Write1ToClear" | "Write1ToSet", "ReadOnly")
            );
            let (count, stride) = a.array.unwrap_or((1, a.bytes));
            let meets = (0..count).any(|i| (0..a.bytes).any(|byte| covers(b, a.offset + i * stride + byte)));
            if meets && !views {
                return Err(Error::new(a.name.span(), format!("{} overlaps {}", a.name, b.name)));
            }
        }
    }
    Ok(())
}

fn doc_text(docs: &[Attribute]) -> String {
    let mut text = String::new();
    for attr in docs {
        if let syn::Meta::NameValue(meta) = &attr.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(s), .. }) = &meta.value
        {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(s.value().trim());
        }
    }
    text
}

pub fn expand(table: &Table) -> Result<TokenStream> {
    check_overlap(&table.rows)?;
    let (vis, name, docs) = (&table.vis, &table.name, &table.docs);
    let _ = table.bytes;
    let mut consts = TokenStream::new();
    let mut infos = vec![];
    for row in &table.rows {
        let (row_name, offset, reset) = (&row.name, row.offset, row.reset);
        let label = row_name.to_string();
        let (doc, bytes) = (doc_text(&row.docs), row.bytes);
        let says = if doc.is_empty() { format!("Offset of {label}.") } else { doc.clone() };
        let reset_name = format_ident!("{row_name}_RESET");
        let reset_doc = format!("Value of {label} after reset.");
        consts.extend(quote! {
            #[doc = #says] #[allow(dead_code)] #vis const #row_name: u64 = #offset;
            #[doc = #reset_doc] #[allow(dead_code)] #vis const #reset_name: u64 = #reset;
        });
        let (count, stride) = row.array.unwrap_or((1, bytes));
        if row.array.is_some() {
            let (count_name, stride_name) = (format_ident!("{row_name}_COUNT"), format_ident!("{row_name}_STRIDE"));
            let (count_doc, stride_doc) = (format!("Number of {label} registers."), format!("Bytes from one {label} to the next."));
            consts.extend(quote! {
                #[doc = #count_doc] #[allow(dead_code)] #vis const #count_name: u64 = #count;
                #[doc = #stride_doc] #[allow(dead_code)] #vis const #stride_name: u64 = #stride;
            });
        }
        let mut fields = vec![];
        for f in &row.fields {
            let mask = (u64::MAX >> (63 - (f.high - f.low))) << f.low;
            let (field_label, doc) = (f.name.to_string(), doc_text(&f.docs));
            let says = if doc.is_empty() { format!("{label}.{field_label}, bits {}:{}.", f.high, f.low) } else { doc.clone() };
            let mask_name = format_ident!("{row_name}_{}", f.name);
            consts.extend(quote! { #[doc = #says] #[allow(dead_code)] #vis const #mask_name: u64 = #mask; });
            let (low, width, modelled) = (f.low, f.high - f.low + 1, f.modelled);
            let access = format_ident!("{}", f.access.0);
            fields.push(quote! {
                ::proteus_model::FieldInfo {
                    name: #field_label, lsb: #low, bits: #width, modelled: #modelled, doc: #doc,
                    access: ::proteus_model::RegAccess::#access,
                }
            });
        }
        let (width, access) = (format_ident!("B{bytes}"), format_ident!("{}", row.access.0));
        let modelled = row.modelled;
        infos.push(quote! {
            ::proteus_model::RegisterInfo {
                name: #label, offset: #offset, width: ::proteus_model::Width::#width,
                count: #count, stride: #stride, access: ::proteus_model::RegAccess::#access,
                reset: #reset, modelled: #modelled, fields: &[#(#fields),*], doc: #doc,
            }
        });
    }
    Ok(quote! {
        #consts
        #(#docs)*
        #[allow(dead_code)]
        #vis const #name: &[::proteus_model::RegisterInfo] = &[#(#infos),*];
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_cannot_be_are_refused() {
        let cases = [
            ("T: u32; 0 A rw 4 B rw", None),
            ("T: u32; 0 A ro 0 B wo", None),
            ("T: u32; 0 A[4; 0x10] rw 4 B[4; 0x10] rw", None),
            ("T: u32; 0 A rw 2 B rw u8", Some("B overlaps A")),
            ("T: u32; 0 A[4] rw 0xc B rw", Some("B overlaps A")),
            ("T: u32; 0 A rw 0 B ro", Some("B overlaps A")),
            ("T: u32; 0 A rw { 7:0 X, 7 Y }", Some("Y overlaps another field of A")),
            ("T: u32; 0 A rw { 32 X }", Some("are not in a register of 32")),
            ("T: u32; 0 A rw { 3:4 X }", Some("are not in a register")),
            ("T: u8; 0 A rw = 0x100", Some("reset value does not fit")),
            ("T: u32; 0 A[0] rw", Some("at least one register")),
            ("T: u32; 0 A[2; 2] rw", Some("none overlap")),
            ("T: u32; 0 A { 0 X }", Some("access: rw")),
            ("T: u32; 0 A rw: later", Some("expected `unmodelled`")),
            ("T: u24;", Some("a width")),
        ];
        for (text, wrong) in cases {
            let error = syn::parse_str::<Table>(text).and_then(|t| expand(&t)).err().map(|e| e.to_string());
            match (wrong, &error) {
                (None, None) => {}
                (Some(wrong), Some(error)) if error.contains(wrong) => {}
                _ => panic!("{text}: {error:?}"),
            }
        }
    }
}
