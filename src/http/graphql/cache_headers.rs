//! Headers for caches outside of the server (browsers, CDNs), and conditional requests.
//!
//! The default of every response is `private, no-store`. A response that the table of cache hints calls
//! public has an entity tag, and either seconds for which it may be reused or `no-cache`, which demands a
//! revalidation each time.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::graphql::cache_hints::Revalidation;
use crate::http::negotiation::MediaType;

/// Cache tags of a response, by which a CDN purges it.
pub(in crate::http) const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Bytes of the hash in an entity tag: enough to tell responses apart.
const TAG_BYTES: usize = 16;

/// Values of `cache-control` and `surrogate-key` of a public response.
#[derive(Debug, Clone)]
pub(in crate::http) struct CacheHeaders {
    /// Permission for caches outside.
    pub(in crate::http) revalidation: Revalidation,
    /// Remaining lifetime, from now on.
    pub(in crate::http) remaining: Duration,
    /// Surrogate keys; empty for none.
    pub(in crate::http) keys: HeaderValue,
}

impl CacheHeaders {
    /// Writes these and the entity tag into the headers of a response.
    pub(in crate::http) fn write(self, tag: HeaderValue, headers: &mut HeaderMap) {
        let cache_control = match (self.revalidation, self.remaining.as_secs()) {
            // `max-age` has whole seconds: less than one is expired.
            (Revalidation::Always, _) | (Revalidation::WhenExpired, 0) => {
                HeaderValue::from_static("public, no-cache")
            }
            // Digits only, so the conversion cannot fail.
            (Revalidation::WhenExpired, seconds) => {
                HeaderValue::try_from(format!("public, max-age={seconds}"))
                    .unwrap_or(HeaderValue::from_static("public, no-cache"))
            }
        };
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(header::ETAG, tag);
        if !self.keys.is_empty() {
            headers.insert(SURROGATE_KEY, self.keys);
        }
    }
}

/// Entity tag of a body: a weak one, because all encodings of the body share it. The media type is part of
/// it, because the same bytes of another media type are another response.
pub(super) fn entity_tag(body: &[u8], media_type: MediaType) -> HeaderValue {
    let mut hash = Sha256::new();
    hash.update(media_type.content_type());
    hash.update([0]);
    hash.update(body);
    let hash = hash.finalize();
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..TAG_BYTES]));
    // Letters, digits, `-` and `_` only, so the conversion cannot fail.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Values of the `If-None-Match` headers of a request.
pub(in crate::http) fn if_none_match_values(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()
}

/// Weak comparison of an entity tag with the values of `If-None-Match`: lists of tags, or `*`, which
/// matches any. True means 304.
///
/// Not the `headers` crate: its `IfNoneMatch` skips malformed members of a list and goes on, where the
/// list ends here, does not find a `*` beside other values, joins several lines into a new string, and the
/// crate brings a SHA-1.
pub(in crate::http) fn if_none_match(values: &[HeaderValue], tag: &HeaderValue) -> bool {
    let Some(wanted) = opaque_tags(tag.as_bytes()).next() else { return false };
    values.iter().any(|value| {
        value.as_bytes().trim_ascii() == b"*"
            || opaque_tags(value.as_bytes()).any(|tag| tag == wanted)
    })
}

/// Opaque parts of the entity tags in a list, without their quotes. The iterator ends at the first
/// malformed member. A tag may contain a comma, but no quote.
fn opaque_tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
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
    fn entity_tags_are_compared_weakly_in_lists_of_any_length() {
        let tag = HeaderValue::from_static("W/\"abc\"");
        let matches = |values: &[&'static str]| {
            let values: Vec<_> =
                values.iter().map(|value| HeaderValue::from_static(value)).collect();
            if_none_match(&values, &tag)
        };
        for matching in [
            "*",
            " * ",
            "W/\"abc\"",
            "\"abc\"",
            "\"x\", W/\"abc\"",
            "\"x,\",\"abc\"",
            ",, \"x\" ,\"abc\",",
        ] {
            assert!(matches(&[matching]), "{matching}");
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
    fn an_entity_tag_depends_on_the_bytes_and_their_media_type() {
        let tag = entity_tag(b"{}", MediaType::Json);
        assert_eq!(tag, entity_tag(b"{}", MediaType::Json));
        assert_ne!(tag, entity_tag(b"{} ", MediaType::Json));
        assert_ne!(tag, entity_tag(b"{}", MediaType::GraphqlResponse));
        assert_eq!(tag.len(), "W/\"\"".len() + 22);
    }
}
