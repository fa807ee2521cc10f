//! The GraphQL schema: what clients may ask and how the answers are put together.
//!
//! A file a noun. A resolver has three steps: read and bound its arguments, load, map.

pub mod admin;
pub mod cache;
pub mod cache_hints;
pub mod card;
mod card_json;
pub mod card_lists;
pub mod category;
pub mod context;
pub mod database;
pub mod document_hash;
pub mod documents;
pub mod enums;
pub mod errors;
pub mod faction;
pub mod fast_json;
pub mod field_costs;
pub mod guard;
pub mod id;
pub mod inputs;
pub mod mutations;
pub mod node;
pub mod pagination;
pub mod public_stats;
pub mod reading;
mod reading_json;
pub mod reading_lists;
pub mod scalars;
pub mod share;
pub mod spread;
pub mod spread_lists;
pub mod spread_picks;
pub mod statistics;
pub mod tag;
pub mod trusted_documents;
pub mod user;
pub mod user_error;
mod user_json;
pub mod variables;
pub mod voice;

use crate::config::limits::DocumentLimits;

use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions};
use mutations::Mutation;

/// Root of all queries.
#[derive(MergedObject, Default)]
pub struct Query(
    node::NodeQuery,
    user::UserQuery,
    card::CardQuery,
    spread::SpreadQuery,
    spread_picks::SpreadPicksQuery,
    voice::VoiceQuery,
    faction::FactionQuery,
    reading::ReadingQuery,
    share::ShareQuery,
    public_stats::PublicStatsQuery,
    admin::AdminQuery,
);

/// The executable schema.
pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// The schema under construction.
pub type SchemaBuilder = async_graphql::SchemaBuilder<Query, Mutation, EmptySubscription>;

/// Builder of the schema. Without introspection, clients cannot query `__schema`, and error
/// messages suggest no names.
#[must_use]
pub fn schema(introspection: bool, limits: &DocumentLimits) -> SchemaBuilder {
    // The guard has counted the nesting already; the library's own limit must not be the lower one,
    // because it refuses without a code.
    let builder = Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_recursive_depth(limits.expanded_nesting);
    if introspection {
        return builder;
    }
    builder.disable_introspection().disable_suggestions()
}

/// The schema in the schema definition language with its cache hints, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    let schema = Schema::build(Query::default(), Mutation::default(), EmptySubscription).finish();
    cache_hints::with_hints(&schema.sdl_with_options(SDLExportOptions::new()))
}
