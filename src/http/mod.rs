//! The HTTP side: addresses, and the layers that every request passes in order.

pub mod connections;
pub mod export;
pub mod graphiql;
pub mod graphql;
pub mod health;
pub mod negotiation;
pub mod request_log;
pub mod share;
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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Settings;
use crate::config::server::{COMPRESSED_FROM, PREFLIGHT_MAX_AGE};
use crate::db::Database;
use crate::graphql::documents::Documents;
use crate::graphql::{Schema, schema};
use crate::services::Services;
use crate::services::catalogue::Catalogue;
pub use graphql::FastPath;
use graphql::{GraphqlResponse, HttpError, RequestMemo};
use request_log::RequestId;

/// Where the API is.
pub const PATH: &str = "/graphql";

/// What every request may use.
pub struct App {
    /// What the app does, with all settings.
    pub services: Arc<Services>,
    /// The database.
    pub database: Database,
    /// The executable schema.
    pub schema: Schema,
    /// Requests that are answered before they are read.
    pub request_memo: RequestMemo,
    /// The document guard, what it has let pass, and what clients may ask for by a hash.
    pub documents: Documents,
    /// Mutations that are being executed. The database is closed when there are none.
    pub writes: TaskTracker,
    /// Says that the server stops: what would go on for long ends now.
    pub stopping: CancellationToken,
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        settings: Settings,
        documents: Documents,
        database: Database,
        catalogue: Catalogue,
    ) -> Arc<Self> {
        Arc::new(Self {
            schema: schema(settings.introspection(), &settings.limits.document).finish(),
            request_memo: RequestMemo::new(&settings.cache),
            documents,
            services: Arc::new(Services::new(settings, catalogue)),
            database,
            writes: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }
}

/// All addresses. The layers are listed from the inside out: the last one sees a request first.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(graphiql::page))
        .route(PATH, any(graphql::handle))
        .route("/graphiql/assets/{file}", get(graphiql::asset))
        .route("/s/{token}", get(share::page))
        .route("/export/readings.json", any(export::readings_json))
        .route("/export/readings.csv", any(export::readings_csv))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(not_found)
        .with_state(Arc::clone(app))
        .layer(compression())
        .layer(middleware::from_fn(answer_panic))
        .layer(cors(&app.services.settings.server.cors_origins))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(request_log::log_request))
}

fn compression() -> CompressionLayer<impl Predicate> {
    let is_worth_it = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_FROM));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_worth_it)
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    GraphqlResponse::from(HttpError::not_found()).into_response(&id)
}

async fn answer_panic(
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    // What panicked is in the log already: the panic hook wrote it.
    AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| GraphqlResponse::from(HttpError::internal()).into_response(&id))
}

/// Headers that clients may read across origins beside the usual ones.
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
        // The cookie of a session is for pages that are named, and never for any.
        .allow_credentials(!is_any && !origins_are_empty)
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            graphql::CONSISTENCY_TOKEN,
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static));
    // Where none is named all are answered alike, and caches outside need not tell them apart.
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
    // An answer may depend on who asks, so nobody in between may keep it unless a handler says so.
    set(header::CACHE_CONTROL, "private, no-store");
    join_lines(headers, &header::VARY);
    response
}

/// Makes one line of several: they say the same, but not every cache reads more than the first.
fn join_lines(headers: &mut HeaderMap, name: &HeaderName) {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    if let Ok(line) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        headers.insert(name, line);
    }
}
