//! `#[derive(State)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Expr, Fields, Ident, LitInt, Member, Result, Type};

/// Attributes of one field.
#[derive(Default)]
struct FieldAttrs {
    skip: bool,
    keep: bool,
    reset: Option<Expr>,
    max: Option<Expr>,
}

fn field_attrs(field: &syn::Field) -> Result<FieldAttrs> {
    let mut attrs = FieldAttrs::default();
    for attr in field.attrs.iter().filter(|a| a.path().is_ident("state")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                attrs.skip = true;
            } else if meta.path.is_ident("keep") {
                attrs.keep = true;
            } else if meta.path.is_ident("reset") {
                attrs.reset = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("max") {
                attrs.max = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error("unknown attribute: skip, keep, reset = value or max = count"));
            }
            Ok(())
        })?;
    }
    let first = |ty: &Type| match ty {
        Type::Path(p) => p.path.segments.last().map(|s| s.ident.to_string()),
        _ => None,
    };
    if attrs.skip && (attrs.keep || attrs.reset.is_some() || attrs.max.is_some()) {
        return Err(Error::new_spanned(field, "a skipped field is neither saved nor reset: skip stands alone"));
    }
    if attrs.keep && attrs.reset.is_some() {
        return Err(Error::new_spanned(field, "keep and reset exclude each other"));
    }
    if !attrs.skip
        && attrs.max.is_none()
        && let Some(ty @ ("VecDeque" | "String")) = first(&field.ty).as_deref()
    {
        return Err(Error::new_spanned(&field.ty, format!("a {ty} needs a bound: #[state(max = count)]")));
    }
    Ok(attrs)
}

fn version(input: &DeriveInput) -> Result<u32> {
    let mut version = 1;
    for attr in input.attrs.iter().filter(|a| a.path().is_ident("state")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("version") {
                return Err(meta.error("unknown attribute: version = number"));
            }
            version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            Ok(())
        })?;
    }
    Ok(version)
}

pub fn derive(input: &DeriveInput) -> Result<TokenStream> {
    match &input.data {
        Data::Struct(data) => derive_struct(input, &data.fields),
        Data::Enum(data) => derive_enum(input, data),
        Data::Union(_) => Err(Error::new_spanned(input, "State is for structs and enums")),
    }
}

fn derive_struct(input: &DeriveInput, fields: &Fields) -> Result<TokenStream> {
    let version = version(input)?;
    let (mut save, mut load, mut reset, mut inspect) = (vec![], vec![], vec![], vec![]);
    let mut count = 0u32;
    for (n, field) in fields.iter().enumerate() {
        let attrs = field_attrs(field)?;
        if attrs.skip {
            continue;
        }
        count += 1;
        let member: Member = field.ident.clone().map_or(Member::from(n), Member::from);
        let name = match &member {
            Member::Named(ident) => ident.to_string().trim_start_matches("r#").to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        let m = quote!(::proteus_model);
        if let Some(max) = &attrs.max {
            save.push(quote!(w.field(#name, &|w| #m::Bounded::save_bounded(&self.#member, w));));
            load.push(quote!(r.field(#name, &mut |r| #m::Bounded::load_bounded(&mut self.#member, #max, r))?;));
            inspect.push(quote!(i.child(#name, |i| #m::Bounded::inspect_bounded(&self.#member, i));));
        } else {
            save.push(quote!(w.field(#name, &|w| #m::State::save(&self.#member, w));));
            load.push(quote!(r.field(#name, &mut |r| #m::State::load(&mut self.#member, r))?;));
            inspect.push(quote!(i.child(#name, |i| #m::State::inspect(&self.#member, i));));
        }
        match (&attrs.reset, &attrs.max) {
            _ if attrs.keep => {}
            (Some(value), _) => reset.push(quote!(self.#member = #value;)),
            (None, Some(_)) => reset.push(quote!(#m::Bounded::clear_bounded(&mut self.#member);)),
            (None, None) => reset.push(quote!(#m::State::reset_state(&mut self.#member);)),
        }
    }
    let body = quote! {
        fn save(&self, w: &mut ::proteus_model::Writer) {
            w.begin(#version, #count);
            #(#save)*
        }
        fn load(
            &mut self,
            r: &mut ::proteus_model::Reader<'_>,
        ) -> ::core::result::Result<(), ::proteus_model::StateError> {
            r.begin(#version, #count)?;
            #(#load)*
            ::core::result::Result::Ok(())
        }
        fn reset_state(&mut self) {
            #(#reset)*
        }
        fn inspect(&self, i: &mut ::proteus_model::Inspector) {
            let _ = &i;
            #(#inspect)*
        }
    };
    Ok(implement(input, &body))
}

fn implement(input: &DeriveInput, body: &TokenStream) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for param in generics.type_params_mut() {
        param.bounds.push(syn::parse_quote!(::proteus_model::State));
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics ::proteus_model::State for #name #ty_generics #where_clause {
            #body
        }
    }
}

fn repr(input: &DeriveInput) -> Result<Ident> {
    let mut found = None;
    for attr in input.attrs.iter().filter(|a| a.path().is_ident("repr")) {
        attr.parse_nested_meta(|meta| {
            for int in ["u8", "u16", "u32", "u64"] {
                if meta.path.is_ident(int) {
                    found = Some(format_ident!("{int}"));
                }
            }
            Ok(())
        })?;
    }
    found.ok_or_else(|| Error::new_spanned(&input.ident, "an enum with State needs #[repr(u8)], u16, u32 or u64"))
}

fn derive_enum(input: &DeriveInput, data: &syn::DataEnum) -> Result<TokenStream> {
    let repr = repr(input)?;
    let name = &input.ident;
    let mut variants = vec![];
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "an enum with State has unit variants only"));
        }
        variants.push(&variant.ident);
    }
    let names = variants.iter().map(ToString::to_string);
    let body = quote! {
        fn save(&self, w: &mut ::proteus_model::Writer) {
            let n: #repr = match self { #(#name::#variants => #name::#variants as #repr,)* };
            ::proteus_model::State::save(&n, w);
        }
        fn load(
            &mut self,
            r: &mut ::proteus_model::Reader<'_>,
        ) -> ::core::result::Result<(), ::proteus_model::StateError> {
            let mut n: #repr = 0;
            ::proteus_model::State::load(&mut n, r)?;
            #(if n == #name::#variants as #repr {
                *self = #name::#variants;
                return ::core::result::Result::Ok(());
            })*
            ::core::result::Result::Err(r.value(u64::from(n)))
        }
        fn reset_state(&mut self) {
            *self = ::core::default::Default::default();
        }
        fn inspect(&self, i: &mut ::proteus_model::Inspector) {
            i.leaf(::proteus_model::Leaf::Str(match self { #(#name::#variants => #names,)* }.into()));
        }
    };
    Ok(implement(input, &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn what_cannot_be_saved_is_refused_at_compile_time() {
        let cases: [(DeriveInput, &str); 9] = [
            (
                parse_quote!(
                    struct S {
                        q: std::collections::VecDeque<u8>,
                    }
                ),
                "a VecDeque needs a bound",
            ),
            (
                parse_quote!(
                    struct S {
                        #[state(keep)]
                        q: String,
                    }
                ),
                "a String needs a bound",
            ),
            (
                parse_quote!(
                    struct S {
                        #[state(skip, keep)]
                        q: u8,
                    }
                ),
                "skip stands alone",
            ),
            (
                parse_quote!(
                    struct S {
                        #[state(keep, reset = 1)]
                        q: u8,
                    }
                ),
                "exclude each other",
            ),
            (
                parse_quote!(
                    struct S {
                        #[state(ignore)]
                        q: u8,
                    }
                ),
                "unknown attribute",
            ),
            (
                parse_quote!(
                    #[state(name = 1)]
                    struct S {
                        q: u8,
                    }
                ),
                "unknown attribute",
            ),
            (
                parse_quote!(
                    enum E {
                        A,
                    }
                ),
                "needs #[repr(u8)]",
            ),
            (
                parse_quote!(
                    #[repr(u8)]
                    enum E {
                        A(u8),
                    }
                ),
                "unit variants only",
            ),
            (parse_quote!(union U { a: u8 }), "structs and enums"),
        ];
        for (input, what) in cases {
            let error = derive(&input).unwrap_err().to_string();
            assert!(error.contains(what), "{error} does not say {what}");
        }
    }
}
