//! Stands before the GraphQL library, which trusts what it is given: a document or its variables can end the process
//! or keep a core busy for ever. In order: [`scan_json`] on the body, [`CheckedDocument::check`] on the text (its
//! result is worth caching), [`CheckedDocument::check_variables`], [`CheckedDocument::operation`], its cost, and only
//! then validation and execution of the document already parsed.
//!
//! Invariant: the work is linear in the bytes, plus `field_merges`; nothing recurses deeper than the limits say.
//! Not here: whether names and types exist, which validation says, and page sizes, which resolvers refuse.

mod cost;
mod cost_table;
mod document;
mod merge;
mod refusal;
mod scan;
mod values;
mod walk;

#[cfg(test)]
mod tests;

pub use cost::Cost;
pub use cost_table::{Bound, CostTable, CostTableError, ListBound};
pub use document::{CheckedDocument, CheckedOperation};
pub use refusal::Refusal;
pub use scan::{Scanned, scan_document, scan_json};
