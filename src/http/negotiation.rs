//! What a client accepts and what it sent, by the GraphQL-over-HTTP specification.

use axum::http::{HeaderMap, header};

/// A form in which answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status tells whether the request could be executed.
    GraphqlResponse,
    /// `application/json`: for older clients; a well-formed request is answered 200.
    Json,
    /// `text/html`: a person with a browser.
    Html,
}

impl MediaType {
    /// As a header says it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// The form in `offered` that the client likes best; `None` if it accepts none of them. Of those that
/// it likes alike it is the first.
///
/// `application/graphql-response+json` and `text/html` have to be named. A wildcard or no `Accept`
/// header at all is `Json`, because that is what such clients understand.
#[must_use]
pub fn accepted(headers: &HeaderMap, offered: &[MediaType]) -> Option<MediaType> {
    let accept: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if accept.is_empty() {
        return Some(MediaType::Json);
    }
    let ranges: Vec<(&str, f32)> =
        accept.iter().flat_map(|value| value.split(',')).map(range).collect();
    let quality_of = |media_type: MediaType| {
        let spellings: &[&str] = match media_type {
            MediaType::GraphqlResponse => &["application/graphql-response+json"],
            MediaType::Json => &["application/json", "application/*", "*/*"],
            MediaType::Html => &["text/html"],
        };
        let named = spellings
            .iter()
            .find_map(|name| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(name)));
        named.map_or(0.0, |(_, quality)| *quality)
    };
    let best = offered.iter().copied().map(quality_of).fold(0.0, f32::max);
    let is_best = |media_type: &MediaType| best > 0.0 && quality_of(*media_type) >= best;
    offered.iter().copied().find(is_best)
}

fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts
        .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .find_map(|quality| quality.parse().ok())
        .unwrap_or(1.0);
    (range, quality)
}

/// Whether a client takes an answer neither compressed, as far as we can, nor as it is.
#[must_use]
pub fn takes_no_encoding(headers: &HeaderMap) -> bool {
    let all =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut takes_one, mut refuses_plain) = (false, false);
    for (name, quality) in all.flat_map(|value| value.split(',')).map(range) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        takes_one |= quality > 0.0 && ["gzip", "br", "zstd", "identity", "*"].into_iter().any(is);
        refuses_plain |= quality <= 0.0 && (is("identity") || is("*"));
    }
    refuses_plain && !takes_one
}

/// Whether a body is said to be JSON in UTF-8, which is the only kind that is read: a form or plain
/// text, which any page may make a browser send, is never executed.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return false };
    let Ok(content_type) = content_type.to_str() else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| {
        part.split_once('=').is_none_or(|(name, value)| {
            !name.eq_ignore_ascii_case("charset")
                || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    is_json && is_utf8
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn who_takes_no_encoding_says_so() {
        let takes_none = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_no_encoding(&headers)
        };
        for none in ["identity;q=0", "*;q=0", "gzip;q=0, *;q=0", "compress, identity; q=0.0"] {
            assert!(takes_none(none), "{none}");
        }
        for some in
            ["", "gzip", "gzip, identity;q=0", "gzip;q=0", "*", "br;q=0.1, *;q=0", "identity"]
        {
            assert!(!takes_none(some), "{some}");
        }
        assert!(!takes_no_encoding(&HeaderMap::new()));
    }
}
