//! Content negotiation by the GraphQL-over-HTTP specification, and the content types and encodings of bodies.

use axum::http::{HeaderMap, HeaderName, header};

/// Media type of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: an error of the document has status 400.
    GraphqlResponse,
    /// `application/json`, for older clients: every well-formed request has status 200.
    Json,
    /// `text/html`, for browsers.
    Html,
}

impl MediaType {
    /// Value of the `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// The media type in `offered` with the highest weight in `Accept`, the first of several; `None` if the
/// client accepts none of them.
///
/// `application/graphql-response+json` and `text/html` have to be named. A wildcard or no `Accept` header at
/// all is `Json`, because that is what such clients understand; an empty list counts as no header (RFC 9110,
/// section 12.5.1). No crate for `Accept` here (`headers-accept`, say): there a wildcard matches every type that is
/// offered.
#[must_use]
pub fn negotiate(headers: &HeaderMap, offered: &[MediaType]) -> Option<MediaType> {
    let ranges: Vec<(&str, f32)> = ranges(headers, header::ACCEPT).collect();
    if ranges.is_empty() {
        return Some(MediaType::Json);
    }
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

/// Ranges and weights in a header that is a list, on one line or several. Elements that are empty or no text are
/// skipped.
fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (&str, f32)> {
    let lines = headers.get_all(name).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let texts = elements.filter_map(|element| std::str::from_utf8(element).ok()).map(str::trim);
    texts.filter(|text| !text.is_empty()).map(range)
}

/// A range and its weight.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts
        .filter_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .find_map(weight)
        .unwrap_or(1.0);
    (range, quality)
}

/// A weight from 0 to 1 (RFC 9110, section 12.4.2); `None` for anything else, which counts as if it were absent.
fn weight(text: &str) -> Option<f32> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let weight = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
    weight.filter(|_| is_decimal)
}

/// Names and weights in `Accept-Encoding`.
pub(super) fn accept_encodings(headers: &HeaderMap) -> impl Iterator<Item = (&str, f32)> {
    ranges(headers, header::ACCEPT_ENCODING)
}

/// `Accept-Encoding` with each encoding once and each weight in its strict form, for the compression layer, which skips
/// what it cannot read. Empty if a client accepts nothing that this server has, the uncompressed body included; `None` for
/// a header without weights, which the layer reads as this server does.
#[must_use]
pub fn strict_accept_encoding(headers: &HeaderMap) -> Option<String> {
    const NAMES: [&str; 5] = ["gzip", "br", "zstd", "identity", "*"];
    let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    if !lines.any(|line| line.as_bytes().contains(&b';')) {
        return None;
    }
    let weight_of = |wanted: &str| {
        let mut accepted = accept_encodings(headers);
        accepted.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, weight)| weight)
    };
    let others = weight_of("*");
    // By `*` nobody accepts zstd; everybody accepts the uncompressed body who does not refuse it.
    let defaults =
        [("gzip", others), ("br", others), ("zstd", None), ("identity", others.or(Some(1.0)))];
    let accepts = |(name, default): (&str, Option<f32>)| {
        weight_of(name).or(default).is_some_and(|weight| weight > 0.0)
    };
    if !defaults.into_iter().any(accepts) {
        return Some(String::new());
    }
    let element = |name: &str| {
        let weight = weight_of(name)?;
        let weight = if weight > 0.0 { weight.max(LEAST_WEIGHT) } else { 0.0 };
        Some(format!("{name};q={weight:.3}"))
    };
    Some(NAMES.into_iter().filter_map(element).collect::<Vec<_>>().join(", "))
}

/// Least weight that is not zero (RFC 9110, section 12.4.2).
const LEAST_WEIGHT: f32 = 0.001;

/// True if `Content-Type` is JSON in UTF-8, the only kind of body that is read: a form or plain text, which
/// any page can make a browser send across origins, is never executed.
#[must_use]
pub fn is_json_content_type(headers: &HeaderMap) -> bool {
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

/// True if `Content-Encoding` names an encoding. `identity` is none, and should not be sent (RFC 9110,
/// section 8.4).
#[must_use]
pub fn has_content_encoding(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names
        .any(|name| !matches!(name.trim_ascii().to_ascii_lowercase().as_slice(), b"" | b"identity"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn strict(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        strict_accept_encoding(&headers)
    }

    #[test]
    fn a_client_that_refuses_all_encodings_is_recognized() {
        for none in [
            "identity;q=0",
            "*;q=0",
            "gzip;q=0, *;q=0",
            "compress, identity; q=0.0",
            "gzip;q=0, gzip, *;q=0",
            // zstd is not accepted by a wildcard.
            "identity;q=0, gzip;q=0, br;q=0, *",
        ] {
            assert_eq!(strict(none).as_deref(), Some(""), "{none}");
        }
    }

    #[test]
    fn weights_of_encodings_are_made_strict() {
        for (value, expected) in [
            ("gzip, identity;q=0", "gzip;q=1.000, identity;q=0.000"),
            ("br;q=0.1, *;q=0", "br;q=0.100, *;q=0.000"),
            ("gzip;q=0", "gzip;q=0.000"),
            ("GZIP;q=0.00001, deflate", "gzip;q=0.001"),
            ("br; x=y; Q=1., br;q=0", "br;q=1.000"),
            // Not a weight: as if it were absent.
            ("identity;q=0, *;lo0", "identity;q=0.000, *;q=1.000"),
            ("identity;q=5, *;q=0", "identity;q=1.000, *;q=0.000"),
        ] {
            assert_eq!(strict(value).as_deref(), Some(expected), "{value}");
        }
        for plain in ["", "gzip", "gzip, deflate, br, zstd", "*", "identity"] {
            assert_eq!(strict(plain), None, "{plain}");
        }
        assert_eq!(strict_accept_encoding(&HeaderMap::new()), None);
    }
}
