//! Trusted documents: the documents of a manifest that a client's build has written and an operator has
//! configured. All are checked at the start of the program, so that an incompatible client is detected
//! before anybody uses it. They are never evicted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_graphql::Pos;
use serde_json::{Map, Value as Json};

use super::document_hash::DocumentHash;
use super::guard::Refusal;

/// Format of Apollo's manifests.
const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";
const APOLLO_VERSION: u64 = 1;

/// Reason to reject a manifest, in one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum TrustedDocumentsError {
    /// The file is not a manifest.
    #[error("TRUSTED_DOCUMENTS={path}: {reason}")]
    Manifest {
        /// Path of the file.
        path: String,
        /// Cause.
        reason: String,
    },
    /// Invalid document.
    #[error("TRUSTED_DOCUMENTS={path}: entry {entry:?}: {reason}")]
    Entry {
        /// Path of the file.
        path: String,
        /// Key of the document, or its index.
        entry: String,
        /// Cause.
        reason: String,
    },
}

/// Texts of trusted documents by hash.
#[derive(Debug, Default)]
pub struct TrustedDocuments {
    texts: HashMap<DocumentHash, Arc<str>>,
}

impl TrustedDocuments {
    /// Reads a manifest and checks each document: its hash, its limits, and the schema.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a manifest, or the first invalid document.
    pub fn load(
        path: &Path,
        check_document: impl Fn(&str) -> Result<(), Refusal>,
    ) -> Result<Self, TrustedDocumentsError> {
        let path = path.display().to_string();
        let of_manifest = |reason| TrustedDocumentsError::Manifest { path: path.clone(), reason };
        let text =
            std::fs::read_to_string(&path).map_err(|error| of_manifest(error.to_string()))?;
        let manifest = serde_json::from_str(&text)
            .map_err(|error| of_manifest(format!("it is not JSON: {error}")))?;
        let mut texts = HashMap::new();
        for (entry, text) in entries(manifest).map_err(of_manifest)? {
            match check(&entry, text, &check_document) {
                Ok((hash, text)) => texts.insert(hash, text.into()),
                Err(reason) => return Err(TrustedDocumentsError::Entry { path, entry, reason }),
            };
        }
        tracing::info!(documents = texts.len(), path, "loaded the trusted documents");
        Ok(Self { texts })
    }

    /// The text of a hash, if it is trusted.
    #[must_use]
    pub fn text(&self, hash: &DocumentHash) -> Option<&Arc<str>> {
        self.texts.get(hash)
    }
}

/// Entries of a manifest in either format: a key, and a value that should be a text.
fn entries(manifest: Json) -> Result<Vec<(String, Json)>, String> {
    let Json::Object(mut members) = manifest else {
        return Err("it must be a JSON object of hashes and documents".to_owned());
    };
    match members.remove("operations") {
        Some(operations) => apollo_entries(&members, operations),
        None => Ok(members.into_iter().collect()),
    }
}

fn apollo_entries(
    members: &Map<String, Json>,
    operations: Json,
) -> Result<Vec<(String, Json)>, String> {
    let is_known = members.get("format").and_then(Json::as_str) == Some(APOLLO_FORMAT)
        && members.get("version").and_then(Json::as_u64) == Some(APOLLO_VERSION);
    let Json::Array(operations) = operations else {
        return Err("`operations` must be a list".to_owned());
    };
    if !is_known {
        return Err(format!(
            "beside `operations` must stand the format {APOLLO_FORMAT:?} and the version {APOLLO_VERSION}"
        ));
    }
    let entry = |(index, mut operation): (usize, Json)| {
        let key = operation.get("id").and_then(Json::as_str).map(str::to_owned);
        let text = operation.get_mut("body").map(Json::take).unwrap_or_default();
        (key.unwrap_or_else(|| format!("operations[{index}]")), text)
    };
    Ok(operations.into_iter().enumerate().map(entry).collect())
}

/// A valid document with its hash, or the reason to reject it.
fn check(
    key: &str,
    text: Json,
    check_document: impl Fn(&str) -> Result<(), Refusal>,
) -> Result<(DocumentHash, String), String> {
    let Json::String(text) = text else {
        return Err("its document must be a text".to_owned());
    };
    let hash = DocumentHash::from_hex(key.strip_prefix("sha256:").unwrap_or(key)).ok_or(
        "its key must be 64 hexadecimal digits in lower case, with or without `sha256:` before them",
    )?;
    if DocumentHash::of(&text) != hash {
        return Err("its key is not the SHA-256 of its document".to_owned());
    }
    check_document(&text).map_err(|refusal| located(&refusal.to_string(), refusal.location()))?;
    Ok((hash, text))
}

fn located(message: &str, at: Option<Pos>) -> String {
    let message = message.lines().next().unwrap_or_default();
    match at {
        Some(at) => format!(
            "its document is refused, at line {} and column {}: {message}",
            at.line, at.column
        ),
        None => format!("its document is refused: {message}"),
    }
}
