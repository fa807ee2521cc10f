//! What caches outside are told of an answer, and when they need not be sent it again.
//!
//! The default of every answer is `private, no-store`. What the table of cache hints calls public has an
//! entity tag, and either seconds for which it may be used or the demand to ask each time.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::graphql::cache_hints::Outside;
use crate::http::negotiation::MediaType;

/// The parts that an answer is made of, by which caches that can be purged find it.
pub(super) const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Bytes of a hash that are enough to tell answers apart.
const TAG_BYTES: usize = 16;

/// What an answer's headers say of it.
#[derive(Debug, Clone)]
pub(super) struct CacheHeaders {
    /// What caches outside may do with it.
    pub(super) outside: Outside,
    /// For how long it may be used from now on.
    pub(super) remaining: Duration,
    /// Its surrogate keys.
    pub(super) keys: HeaderValue,
}

impl CacheHeaders {
    /// Puts it into the headers of an answer with that tag.
    pub(super) fn write(self, tag: HeaderValue, headers: &mut HeaderMap) {
        let cache_control = match (self.outside, self.remaining.as_secs()) {
            // What is over within the second is over.
            (Outside::Ask, _) | (Outside::Use, 0) => HeaderValue::from_static("public, no-cache"),
            // Of digits.
            (Outside::Use, seconds) => HeaderValue::try_from(format!("public, max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("public, no-cache")),
        };
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(header::ETAG, tag);
        if !self.keys.is_empty() {
            headers.insert(SURROGATE_KEY, self.keys);
        }
    }
}

/// The entity tag of a body. It is a weak one, because all encodings of the body have it; answers of
/// another media type have another.
pub(super) fn entity_tag(body: &[u8], media_type: MediaType) -> HeaderValue {
    let mut hash = Sha256::new();
    hash.update(media_type.content_type());
    hash.update([0]);
    hash.update(body);
    let hash = hash.finalize();
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..TAG_BYTES]));
    // Letters, digits, `-` and `_`.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Whether a client says that it has the answer of that tag, in `If-None-Match`: a list of tags, weak
/// or not, or `*`, which is any answer.
pub(super) fn if_none_match(conditions: &[HeaderValue], tag: &HeaderValue) -> bool {
    let Some(wanted) = opaque(tag.as_bytes()) else { return false };
    conditions.iter().any(|condition| {
        condition.as_bytes().trim_ascii() == b"*"
            || tags(condition.as_bytes()).any(|tag| tag == wanted)
    })
}

/// What stands between the quotes of a tag.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    tags(tag).next()
}

/// What stands between the quotes of each tag of a list. It ends where the list is none any more: a
/// tag may hold a comma, but no quote.
fn tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        list = list.trim_ascii_start();
        while let Some(rest) = list.strip_prefix(b",") {
            list = rest.trim_ascii_start();
        }
        list = list.strip_prefix(b"W/").unwrap_or(list).strip_prefix(b"\"")?;
        let end = list.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = list.split_at(end);
        list = &rest[1..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_in_lists_of_any_length() {
        let tag = HeaderValue::from_static("W/\"abc\"");
        let matches = |conditions: &[&'static str]| {
            let conditions: Vec<_> =
                conditions.iter().map(|value| HeaderValue::from_static(value)).collect();
            if_none_match(&conditions, &tag)
        };
        for known in [
            "*",
            " * ",
            "W/\"abc\"",
            "\"abc\"",
            "\"x\", W/\"abc\"",
            "\"x,\",\"abc\"",
            ",, \"x\" ,\"abc\",",
        ] {
            assert!(matches(&[known]), "{known}");
        }
        assert!(matches(&["\"x\"", "\"abc\""]));
        for other in [
            "",
            "abc",
            "\"abcd\"",
            "\"ab\"",
            "w/\"abc\"",
            "\"x abc\"",
            "\"abc",
            "x, \"abc\"",
            "\"*\"",
        ] {
            assert!(!matches(&[other]), "{other}");
        }
    }

    #[test]
    fn a_tag_is_that_of_the_bytes_and_their_media_type() {
        let tag = entity_tag(b"{}", MediaType::Json);
        assert_eq!(tag, entity_tag(b"{}", MediaType::Json));
        assert_ne!(tag, entity_tag(b"{} ", MediaType::Json));
        assert_ne!(tag, entity_tag(b"{}", MediaType::GraphqlResponse));
        assert_eq!(tag.len(), "W/\"\"".len() + 22);
    }
}
