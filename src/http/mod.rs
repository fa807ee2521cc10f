//! HTTP: routes, and the layers that every request passes in order.

pub mod client_address;
mod compression;
pub mod connections;
pub mod consistency_token;
pub mod export;
mod fast_path;
pub mod graphiql;
pub mod graphql;
pub mod health;
pub mod negotiation;
pub mod rate_limit;
pub mod request_log;
mod session_cookie;
pub mod share;
mod state;
pub mod viewer;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::FutureExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::server::{PREFLIGHT_MAX_AGE, ServerSettings};
use compression::{compression, exclude_unnamed_zstd};
pub use fast_path::FastPath;
use graphql::error::HttpError;
use graphql::handler;
use graphql::response::GraphqlResponse;
use negotiation::has_valid_host;
use request_log::RequestId;
pub use state::{App, GRAPHQL_PATH, GRAPHQL_PATHS};

/// The server: the fast path before all routes.
#[must_use]
pub fn service(app: &Arc<App>) -> FastPath {
    FastPath::new(app, router(app))
}

/// All routes. The layers are listed from the inside out: the last one sees a request first.
fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(graphiql::page))
        .route(GRAPHQL_PATHS[0], any(handler::handle))
        .route(GRAPHQL_PATHS[1], any(handler::handle))
        .route("/graphiql/assets/{file}", get(graphiql::asset))
        .route("/s/{token}", get(share::page))
        .route("/export/readings.json", any(export::readings_json))
        .route("/export/readings.csv", any(export::readings_csv))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(not_found)
        .with_state(Arc::clone(app))
        .layer(compression())
        .layer(middleware::map_request(exclude_unnamed_zstd))
        .layer(middleware::from_fn(catch_panic))
        .layer(cors(&app.services.settings.server))
        .layer(middleware::from_fn(require_host))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(request_log::log_request))
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    GraphqlResponse::from(HttpError::not_found()).into_response(&id)
}

/// Turns a panic into a 500 with an error body. Not the `catch-panic` layer of tower-http: its handler does
/// not see the request id.
async fn catch_panic(
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    // The panic hook has logged the cause.
    AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| GraphqlResponse::from(HttpError::internal()).into_response(&id))
}

/// Refuses a request that does not say which host it is for.
async fn require_host(
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    if has_valid_host(&request) {
        return next.run(request).await;
    }
    GraphqlResponse::from(HttpError::invalid_host()).into_response(&id)
}

/// Response headers that scripts of other origins may read, beside the safelisted ones.
const EXPOSED_HEADERS: [&str; 7] = [
    "content-disposition",
    "etag",
    "ratelimit",
    "retry-after",
    "server-timing",
    "x-consistency-token",
    "x-request-id",
];

/// The CORS protocol of the Fetch standard. Which pages may call the server is the decision of `CORS_ORIGINS`; to
/// those any request header is allowed, because client libraries and tracers add their own.
fn cors(settings: &ServerSettings) -> CorsLayer {
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
        // Without named origins the response does not depend on the origin. Preflight responses are not cached
        // by shared caches, so they name no other header.
        .vary(if is_named { vec![header::ORIGIN] } else { Vec::new() })
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    // A response may depend on the viewer, so no cache may store it unless a handler permits that.
    set(header::CACHE_CONTROL, "private, no-store");
    join_lines(headers, &header::VARY);
    response
}

/// Joins several lines of a header into one: not every cache reads more than the first.
fn join_lines(headers: &mut HeaderMap, name: &HeaderName) {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    if let Ok(line) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        headers.insert(name, line);
    }
}
