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
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::server::PREFLIGHT_MAX_AGE;
use compression::compression;
use consistency_token::CONSISTENCY_TOKEN;
pub use fast_path::FastPath;
use graphql::error::HttpError;
use graphql::handler;
use negotiation::has_valid_host;
use graphql::response::GraphqlResponse;
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
        .layer(middleware::from_fn(catch_panic))
        .layer(cors(&app.services.settings.server.cors_origins))
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
const EXPOSED_HEADERS: [&str; 6] =
    ["etag", "ratelimit", "retry-after", "x-consistency-token", "x-request-id", "server-timing"];

fn cors(origins: &[String]) -> CorsLayer {
    let origins_are_empty = origins.is_empty();
    let is_any = origins.iter().any(|origin| origin == "*");
    let origins = if is_any {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let layer = CorsLayer::new()
        // Only named origins may send the session cookie, never `*`.
        .allow_credentials(!is_any && !origins_are_empty)
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            CONSISTENCY_TOKEN,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static));
    // Without named origins the response does not depend on the origin.
    if origins_are_empty { layer.vary(Vec::<HeaderName>::new()) } else { layer }
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
