//! HTTP: routes, and the layers that every request passes in order.

mod address_quota;
mod allowed_hosts;
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
mod load_shedding;
pub mod negotiation;
pub mod rate_limit;
mod refusal_delay;
pub mod request_log;
mod response_budget;
mod session_cookie;
pub mod share;
mod state;
mod transfer_coding;
pub mod viewer;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::FutureExt;
use tower::ServiceBuilder;

use crate::graphql::errors::without_user_errors;
use crate::services::rate_limits::ClientKey;
use client_address::ClientAddress;
use compression::{compression, exclude_unnamed_zstd};
use cors::cors;
pub use fast_path::FastPath;
use graphql::error::HttpError;
use graphql::handler;
use graphql::response::GraphqlResponse;
use health::HEALTH_PATHS;
use host::require_host;
use load_shedding::shed_load;
use request_log::RequestId;
use response_budget::bound_unsent_bytes;
pub use state::App;
use state::GRAPHQL_PATHS;
use transfer_coding::require_decoded;

/// The server: the fast path before all routes.
#[must_use]
pub fn service(app: &Arc<App>) -> FastPath {
    FastPath::new(app, router(app))
}

/// All routes, and the layers around them in the order in which a request passes them.
fn router(app: &Arc<App>) -> Router {
    // One stack: a layer of the router would be boxed, and cloned with all layers within it for each request.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn(request_log::log_request))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(require_decoded))
        .layer(middleware::from_fn_with_state(Arc::clone(app), require_host))
        .layer(cors(&app.services.settings.server))
        .layer(middleware::from_fn_with_state(Arc::clone(app), shed_load))
        .layer(middleware::from_fn(catch_panic))
        .layer(middleware::map_request(exclude_unnamed_zstd))
        .layer(compression())
        .layer(middleware::from_fn_with_state(Arc::clone(app), bound_unsent_bytes));
    Router::new()
        .route("/", get(graphiql::page))
        .route("/graphiql/assets/{file}", get(graphiql::asset))
        .merge(health::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(app), limit_by_address))
        // These count their requests themselves, by account where somebody is signed in.
        .route(GRAPHQL_PATHS[0], any(handler::handle))
        .route(GRAPHQL_PATHS[1], any(handler::handle))
        .route("/s/{token}", get(share::page))
        .route("/export/readings.json", any(export::readings_json))
        .route("/export/readings.csv", any(export::readings_csv))
        // For the routes since the last one.
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(app))
        .layer(layers)
}

/// Routes of `METRICS_LISTEN`, for programs of the operator: no limits of clients.
pub fn internal_router(app: &Arc<App>) -> Router {
    Router::new()
        .merge(health::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Arc::clone(app))
        .layer(middleware::from_fn(catch_panic))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(request_log::log_request))
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    GraphqlResponse::from(HttpError::not_found()).into_response(&id)
}

/// Rejects other methods where there are pages. Routes with methods of their own reject others themselves.
async fn method_not_allowed(Extension(id): Extension<RequestId>) -> Response {
    let error = HttpError::method_not_allowed("GET, HEAD", "the method must be GET or HEAD");
    GraphqlResponse::from(error).into_response(&id)
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

/// Counts a request against the rate limit of its address. Probes of this machine are not counted: an orchestrator
/// must not lose sight of a server.
async fn limit_by_address(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let address = ClientAddress::of(request.extensions());
    let is_own_probe =
        address.to_canonical().is_loopback() && HEALTH_PATHS.contains(&request.uri().path());
    let counted = || app.services.rate_limits.check_request(&ClientKey::anonymous(address));
    if !is_own_probe && let Err(error) = without_user_errors(counted()) {
        return GraphqlResponse::from(HttpError::from(error)).into_response(&id);
    }
    next.run(request).await
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // In place of `frame-ancestors`, which `default-src` does not include.
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    // A response may depend on the viewer, so no cache may store it unless a handler permits that.
    set(header::CACHE_CONTROL, "private, no-store");
    // Without `access-control-allow-origin` these have no effect.
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    }
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
