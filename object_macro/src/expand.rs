//! Expansion: each plain `fn` becomes an inherent method, an asynchronous resolver that calls it, and an arm of the plan.

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, FnArg, ImplItem, ImplItemFn, ItemImpl, LitStr, Meta, Pat, PatType,
    Path, Result, ReturnType, Token, Type,
};

/// The implementation of `async_graphql::Object` and of `JsonObject`.
pub(crate) fn object(arguments: &TokenStream, mut item: ItemImpl) -> Result<TokenStream> {
    let type_name = match &*item.self_ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    };
    let type_name = type_name
        .ok_or_else(|| Error::new_spanned(&item.self_ty, "expected the name of a type"))?;
    let mut methods = Vec::new();
    let mut arms = Vec::new();
    let mut otherwise = quote!(return ::std::option::Option::None);
    for member in &mut item.items {
        let ImplItem::Fn(method) = member else { continue };
        if method.sig.asyncness.is_some() {
            continue;
        }
        let field = Field::parse(method, &type_name)?;
        methods.push(field.method());
        if graphql_entry(&method.attrs, "flatten")?.is_some() {
            let method = &field.method;
            otherwise = quote!(return FieldWriter::flattened(planner, selected, |object: &Self| object.#method()));
        } else {
            arms.push(field.plan_arm());
        }
        *method = field.resolver()?;
    }
    let (generics, _, conditions) = item.generics.split_for_impl();
    let name = &item.self_ty;
    let value = json_value(&item);
    Ok(quote! {
        impl #generics #name #conditions {
            #(#methods)*
        }

        #[::async_graphql::Object(#arguments)]
        #item

        impl #generics crate::graphql::fast_json::object::JsonObject for #name #conditions {
            fn plan_field<'plan>(
                planner: &mut crate::graphql::fast_json::object::Planner<'plan>,
                selected: &crate::graphql::fast_json::object::SelectedField<'plan>,
            ) -> ::std::option::Option<crate::graphql::fast_json::object::FieldWriter<Self>> {
                use crate::graphql::fast_json::object::{FieldWriter, JsonValue};
                ::std::option::Option::Some(match selected.name() {
                    #(#arms)*
                    _ => #otherwise,
                })
            }
        }

        #value
    })
}

/// The implementation of `JsonValue` by the plan of an object.
fn json_value(item: &ItemImpl) -> TokenStream {
    let (generics, _, conditions) = item.generics.split_for_impl();
    let name = &item.self_ty;
    quote! {
        impl #generics crate::graphql::fast_json::object::JsonValue for #name #conditions {
            type Plan = crate::graphql::fast_json::object::ObjectPlan<Self>;

            fn plan<'plan>(
                planner: &mut crate::graphql::fast_json::object::Planner<'plan>,
                selected: &crate::graphql::fast_json::object::SelectedField<'plan>,
            ) -> ::std::option::Option<Self::Plan> {
                planner.object(selected)
            }

            fn has_loads(plan: &Self::Plan) -> bool {
                plan.has_loads()
            }

            fn visit(
                &self,
                plan: &Self::Plan,
                request: &crate::graphql::context::RequestContext,
                visit: &mut crate::graphql::fast_json::object::Visit<'_>,
            ) -> ::std::option::Option<()> {
                plan.visit(self, request, visit)
            }
        }
    }
}

/// A field in memory.
struct Field {
    source: ImplItemFn,
    /// Name in the schema.
    name: String,
    /// Type and name, for statement statistics.
    path: String,
    method: Ident,
    /// True if the method takes the request's context.
    takes_request: bool,
    load: Option<Load>,
    arguments: Vec<Argument>,
}

/// The attribute `#[load(loader, key, columns = Set)]`.
struct Load {
    loader: Ident,
    key: Path,
    columns: Option<Path>,
}

/// An argument of the field.
struct Argument {
    source: PatType,
    variable: Ident,
    name: String,
    default: Option<Expr>,
}

impl Parse for Load {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let loader = input.parse()?;
        input.parse::<Token![,]>()?;
        let key = input.parse()?;
        if input.is_empty() {
            return Ok(Self { loader, key, columns: None });
        }
        input.parse::<Token![,]>()?;
        let name: Ident = input.parse()?;
        if name != "columns" {
            return Err(Error::new(name.span(), "only `columns` may follow the key"));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { loader, key, columns: Some(input.parse()?) })
    }
}

impl Load {
    /// The key of an object, as an `Option`.
    fn key_of(&self, object: &TokenStream) -> TokenStream {
        let Self { key, columns, .. } = self;
        let columns = columns.as_ref().map(|_| quote!(, columns));
        quote!(::std::convert::Into::<::std::option::Option<_>>::into(#key(#object, request #columns)))
    }
}

impl Field {
    fn parse(method: &ImplItemFn, type_name: &str) -> Result<Self> {
        let mut source = method.clone();
        let is_load = |attribute: &Attribute| attribute.path().is_ident("load");
        let load = source.attrs.iter().find(|attribute| is_load(attribute));
        let load = load.map(Attribute::parse_args::<Load>).transpose()?;
        source.attrs.retain(|attribute| !is_load(attribute));
        refuse_entries(&source.attrs, &["name", "flatten", "deprecation"])?;
        let mut inputs = source.sig.inputs.iter();
        if !matches!(inputs.next(), Some(FnArg::Receiver(_))) {
            return Err(Error::new_spanned(&source.sig, "a field takes `&self`"));
        }
        let mut takes_request = false;
        let mut arguments = Vec::new();
        for input in inputs {
            let FnArg::Typed(input) = input else { continue };
            let Pat::Ident(variable) = &*input.pat else {
                return Err(Error::new_spanned(input, "an argument is a name with a type"));
            };
            match variable.ident.to_string().as_str() {
                "request" => takes_request = true,
                "loaded" if load.is_some() => {}
                _ => arguments.push(Argument::parse(input.clone(), variable.ident.clone())?),
            }
        }
        let name = graphql_text(&source.attrs, "name")?
            .map_or_else(|| camel_case(&source.sig.ident.to_string()), |name| name.value());
        let method = format_ident!("{}_in_memory", source.sig.ident);
        let path = format!("{type_name}.{name}");
        Ok(Self { source, name, path, method, takes_request, load, arguments })
    }

    /// The definition, as an inherent method.
    fn method(&self) -> TokenStream {
        let mut method = self.source.clone();
        method.sig.ident = self.method.clone();
        method.vis = syn::Visibility::Inherited;
        method.attrs.retain(|attribute| attribute.path().is_ident("expect"));
        for input in &mut method.sig.inputs {
            if let FnArg::Typed(input) = input {
                input.attrs.clear();
            }
        }
        // The definition of a loaded value may need nothing of its object.
        quote!(#[allow(clippy::unused_self)] #method)
    }

    /// The library's resolver.
    fn resolver(&self) -> Result<ImplItemFn> {
        let Self { source, method, takes_request, load, arguments, .. } = self;
        let ImplItemFn { attrs, vis, sig, .. } = source;
        let (name, generics, output) = (&sig.ident, &sig.generics, &sig.output);
        let lifetime = generics.lifetimes().next().map(|parameter| &parameter.lifetime);
        let receiver = sig.inputs.first();
        let sources = arguments.iter().map(|argument| &argument.source);
        let variables = arguments.iter().map(|argument| &argument.variable);
        let takes_context = *takes_request || load.is_some();
        let context =
            takes_context.then(|| quote!(context: &#lifetime ::async_graphql::Context<'_>,));
        let bind_request =
            takes_context.then(|| quote!(let request = crate::graphql::context::request(context);));
        let pass_request = takes_request.then(|| quote!(request,));
        let (load, loaded) = match load {
            None => (None, None),
            Some(load) => {
                let (field, key) = (&self.path, load.key_of(&quote!(self)));
                let Load { loader, columns, .. } = load;
                let columns = columns.as_ref().map(|set| {
                    quote!(let columns = crate::graphql::fast_json::object::columns_of::<#set>(&context.look_ahead());)
                });
                let load = quote! {
                    #columns
                    let loaded = match #key {
                        ::std::option::Option::Some(key) => {
                            request.loaders.#loader.load_one_for(#field, key).await
                        }
                        ::std::option::Option::None => ::std::result::Result::Ok(::std::option::Option::None),
                    };
                };
                (Some(load), Some(quote!(loaded,)))
            }
        };
        syn::parse2(quote! {
            #(#attrs)*
            #vis async fn #name #generics (#receiver, #context #(#sources,)*) #output {
                #bind_request
                #load
                self.#method(#pass_request #loaded #(#variables,)*)
            }
        })
    }

    /// The arm of `plan_field`.
    fn plan_arm(&self) -> TokenStream {
        let Self { name, method, takes_request, load, arguments, .. } = self;
        let output = self.output();
        let variables = arguments.iter().map(|argument| &argument.variable);
        let arguments = arguments.iter().map(Argument::parse_planned);
        let request = takes_request.then(|| quote!(request,));
        let mut columns_of = None;
        let mut load_value = None;
        if let Some(load) = load {
            let (field, key) = (&self.path, load.key_of(&quote!(object)));
            let Load { loader, columns, .. } = load;
            columns_of = columns
                .as_ref()
                .map(|set| quote!(let columns = planner.columns::<#set>(selected);));
            load_value = Some(quote! {
                let loaded = match #key {
                    ::std::option::Option::None => ::std::result::Result::Ok(::std::option::Option::None),
                    ::std::option::Option::Some(key) => {
                        match visit.loaded(&request.loaders.#loader, #field, key) {
                            ::std::option::Option::Some(loaded) => loaded,
                            ::std::option::Option::None => return visit.wait(),
                        }
                    }
                };
            });
        }
        let loaded = load_value.is_some().then(|| quote!(loaded,));
        let has_load = load_value.is_some();
        quote! {
            #name => {
                #(#arguments)*
                #columns_of
                let plan = <#output as JsonValue>::plan(planner, selected)?;
                let has_loads = #has_load || <#output as JsonValue>::has_loads(&plan);
                FieldWriter::new(has_loads, move |object: &Self, request, visit| {
                    #load_value
                    let value = object.#method(#request #loaded #(::std::clone::Clone::clone(&#variables),)*);
                    JsonValue::visit(&value, &plan, request, visit)
                })
            }
        }
    }

    /// Type of the value, with inferred lifetimes.
    fn output(&self) -> TokenStream {
        match &self.source.sig.output {
            ReturnType::Type(_, output) => infer_lifetimes(quote!(#output)),
            ReturnType::Default => quote!(()),
        }
    }
}

impl Argument {
    fn parse(source: PatType, variable: Ident) -> Result<Self> {
        refuse_entries(&source.attrs, &["name", "desc", "default", "default_with", "secret"])?;
        let name = graphql_text(&source.attrs, "name")?
            .map_or_else(|| camel_case(&variable.to_string()), |name| name.value());
        let default = match graphql_text(&source.attrs, "default_with")? {
            Some(default) => Some(default.parse()?),
            None => match graphql_entry(&source.attrs, "default")? {
                Some(Meta::NameValue(entry)) => Some(entry.value),
                Some(_) => Some(syn::parse_quote!(::std::default::Default::default())),
                None => None,
            },
        };
        Ok(Self { source, variable, name, default })
    }

    /// Parses the argument when the field is planned.
    fn parse_planned(&self) -> TokenStream {
        let Self { source, variable, name, default } = self;
        let kind: &Type = &source.ty;
        let default = default.as_ref().map_or_else(
            || quote!(::std::option::Option::None),
            |default| quote!(::std::option::Option::Some(|| -> #kind { #default })),
        );
        quote!(let #variable: #kind = planner.argument(selected, #name, #default)?;)
    }
}

/// Entries of the attributes `#[graphql(…)]`.
fn graphql_entries(attributes: &[Attribute]) -> Result<Vec<Meta>> {
    let mut entries = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("graphql")) {
        entries.extend(attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?);
    }
    Ok(entries)
}

/// Refuses entries that the library would honour and the writer would not, such as guards.
fn refuse_entries(attributes: &[Attribute], known: &[&str]) -> Result<()> {
    let is_known = |entry: &Meta| known.iter().any(|name| entry.path().is_ident(name));
    match graphql_entries(attributes)?.into_iter().find(|entry| !is_known(entry)) {
        None => Ok(()),
        Some(entry) => Err(Error::new_spanned(entry, "only an `async fn` may have this")),
    }
}

/// An entry of the attributes `#[graphql(…)]`.
fn graphql_entry(attributes: &[Attribute], name: &str) -> Result<Option<Meta>> {
    Ok(graphql_entries(attributes)?.into_iter().find(|entry| entry.path().is_ident(name)))
}

/// The text of an entry of the attributes `#[graphql(…)]`.
fn graphql_text(attributes: &[Attribute], name: &str) -> Result<Option<LitStr>> {
    match graphql_entry(attributes, name)? {
        Some(Meta::NameValue(entry)) => text_of(&entry.value).map(Some),
        Some(other) => Err(Error::new_spanned(other, "expected a string")),
        None => Ok(None),
    }
}

fn text_of(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(Error::new_spanned(other, "expected a string")),
    }
}

/// Name of a field or argument in the schema.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_start = false;
    for character in name.trim_start_matches("r#").chars() {
        match character {
            '_' => is_start = true,
            other if is_start => {
                camel.extend(other.to_uppercase());
                is_start = false;
            }
            other => camel.push(other),
        }
    }
    camel
}

/// The tokens with `'_` for each lifetime.
fn infer_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut inferred = Vec::new();
    let mut is_lifetime = false;
    for token in tokens {
        inferred.push(match token {
            TokenTree::Group(group) => {
                let content = infer_lifetimes(group.stream());
                TokenTree::Group(proc_macro2::Group::new(group.delimiter(), content))
            }
            TokenTree::Ident(name) if is_lifetime && name != "static" => {
                TokenTree::Ident(Ident::new("_", name.span()))
            }
            other => other,
        });
        is_lifetime = matches!(
            inferred.last(),
            Some(TokenTree::Punct(mark)) if mark.as_char() == '\'' && mark.spacing() == Spacing::Joint
        );
    }
    inferred.into_iter().collect()
}
