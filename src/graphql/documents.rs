//! Cache of parsed documents that passed the guard, and of persisted queries: documents that clients
//! name by a hash instead of sending their text. Clients send the same few texts again and again; each is
//! scanned, parsed and measured once.
//!
//! A hash finds a trusted document, or one that a client has registered by sending it with its hash. An
//! unregistered document is not found, however often its text was sent.

use std::sync::{Arc, LazyLock};

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::ServiceDocument;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::cache_hints::{CacheHints, CacheHintsError};
use super::document_hash::DocumentHash;
use super::error_reporting::ErrorReporting;
use super::field_costs::{STATEMENTS, SURCHARGES, list_bounds};
use super::guard::{CheckedDocument, CostTable, CostTableError, MeasuredDocument, Refusal};
use super::sdl;
use super::trusted_documents::{TrustedDocuments, TrustedDocumentsError};
use super::type_system::TypeSystem;
use crate::config::Settings;
use crate::config::limits::{DocumentLimits, PERSISTED_TEXT_BYTES};

/// Document of a request.
#[derive(Debug)]
pub enum DocumentSource {
    /// Text of the document.
    Text(String),
    /// Text to register under this hash.
    TextToRegister(String, DocumentHash),
    /// Hash of a registered or trusted document.
    Hash(DocumentHash),
}

/// Reason to reject a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Rejected by the guard.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Unknown hash: never registered, or evicted.
    #[error("there is no document of this hash")]
    NotFound,
    /// The hash is not that of the text.
    #[error("`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`")]
    WrongHash,
    /// Sent as a text where only trusted documents are executed.
    #[error("only trusted documents are executed; send the `documentId` of one without `query`")]
    NotTrusted,
}

/// Reason why the documents cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// List without a bound, or surcharge without a field: a bug, which a test finds first.
    #[error(transparent)]
    CostTable(#[from] CostTableError),
    /// Cache hint that does not fit the schema: a bug as well.
    #[error(transparent)]
    CacheHints(#[from] CacheHintsError),
    /// Invalid manifest of trusted documents.
    #[error(transparent)]
    Trusted(#[from] TrustedDocumentsError),
}

/// The parsed schema: parsed once per process, because a test starts many servers.
fn schema_document() -> Result<&'static ServiceDocument, CostTableError> {
    static DOCUMENT: LazyLock<Result<ServiceDocument, CostTableError>> = LazyLock::new(|| {
        parse_schema(sdl()).map_err(|error| CostTableError::Schema(error.to_string()))
    });
    DOCUMENT.as_ref().map_err(Clone::clone)
}

/// The guard and its cache of documents.
pub struct Documents {
    limits: Arc<DocumentLimits>,
    reporting: ErrorReporting,
    types: &'static TypeSystem,
    costs: CostTable,
    hints: CacheHints,
    checked: Cache<Arc<str>, Arc<CheckedDocument>>,
    /// Registered texts. Their documents are in `checked` while there is room, and are parsed again
    /// after eviction.
    persisted: Cache<DocumentHash, Arc<str>>,
    trusted: TrustedDocuments,
    trusted_only: bool,
}

impl Documents {
    /// Documents with the limits and trusted documents of these settings.
    ///
    /// # Errors
    ///
    /// An invalid trusted document, or a bug that a test finds first.
    pub fn load(settings: &Settings) -> Result<Self, DocumentsError> {
        let limits = &settings.limits;
        let checked = Cache::builder()
            .weigher(|text: &Arc<str>, document: &Arc<CheckedDocument>| {
                document.weight_bytes().saturating_add(length_of(text))
            })
            .max_capacity(limits.parsed_documents_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let persisted = Cache::builder()
            .weigher(|_: &DocumentHash, text: &Arc<str>| {
                length_of(text).saturating_add(PERSISTED_TEXT_BYTES)
            })
            .max_capacity(limits.persisted_documents_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let reporting =
            ErrorReporting { maximum: limits.errors, names_schema: settings.introspection() };
        let types = TypeSystem::served().map_err(CostTableError::Schema)?;
        let schema_document = schema_document()?;
        let costs = CostTable::from_schema(schema_document, &list_bounds(&limits.document))?
            .with_surcharges(&SURCHARGES)?
            .with_statements(&STATEMENTS)?;
        let hints = CacheHints::from_schema(schema_document)?;
        let trusted = match &settings.server.trusted_documents {
            None => TrustedDocuments::default(),
            Some(path) => {
                let check = |text: &str| check(text, &limits.document, types, reporting);
                TrustedDocuments::load(path, |text| check(text).map(drop))?
            }
        };
        let trusted_only = settings.server.trusted_documents_only;
        let limits = Arc::new(limits.document.clone());
        Ok(Self {
            limits,
            reporting,
            types,
            costs,
            hints,
            checked,
            persisted,
            trusted,
            trusted_only,
        })
    }

    /// Limits of documents.
    #[must_use]
    pub fn limits(&self) -> &Arc<DocumentLimits> {
        &self.limits
    }

    /// Types of the schema.
    #[must_use]
    pub fn types(&self) -> &'static TypeSystem {
        self.types
    }

    /// Costs of fields.
    #[must_use]
    pub fn costs(&self) -> &CostTable {
        &self.costs
    }

    /// The document of a request, if it may be executed. A text with its hash that passes the guard
    /// is registered.
    ///
    /// Where only trusted documents are executed, texts are not even scanned, not even those of
    /// trusted documents, so no client can probe the guard or the parser.
    ///
    /// # Errors
    ///
    /// Unknown hash, wrong hash, or rejected document.
    pub fn find(&self, source: &DocumentSource) -> Result<Arc<CheckedDocument>, DocumentError> {
        match source {
            DocumentSource::Hash(hash) => {
                let text = self.text_of(hash).ok_or(DocumentError::NotFound)?;
                Ok(self.check(&text)?)
            }
            _ if self.trusted_only => Err(DocumentError::NotTrusted),
            DocumentSource::Text(text) => Ok(self.check(text)?),
            DocumentSource::TextToRegister(text, hash) => {
                if DocumentHash::of(text) != *hash {
                    return Err(DocumentError::WrongHash);
                }
                let document = self.check(text)?;
                if self.text_of(hash).is_none() {
                    self.persisted.insert(*hash, text.as_str().into());
                    // Registering is rare, so the size limit can be enforced at once.
                    self.persisted.run_pending_tasks();
                }
                Ok(document)
            }
        }
    }

    /// The result of [`Self::find`], if that has nothing to parse: the document is in the cache, or may not be executed.
    #[must_use]
    pub fn find_parsed(
        &self,
        source: &DocumentSource,
    ) -> Option<Result<Arc<CheckedDocument>, DocumentError>> {
        match source {
            DocumentSource::Hash(hash) => match self.text_of(hash) {
                Some(text) => self.checked.get(&*text).map(Ok),
                None => Some(Err(DocumentError::NotFound)),
            },
            _ if self.trusted_only => Some(Err(DocumentError::NotTrusted)),
            DocumentSource::Text(text) => self.checked.get(text.as_str()).map(Ok),
            DocumentSource::TextToRegister(..) => None,
        }
    }

    fn text_of(&self, hash: &DocumentHash) -> Option<Arc<str>> {
        self.trusted.text(hash).cloned().or_else(|| self.persisted.get(hash))
    }

    /// The document of a text, if the guard accepts it. Rejected texts are not cached: rejecting
    /// them again is cheap, and caching them would let an attacker evict the others.
    fn check(&self, text: &str) -> Result<Arc<CheckedDocument>, Refusal> {
        if let Some(document) = self.checked.get(text) {
            return Ok(document);
        }
        let document = check(text, &self.limits, self.types, self.reporting)?;
        let document = Arc::new(document.with_hints(&self.hints));
        self.checked.insert(text.into(), Arc::clone(&document));
        Ok(document)
    }
}

fn check(
    text: &str,
    limits: &DocumentLimits,
    types: &TypeSystem,
    reporting: ErrorReporting,
) -> Result<CheckedDocument, Refusal> {
    MeasuredDocument::measure(text, limits)?.validate(types, reporting)
}

/// Length of a text in bytes.
fn length_of(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}
