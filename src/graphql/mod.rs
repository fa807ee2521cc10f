//! The GraphQL schema and its resolvers, one file for each noun. A resolver has three steps: parse and
//! bound its arguments, load, map.
//!
//! Infrastructure (context, errors, pagination, documents, guard, fast JSON and the like) imports no
//! nouns; nouns may refer to each other.

pub mod admin;
mod admission;
pub mod audit_log;
pub mod cache;
pub mod cache_hints;
pub mod card;
pub mod card_lists;
pub mod category;
pub mod context;
pub mod database;
pub mod document_hash;
pub mod documents;
pub mod enums;
pub mod error_reporting;
pub mod errors;
pub mod faction;
pub mod fast_json;
pub mod field_collection;
pub mod field_costs;
pub mod guard;
pub mod id;
pub mod input_coercion;
pub mod inputs;
pub mod introspection;
pub mod list;
pub mod mutations;
pub mod node;
pub mod pagination;
pub mod public_stats;
pub mod reading;
pub mod reading_lists;
pub mod scalars;
pub mod share;
pub mod spread;
pub mod spread_lists;
pub mod spread_picks;
pub mod statistics;
pub mod tag;
pub mod trusted_documents;
pub mod type_system;
pub mod user;
pub mod user_error;
pub mod variables;
pub mod voice;

use std::sync::LazyLock;

use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions, ValidationMode};
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

/// The executable schema, for documents that the guard has validated: the library's own validation is reduced to
/// its fastest mode, and its introspection is off. Its limit of nesting must not be lower than that of the guard,
/// because it rejects documents without a code.
#[must_use]
pub fn schema(nesting_maximum: usize) -> Schema {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .validation_mode(ValidationMode::Fast)
        .limit_recursive_depth(nesting_maximum)
        .disable_introspection()
        .disable_suggestions()
        .finish()
}

/// The schema in the schema definition language with its cache hints: the text of `schema.graphql`.
/// Printed once per process.
#[must_use]
pub fn sdl() -> &'static str {
    static SDL: LazyLock<String> = LazyLock::new(|| {
        let schema =
            Schema::build(Query::default(), Mutation::default(), EmptySubscription).finish();
        cache_hints::with_hints(
            &schema.sdl_with_options(SDLExportOptions::new().include_specified_by()),
        )
    });
    &SDL
}
