//! Hash of a document, by which persisted queries and trusted documents are found.

use sha2::{Digest, Sha256};

/// SHA-256 of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// The hash of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The hash of 64 hexadecimal digits in lower case, so that each hash has one spelling.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        (!digits.contains(|digit: char| digit.is_ascii_uppercase())).then_some(Self(bytes))
    }
}
