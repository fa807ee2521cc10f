//! The encoding of a value in Redis: JSON with a header that says for which key and until when the value counts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Header of a value in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeHeader {
    /// Key of the value.
    pub key: String,
    /// Tokens of the key's prefixes before the value was computed.
    pub tokens: String,
    /// End of the TTL.
    pub expires_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<H, V> {
    header: H,
    value: V,
}

/// Encodes a value with its header.
#[must_use]
pub fn encode<V: Serialize>(header: &EnvelopeHeader, value: &V) -> Option<Vec<u8>> {
    serde_json::to_vec(&Envelope { header, value }).ok()
}

/// Decodes a value with its header; `None` for any other bytes.
#[must_use]
pub fn decode<V: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<(EnvelopeHeader, V)> {
    let Envelope { header, value } = serde_json::from_slice(bytes).ok()?;
    Some((header, value))
}

/// Result of a lookup in Redis.
#[derive(Debug)]
pub struct RedisLookup {
    /// Tokens of the key's prefixes, under which a new value is stored.
    pub tokens: String,
    /// The bytes at the key.
    pub bytes: Option<Vec<u8>>,
}

impl RedisLookup {
    /// Header of a value computed after the lookup.
    #[must_use]
    pub fn into_header(self, key: &str, expires_at: DateTime<Utc>) -> EnvelopeHeader {
        EnvelopeHeader { key: key.to_owned(), tokens: self.tokens, expires_at }
    }

    /// The value and the end of its TTL, if it was stored for that key and none of its tokens has changed.
    pub fn value<V>(
        &self,
        key: &str,
        now: DateTime<Utc>,
        decode: fn(&[u8]) -> Option<(EnvelopeHeader, V)>,
    ) -> Option<(V, DateTime<Utc>)> {
        let (header, value) = decode(self.bytes.as_ref()?)?;
        let is_valid = header.key == key && header.tokens == self.tokens && now < header.expires_at;
        is_valid.then_some((value, header.expires_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn lookup(bytes: &[u8], tokens: &str) -> RedisLookup {
        RedisLookup { tokens: tokens.to_owned(), bytes: Some(bytes.to_vec()) }
    }

    fn header() -> EnvelopeHeader {
        let expires_at = NOW + chrono::TimeDelta::seconds(1);
        EnvelopeHeader { key: "user:1:stats".to_owned(), tokens: "abc".to_owned(), expires_at }
    }

    #[test]
    fn value_counts_for_its_key_its_tokens_and_its_ttl_only() {
        let bytes = encode(&header(), &5).expect("bytes");
        let value = |key: &str, tokens: &str, now| lookup(&bytes, tokens).value(key, now, decode);
        assert_eq!(value("user:1:stats", "abc", NOW), Some((5, header().expires_at)));
        assert_eq!(value("user:2:stats", "abc", NOW), None);
        assert_eq!(value("user:1:stats", "abd", NOW), None);
        assert_eq!(value("user:1:stats", "abc", header().expires_at), None);
    }

    #[test]
    fn other_bytes_are_no_value() {
        let other = encode(&header(), &"five").expect("bytes");
        for bytes in [&b""[..], b"junk", b"{}", b"\xff\xfe", b"5", &other] {
            assert_eq!(lookup(bytes, "abc").value::<i32>("user:1:stats", NOW, decode), None);
        }
    }
}
