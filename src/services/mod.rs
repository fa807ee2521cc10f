//! What the app does, apart from how it is asked over HTTP and GraphQL.

pub mod catalogue;
pub mod passwords;
pub mod reference;
pub mod seed;
pub mod tokens;
