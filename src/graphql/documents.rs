//! The documents that the guard has let pass, parsed. A client sends the same few texts again and
//! again; each is scanned, parsed and counted once.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::guard::{CheckedDocument, CostTable, CostTableError, Refusal};
use super::list_bounds::list_bounds;
use super::sdl;
use super::statistics::SURCHARGES;
use crate::config::limits::{DocumentLimits, Limits};

/// The guard, and what it has let pass.
pub struct Documents {
    limits: Arc<DocumentLimits>,
    costs: CostTable,
    checked: Cache<Arc<str>, Arc<CheckedDocument>>,
}

impl Documents {
    /// With these limits.
    ///
    /// # Errors
    ///
    /// A list of the schema has no bound, or a surcharge no field: a mistake in this program, which a test finds first.
    pub fn new(limits: &Limits) -> Result<Self, CostTableError> {
        let checked = Cache::builder()
            .weigher(|text: &Arc<str>, document: &Arc<CheckedDocument>| {
                let text = u32::try_from(text.len()).unwrap_or(u32::MAX);
                document.weight_bytes().saturating_add(text)
            })
            .max_capacity(limits.parsed_documents_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let costs = CostTable::from_sdl(&sdl(), &list_bounds(&limits.document))?
            .with_surcharges(&SURCHARGES)?;
        Ok(Self { costs, limits: Arc::new(limits.document.clone()), checked })
    }

    /// The limits of documents.
    #[must_use]
    pub fn limits(&self) -> &Arc<DocumentLimits> {
        &self.limits
    }

    /// What operations cost.
    #[must_use]
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// The document of a text, if the guard lets it pass. Refused texts are not kept: they cost
    /// little to refuse again, and keeping them would let an attacker push the others out.
    ///
    /// # Errors
    ///
    /// The document is too large, too deep, or not GraphQL.
    pub fn check(&self, text: &str) -> Result<Arc<CheckedDocument>, Refusal> {
        if let Some(document) = self.checked.get(text) {
            return Ok(document);
        }
        let document = Arc::new(CheckedDocument::check(text, &self.limits)?);
        self.checked.insert(text.into(), Arc::clone(&document));
        Ok(document)
    }
}
