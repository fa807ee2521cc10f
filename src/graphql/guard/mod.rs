//! Checks in front of the GraphQL library, which a document can crash or occupy forever. In order:
//! [`scan_json`] on the body, [`MeasuredDocument::measure`] and [`MeasuredDocument::validate`] on the text
//! (worth caching), [`CheckedDocument::operation`], [`CheckedDocument::check_variables`],
//! [`CheckedOperation::coerce_variables`], its cost; only then the library executes it. Invariants: work is
//! linear in the bytes, plus `field_merges`, and recursion is bounded; no mistake of a client is found after a
//! resolver has run. Not here: values that only rules of this API forbid, such as page sizes out of range, which
//! resolvers reject.

mod cost;
mod cost_table;
mod document;
mod hints;
mod merge;
mod parse;
mod positions;
mod refusal;
mod scan;
mod validation;
mod values;
mod walk;

#[cfg(test)]
mod tests;

pub use cost::Cost;
pub use cost_table::{
    Bound, CostTable, CostTableError, ListBound, Parents, StatementCount, Surcharge, When,
};
pub use document::{CheckedDocument, CheckedOperation, MeasuredDocument};
pub use refusal::{Refusal, ValidationError};
pub use scan::{Scanned, scan_document, scan_json};
