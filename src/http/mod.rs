//! The HTTP side: addresses, and the layers that every request passes in order.

pub mod connections;
pub mod graphiql;
pub mod graphql;
pub mod health;
pub mod negotiation;
pub mod request_log;
pub mod viewer;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use futures_util::FutureExt;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Settings;
use crate::db::Database;
use crate::graphql::documents::Documents;
use crate::graphql::guard::CostTableError;
use crate::graphql::{Schema, schema};
use crate::services::catalogue::Catalogue;
use crate::services::tokens::Tokens;
use graphql::{Answer, HttpError};
use request_log::RequestId;

/// What every request may use.
pub struct App {
    /// All settings.
    pub settings: Settings,
    /// The database.
    pub database: Database,
    /// The reference data.
    pub catalogue: Arc<Catalogue>,
    /// Checks access tokens.
    pub tokens: Tokens,
    /// The executable schema.
    pub schema: Schema,
    /// The document guard and what it has let pass.
    pub documents: Documents,
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// A list of the schema has no bound: a mistake in this program, which a test finds first.
    pub fn new(
        settings: Settings,
        database: Database,
        catalogue: Catalogue,
    ) -> Result<Arc<Self>, CostTableError> {
        Ok(Arc::new(Self {
            tokens: Tokens::new(&settings.auth),
            schema: schema(settings.introspection(), &settings.limits.document),
            documents: Documents::new(&settings.limits)?,
            catalogue: Arc::new(catalogue),
            database,
            settings,
        }))
    }
}

/// All addresses. The layers are listed from the inside out: the last one sees a request first.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(graphiql::page))
        .route("/graphql", any(graphql::handle))
        .route("/graphiql/assets/{file}", get(graphiql::asset))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(not_found)
        .with_state(Arc::clone(app))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(middleware::from_fn(answer_panic))
        .layer(cors(&app.settings.server.cors_origins))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(request_log::log_request))
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    Answer::from(HttpError::not_found()).into_response(&id)
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
        .unwrap_or_else(|_| Answer::from(HttpError::internal()).into_response(&id))
}

/// Headers that clients may read across origins beside the usual ones.
const EXPOSED_HEADERS: [&str; 4] = ["ratelimit", "retry-after", "x-request-id", "server-timing"];

fn cors(origins: &[String]) -> CorsLayer {
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
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
    response
}
