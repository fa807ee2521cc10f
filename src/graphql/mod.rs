//! The GraphQL schema and its resolvers, one file for each noun. A resolver has three steps: parse and
//! bound its arguments, load, map.
//!
//! Infrastructure (context, errors, pagination, documents, guard, fast JSON and the like) imports no
//! nouns; nouns may refer to each other.

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

use std::sync::LazyLock;

use crate::config::Settings;

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

/// Builder of the schema. Without introspection, clients cannot query `__schema`, and error messages
/// suggest no names.
#[must_use]
pub fn schema(settings: &Settings) -> SchemaBuilder {
    // The guard has checked the nesting before. The library's own limit must not be lower, because it
    // rejects documents without a code.
    let builder = Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .limit_recursive_depth(settings.limits.document.expanded_nesting);
    if settings.introspection() {
        return builder;
    }
    builder.disable_introspection().disable_suggestions()
}

/// The schema in the schema definition language with its cache hints: the text of `schema.graphql`.
/// Printed once per process.
#[must_use]
pub fn sdl() -> &'static str {
    static SDL: LazyLock<String> = LazyLock::new(|| {
        let schema =
            Schema::build(Query::default(), Mutation::default(), EmptySubscription).finish();
        cache_hints::with_hints(&schema.sdl_with_options(SDLExportOptions::new()))
    });
    &SDL
}
