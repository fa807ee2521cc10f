//! Compression of response bodies: the layer of all routes, and the same for bodies that the response
//! cache stores compressed.

use std::convert::Infallible;
use std::future::ready;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use super::negotiation::accept_encodings;
use crate::config::server::COMPRESSED_FROM;

/// Encodings of cached bodies, in the order in which the compression layer ranks them.
const ENCODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// The compression layer of all routes.
#[must_use]
pub fn compression() -> CompressionLayer<impl Predicate> {
    let is_worth_it = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_worth_it)
}

/// Excludes zstd for a client that accepts every encoding without naming zstd: `*` predates it, and clients that
/// send `*` (proxies, scripts) often decode gzip only.
pub async fn exclude_unnamed_zstd<B>(mut request: Request<B>) -> Request<B> {
    let names = |wanted: &str| {
        accept_encodings(request.headers()).any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if names("*") && !names("zstd") {
        let excluded = HeaderValue::from_static("zstd;q=0");
        request.headers_mut().append(header::ACCEPT_ENCODING, excluded);
    }
    request
}

/// Encoding for a client whose `Accept-Encoding` only names encodings. Weights and wildcards are left to
/// the compression layer, which then compresses the plain body.
#[must_use]
pub fn preferred_encoding(headers: &HeaderMap) -> Option<&'static str> {
    let mut best = None;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let value = value.to_str().ok()?;
        if value.contains([';', '*']) {
            return None;
        }
        for name in value.split(',').map(str::trim) {
            let rank = ENCODINGS.iter().position(|encoding| encoding.eq_ignore_ascii_case(name));
            best = match (best, rank) {
                (Some(best), Some(rank)) => Some(usize::min(best, rank)),
                (best, rank) => best.or(rank),
            };
        }
    }
    best.map(|rank| ENCODINGS[rank])
}

/// A body as the compression layer encodes it; `None` where the layer leaves it as it is.
pub async fn compress(body: Bytes, encoding: &'static str) -> Option<Bytes> {
    let plain = service_fn(move |_: Request<Body>| {
        ready(Ok::<_, Infallible>(Response::new(Full::new(body.clone()))))
    });
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    let response = compression().layer(plain).oneshot(request).await.ok()?;
    let is_encoded = response.headers().get(header::CONTENT_ENCODING)? == encoding;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    is_encoded.then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_headers_that_only_name_them() {
        let encoding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            preferred_encoding(&headers)
        };
        assert_eq!(encoding(&[]), None);
        assert_eq!(encoding(&["gzip, deflate, br, zstd"]), Some("zstd"));
        assert_eq!(encoding(&["GZIP", "br"]), Some("br"));
        assert_eq!(encoding(&["deflate, identity"]), None);
        assert_eq!(encoding(&["gzip;q=0"]), None);
        assert_eq!(encoding(&["gzip", "br;q=0.5"]), None);
        assert_eq!(encoding(&["*"]), None);
    }
}
