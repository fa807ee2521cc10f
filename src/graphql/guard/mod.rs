//! Stands before the GraphQL library, which a document can crash or keep busy for ever. In order:
//! [`scan_json`] on the body, [`CheckedDocument::check`] on the text (worth caching),
//! [`CheckedDocument::check_variables`], [`CheckedDocument::operation`], its cost; only then the
//! library validates and runs the parsed document. Invariant: work is linear in the bytes, plus
//! `field_merges`, and recursion is bounded. Not here: whether names and types exist, which
//! validation says, and page sizes out of range, which resolvers refuse.

mod cost;
mod cost_table;
mod document;
mod hints;
mod merge;
mod refusal;
mod scan;
mod values;
mod walk;

#[cfg(test)]
mod tests;

pub use cost::Cost;
pub use cost_table::{Bound, CostTable, CostTableError, ListBound, Surcharge};
pub use document::{CheckedDocument, CheckedOperation};
pub use refusal::Refusal;
pub use scan::{Scanned, scan_document, scan_json};
