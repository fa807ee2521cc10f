//! One line of the log for each request, and the id that ties it to what the client saw.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::cache::statistics::Lookups;
use crate::graphql::one_pass::PageCount;

/// The header of the request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// An id that a client or a proxy chose is kept up to this length.
const REQUEST_ID_BYTES_MAXIMUM: usize = 64;

/// The id of a request.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// What the handler of a request found out and the log line tells; an extension of the answer.
#[derive(Debug, Clone, Default)]
pub struct RequestFigures {
    /// The operation's name.
    pub operation: Option<String>,
    /// SQL statements that ran.
    pub statements: u64,
    /// Rows that came back.
    pub rows: u64,
    /// The time that the statements took.
    pub sql_time: Duration,
    /// How much of it they waited for a connection.
    pub pool_wait: Duration,
    /// What was kept of what it asked for, and what was not.
    pub lookups: Lookups,
    /// Pages of readings.
    pub pages: PageCount,
    /// Whether clients may see no more of what it cost than its time.
    pub are_secret: bool,
    /// The code of the first error.
    pub error: Option<String>,
}

/// Gives the request its id, and writes the line when it is answered.
pub async fn log_request(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = id_of(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = path_of(&request);

    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span).await;

    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let figures = response.extensions_mut().remove::<RequestFigures>().unwrap_or_default();
    let whole = milliseconds(started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&server_timing(whole, &figures)) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    tracing::info!(
        request_id = %id,
        %method,
        path,
        status = response.status().as_u16(),
        operation = figures.operation,
        error = figures.error,
        duration_ms = whole,
        statements = figures.statements,
        rows = figures.rows,
        "request"
    );
    response
}

/// The path, without the token of a share link: that is a secret.
fn path_of(request: &Request) -> String {
    let path = request.uri().path();
    if path.starts_with("/s/") { "/s/{token}".to_owned() } else { path.to_owned() }
}

/// What the answer cost, for the network tab of a browser.
fn server_timing(whole: f64, figures: &RequestFigures) -> String {
    if figures.are_secret {
        return format!("total;dur={whole}");
    }
    let RequestFigures { statements, rows, sql_time, pool_wait, .. } = figures;
    let (sql, wait) = (milliseconds(*sql_time), milliseconds(*pool_wait));
    let mut timing =
        format!("total;dur={whole}, sql;dur={sql};desc=\"{statements} statements, {rows} rows\"");
    if *statements > 0 {
        let _ = write!(timing, ", pool;dur={wait};desc=\"wait for a connection\"");
    }
    let Lookups { hits, misses } = figures.lookups;
    if hits + misses > 0 {
        let _ = write!(timing, ", cache;desc=\"{hits} hits, {misses} misses\"");
    }
    let PageCount { pages, written } = figures.pages;
    if pages > 0 {
        let _ = write!(timing, ", pages;desc=\"{written} of {pages} in one pass\"");
    }
    timing
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

fn id_of(headers: &HeaderMap) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAXIMUM && id.bytes().all(is_plain)
        })
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
