//! One line of the log for each request, and the id that ties it to what the client saw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use rand::RngExt;
use tracing::Instrument;
use uuid::{Builder, Uuid};

use crate::cache::statistics::Lookups;
use crate::graphql::one_pass::PageCount;

/// The header of the request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header of what the answer cost.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// An id that a client or a proxy chose is kept up to this length.
const REQUEST_ID_BYTES_MAXIMUM: usize = 64;

/// The id of a request.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// What the handler of a request found out and the log line tells; an extension of the answer.
#[derive(Debug, Clone, Default)]
pub struct RequestMetrics {
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
    pub redacted: bool,
    /// The code of the first error.
    pub error: Option<String>,
}

impl RequestMetrics {
    /// Those of an answer that was kept whole.
    #[must_use]
    pub fn of_cached(operation: Option<&str>) -> Self {
        let lookups = Lookups { hits: 1, misses: 0 };
        Self { operation: operation.map(str::to_owned), lookups, ..Self::default() }
    }
}

/// Gives the request its id, and writes the line when it is answered.
pub async fn log_request(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (id, method, path) =
        (id_of(request.headers()), request.method().clone(), path_of(&request));
    request.extensions_mut().insert(RequestId(id.clone()));

    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span).await;

    // Where nothing is counted nothing is told.
    let uncounted = || RequestMetrics { redacted: true, ..RequestMetrics::default() };
    let figures = response.extensions_mut().remove().unwrap_or_else(uncounted);
    AccessLogEntry { id, method, path, started }.tell(&figures, &mut response);
    response
}

/// A request that was answered.
pub struct AccessLogEntry {
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: Method,
    /// Its path, without secrets.
    pub path: Cow<'static, str>,
    /// When it came.
    pub started: Instant,
}

impl AccessLogEntry {
    /// Writes the line, and into the answer's headers the id and what it cost.
    pub fn tell(&self, figures: &RequestMetrics, response: &mut Response) {
        let Self { id, method, path, started } = self;
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let whole = milliseconds(started.elapsed());
        if let Ok(value) = HeaderValue::try_from(server_timing(whole, figures)) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
        tracing::info!(
            request_id = %id,
            %method,
            %path,
            status = response.status().as_u16(),
            operation = figures.operation,
            error = figures.error,
            duration_ms = whole,
            statements = figures.statements,
            rows = figures.rows,
            "request"
        );
    }
}

/// The path, without the token of a share link: that is a secret.
fn path_of(request: &Request) -> Cow<'static, str> {
    let path = request.uri().path();
    if path.starts_with("/s/") { "/s/{token}".into() } else { path.to_owned().into() }
}

/// What the answer cost, for the network tab of a browser.
fn server_timing(whole: f64, figures: &RequestMetrics) -> String {
    if figures.redacted {
        return format!("total;dur={whole}");
    }
    let RequestMetrics { statements, rows, sql_time, pool_wait, .. } = figures;
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

/// The id that a request has, or one that is made up.
#[must_use]
pub fn id_of(headers: &HeaderMap) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAXIMUM && id.bytes().all(is_plain)
        })
        .map_or_else(|| new_id().to_string(), str::to_owned)
}

/// A time and chance: not from the system, which takes as long as all else of a kept answer.
fn new_id() -> Uuid {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid()
}
