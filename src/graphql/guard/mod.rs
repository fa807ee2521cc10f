//! Limits in front of the GraphQL library, which a document can crash or occupy forever. In order:
//! [`scan_json`] on the body, [`CheckedDocument::check`] on the text (worth caching),
//! [`CheckedDocument::check_variables`], [`CheckedDocument::operation`], its cost; only then the
//! library validates and executes the parsed document. Invariant: work is linear in the bytes, plus
//! `field_merges`, and recursion is bounded. Not here: unknown names and types, which validation
//! rejects, and page sizes out of range, which resolvers reject.

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
