//! HTTP: routes, and the layers that every request passes in order.

pub mod client_address;
mod compression;
pub mod connections;
pub mod consistency_token;
mod cors;
pub mod export;
mod fast_path;
pub mod graphiql;
pub mod graphql;
pub mod health;
mod host;
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
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::FutureExt;

use compression::{compression, exclude_unnamed_zstd};
use cors::cors;
pub use fast_path::FastPath;
use graphql::error::HttpError;
use graphql::handler;
use graphql::response::GraphqlResponse;
use host::require_host;
use request_log::RequestId;
pub use state::App;
use state::GRAPHQL_PATHS;

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
