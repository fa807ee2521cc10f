//! The documents that the guard has let pass, parsed, and those that clients name by a hash instead
//! of sending them. A client sends the same few texts again and again; each is scanned, parsed and
//! counted once.
//!
//! By its hash a document is found if it is a trusted one, or if a client has sent it together with
//! its hash before. What nobody registered is not found, however often its text was sent.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::cache_hints::{CacheHints, CacheHintsError};
use super::document_hash::DocumentHash;
use super::field_costs::{SURCHARGES, list_bounds};
use super::guard::{CheckedDocument, CostTable, CostTableError, Refusal};
use super::trusted_documents::{TrustedDocuments, TrustedDocumentsError};
use super::{schema, sdl};
use crate::config::Settings;
use crate::config::limits::DocumentLimits;

/// Memory that a kept text takes beside itself, in bytes, roughly.
const KEPT_TEXT_BYTES: u32 = 256;

/// What a request says of the document that it wants executed.
#[derive(Debug)]
pub enum DocumentSource {
    /// Its text.
    Text(String),
    /// Its text, which is to be found by this hash from now on.
    TextToKeep(String, DocumentHash),
    /// Its hash alone.
    Hash(DocumentHash),
}

/// Why a document is not executed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The guard refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody has registered a document of this hash, or that was long ago.
    #[error("there is no document of this hash")]
    NotFound,
    /// The hash that came with the text is that of another.
    #[error("`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`")]
    WrongHash,
    /// It came as a text, and only trusted documents are executed.
    #[error("only trusted documents are executed; send the `documentId` of one without `query`")]
    NotTrusted,
}

/// Why the guard cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// A list of the schema has no bound, or a surcharge no field: a mistake in this program, which a
    /// test finds first.
    #[error(transparent)]
    CostTable(#[from] CostTableError),
    /// The table of cache hints does not fit the schema: a mistake as well.
    #[error(transparent)]
    CacheHints(#[from] CacheHintsError),
    /// The manifest of trusted documents is not as it should be.
    #[error(transparent)]
    Trusted(#[from] TrustedDocumentsError),
}

/// The guard, and what it has let pass.
pub struct Documents {
    limits: Arc<DocumentLimits>,
    costs: CostTable,
    hints: CacheHints,
    checked: Cache<Arc<str>, Arc<CheckedDocument>>,
    /// Texts that clients have registered. Their documents are in `checked`, for as long as there is
    /// room, and parsed again after that.
    kept: Cache<DocumentHash, Arc<str>>,
    trusted: TrustedDocuments,
    trusted_only: bool,
}

impl Documents {
    /// With the limits of these settings and the trusted documents that they name.
    ///
    /// # Errors
    ///
    /// A trusted document is none; or this program has a mistake, which a test finds first.
    pub async fn load(settings: &Settings) -> Result<Self, DocumentsError> {
        let limits = &settings.limits;
        let checked = Cache::builder()
            .weigher(|text: &Arc<str>, document: &Arc<CheckedDocument>| {
                document.weight_bytes().saturating_add(length_of(text))
            })
            .max_capacity(limits.parsed_documents_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let kept = Cache::builder()
            .weigher(|_: &DocumentHash, text: &Arc<str>| {
                length_of(text).saturating_add(KEPT_TEXT_BYTES)
            })
            .max_capacity(limits.persisted_documents_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let sdl = sdl();
        let costs = CostTable::from_sdl(&sdl, &list_bounds(&limits.document))?
            .with_surcharges(&SURCHARGES)?;
        let hints = CacheHints::from_sdl(&sdl)?;
        let trusted = match &settings.server.trusted_documents {
            None => TrustedDocuments::default(),
            Some(path) => {
                let builder = schema(settings.introspection(), &limits.document);
                TrustedDocuments::load(path, &limits.document, builder).await?
            }
        };
        let trusted_only = settings.server.trusted_documents_only;
        let limits = Arc::new(limits.document.clone());
        Ok(Self { limits, costs, hints, checked, kept, trusted, trusted_only })
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

    /// The document that a request asks for, if it may be executed. What comes with its hash and
    /// passes the guard is found by that hash from now on.
    ///
    /// Where only trusted documents are executed, a text is not even read, that of a trusted document
    /// included: so no client can try what the guard and the parser make of one.
    ///
    /// # Errors
    ///
    /// There is none, its hash is another, or it is refused.
    pub fn find(&self, source: &DocumentSource) -> Result<Arc<CheckedDocument>, DocumentError> {
        match source {
            DocumentSource::Hash(hash) => {
                let text = self.text_of(hash).ok_or(DocumentError::NotFound)?;
                Ok(self.check(&text)?)
            }
            _ if self.trusted_only => Err(DocumentError::NotTrusted),
            DocumentSource::Text(text) => Ok(self.check(text)?),
            DocumentSource::TextToKeep(text, hash) => {
                if DocumentHash::of(text) != *hash {
                    return Err(DocumentError::WrongHash);
                }
                let document = self.check(text)?;
                if self.text_of(hash).is_none() {
                    self.kept.insert(*hash, text.as_str().into());
                    // Registering is rare, and so the bound holds at once.
                    self.kept.run_pending_tasks();
                }
                Ok(document)
            }
        }
    }

    fn text_of(&self, hash: &DocumentHash) -> Option<Arc<str>> {
        self.trusted.text(hash).cloned().or_else(|| self.kept.get(hash))
    }

    /// The document of a text, if the guard lets it pass. Refused texts are not kept: they cost
    /// little to refuse again, and keeping them would let an attacker push the others out.
    fn check(&self, text: &str) -> Result<Arc<CheckedDocument>, Refusal> {
        if let Some(document) = self.checked.get(text) {
            return Ok(document);
        }
        let document =
            Arc::new(CheckedDocument::check(text, &self.limits)?.with_hints(&self.hints));
        self.checked.insert(text.into(), Arc::clone(&document));
        Ok(document)
    }
}

/// Bytes of a text.
fn length_of(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}
