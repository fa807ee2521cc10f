//! The CORS protocol of the Fetch standard. `CORS_ORIGINS` decides which pages may call the server; to those any
//! request header is allowed, because client libraries and tracers add their own.

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::server::{PREFLIGHT_MAX_AGE, ServerSettings};

/// Response headers that scripts of other origins may read, in addition to the safelisted ones.
const EXPOSED_HEADERS: [&str; 7] = [
    "content-disposition",
    "etag",
    "ratelimit",
    "retry-after",
    "server-timing",
    "x-consistency-token",
    "x-request-id",
];

/// The CORS layer.
pub(super) fn cors(settings: &ServerSettings) -> CorsLayer {
    let origins = &settings.cors_origins;
    let is_any = origins.iter().any(|origin| origin == "*");
    let is_named = !is_any && !origins.is_empty();
    let allowed = if is_any {
        AllowOrigin::any()
    } else {
        let settings = settings.clone();
        AllowOrigin::predicate(move |origin, _| {
            origin.to_str().is_ok_and(|origin| settings.names_origin(origin))
        })
    };
    CorsLayer::new()
        // Only named origins may send the session cookie, never `*`.
        .allow_credentials(is_named)
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(PREFLIGHT_MAX_AGE)
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
        // Without named origins the response does not depend on the origin. Shared caches store no preflight
        // responses, so no other header is listed.
        .vary(if is_named { vec![header::ORIGIN] } else { Vec::new() })
}
