//! The attribute `#[object]`: a GraphQL object type whose fields have one definition each.
//!
//! ```text
//! #[object]
//! impl Card {
//!     /// Name of the card in the app.
//!     fn name(&self, #[graphql(default_with = "Locale::En")] locale: Locale) -> &str {
//!         &self.text(locale).name
//!     }
//!
//!     /// Faction that favours the card.
//!     fn faction(&self, request: &RequestContext) -> Option<Faction> {
//!         request.catalogue.faction(self.0.faction).map(Faction::of)
//!     }
//!
//!     /// The artist.
//!     #[load(user_by_id, Self::artist_id)]
//!     fn artist(&self, loaded: LoadedValue<Arc<UserRow>>) -> Option<Result<User, ApiError>> {
//!         Some(loaded.map_err(ApiError::from).transpose()?.map(User))
//!     }
//!
//!     /// Number of times that the card was drawn.
//!     async fn draw_count(&self, context: &Context<'_>) -> Result<i64, ApiError> { … }
//! }
//! ```
//!
//! - A **plain `fn`** is a field in memory. From it come the library's resolver and the writer of the direct JSON
//!   serializer (`src/graphql/fast_json/`). It may take the request's context, `request: &RequestContext`, before the field's arguments.
//! - With **`#[load(loader, key)]`** the value of a `DataLoader` comes first: the argument `loaded` has its result. `key` is
//!   a method `(&self, &RequestContext)` that returns a key or an `Option` of one; without a key nothing is loaded and the
//!   result is `Ok(None)`.
//!   `#[load(loader, key, columns = Set)]` passes the columns that the selection needs to `key`: a `ColumnSet`.
//! - An **`async fn`** is resolved by the library alone, and a selection set with it has no plan.
//!
//! Arguments of the attribute are those of `async_graphql::Object`. The expansion names items of the module
//! `crate::graphql::fast_json::object`.

mod expand;

use proc_macro::TokenStream;
use syn::{ItemImpl, parse_macro_input};

/// A GraphQL object type whose fields have one definition each: see the crate's documentation.
#[proc_macro_attribute]
pub fn object(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemImpl);
    expand::object(&arguments.into(), item).unwrap_or_else(|error| error.to_compile_error()).into()
}
