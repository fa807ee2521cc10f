//! Access log and `Server-Timing`: one line and one header for each response, and the request id that ties
//! both to errors.
//!
//! Not the request-id layer of tower-http: it passes on whatever id the client sends, where an id that is too
//! long or has other characters is replaced here.

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
use crate::config::limits::REQUEST_ID_BYTES_MAXIMUM;
use crate::config::log::CLIENT_TEXT_CHARACTERS;
use crate::graphql::fast_json::DirectCounts;

/// Header of the request id, in requests and responses.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Header of the metrics of a response.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Request id; an extension of each request.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Metrics of one request; an extension of its response.
#[derive(Debug, Clone, Default)]
pub struct RequestMetrics {
    /// Name of the operation.
    pub operation: Option<String>,
    /// Number of SQL statements.
    pub statements: u64,
    /// Rows that they returned.
    pub rows: u64,
    /// Time of the statements, with the wait for a connection.
    pub sql_time: Duration,
    /// Wait for a connection.
    pub pool_wait: Duration,
    /// Cache hits and misses.
    pub lookups: Lookups,
    /// Values that may be written directly as JSON, and how many of them were.
    pub direct: DirectCounts,
    /// True if clients may see no metric but the total time.
    pub redacted: bool,
    /// Code of the first error.
    pub error_code: Option<String>,
}

impl RequestMetrics {
    /// Metrics of a response from the response cache.
    #[must_use]
    pub fn of_cached(operation: Option<String>) -> Self {
        Self { operation, lookups: Lookups { hits: 1, misses: 0 }, ..Self::default() }
    }

    /// Metrics of a response for which nothing is measured.
    #[must_use]
    pub fn redacted() -> Self {
        Self { redacted: true, ..Self::default() }
    }
}

/// Middleware: sets the request id, and finishes the response.
pub async fn log_request(mut request: Request, next: Next) -> Response {
    let log_entry = AccessLogEntry {
        started: Instant::now(),
        id: request_id(request.headers()),
        method: request.method().clone(),
        path: loggable_path(&request),
    };
    request.extensions_mut().insert(RequestId(log_entry.id.clone()));

    let span = tracing::info_span!("request", request_id = %log_entry.id);
    let mut response = next.run(request).instrument(span).await;

    let metrics = response.extensions_mut().remove().unwrap_or_else(RequestMetrics::redacted);
    log_entry.finish(&metrics, &mut response);
    response
}

/// Request part of a line in the access log.
pub struct AccessLogEntry {
    /// Request id.
    pub id: String,
    /// Method.
    pub method: Method,
    /// Path, without secrets.
    pub path: Cow<'static, str>,
    /// Time of arrival.
    pub started: Instant,
}

impl AccessLogEntry {
    /// Writes the line, and the headers with the request id and the metrics.
    pub fn finish(&self, metrics: &RequestMetrics, response: &mut Response) {
        let Self { id, method, path, started } = self;
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let duration_ms = milliseconds(started.elapsed());
        if let Ok(value) = HeaderValue::try_from(server_timing(duration_ms, metrics)) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
        tracing::info!(
            request_id = %id,
            method = %loggable(method.as_str()),
            path = %loggable(path),
            status = response.status().as_u16(),
            operation = metrics.operation.as_deref().map(loggable).as_deref(),
            error_code = metrics.error_code,
            duration_ms,
            statements = metrics.statements,
            rows = metrics.rows,
            "request"
        );
    }
}

/// Text that a client chose, as it is logged: of limited length, and with escape sequences for characters
/// that a reader of the log would not see, or that would change what it sees.
fn loggable(text: &str) -> Cow<'_, str> {
    let is_plain = |character: char| matches!(character, ' '..='~');
    if text.len() <= CLIENT_TEXT_CHARACTERS && text.chars().all(is_plain) {
        return text.into();
    }
    let mut characters = text.chars();
    let mut logged = String::with_capacity(CLIENT_TEXT_CHARACTERS);
    for character in characters.by_ref().take(CLIENT_TEXT_CHARACTERS) {
        if is_plain(character) {
            logged.push(character);
        } else {
            logged.extend(character.escape_debug());
        }
    }
    if characters.next().is_some() {
        logged.push('…');
    }
    logged.into()
}

/// The path; of a share link without its token, which is a secret.
fn loggable_path(request: &Request) -> Cow<'static, str> {
    let path = request.uri().path();
    if path.starts_with("/s/") { "/s/{token}".into() } else { path.to_owned().into() }
}

/// Value of `Server-Timing`, for the network tab of a browser.
fn server_timing(total_ms: f64, metrics: &RequestMetrics) -> String {
    if metrics.redacted {
        return format!("total;dur={total_ms}");
    }
    let RequestMetrics { statements, rows, .. } = metrics;
    let sql_ms = milliseconds(metrics.sql_time);
    let mut timing = format!(
        "total;dur={total_ms}, sql;dur={sql_ms};desc=\"{statements} statements, {rows} rows\""
    );
    if *statements > 0 {
        let wait_ms = milliseconds(metrics.pool_wait);
        let _ = write!(timing, ", pool;dur={wait_ms};desc=\"wait for a connection\"");
    }
    let Lookups { hits, misses } = metrics.lookups;
    if hits + misses > 0 {
        let _ = write!(timing, ", cache;desc=\"{hits} hits, {misses} misses\"");
    }
    let DirectCounts { total, written } = metrics.direct;
    if total > 0 {
        let _ = write!(timing, ", fast-json;desc=\"{written} of {total} values\"");
    }
    timing
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

/// Request id of the client, or a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAXIMUM && id.bytes().all(is_plain)
        })
        .map_or_else(|| new_id().to_string(), str::to_owned)
}

/// A UUID of version 7. Its random part is from the generator of the thread: one from the system takes as
/// long as everything else of a cached response.
fn new_id() -> Uuid {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_clients_are_logged_at_the_maximum_and_truncated_above_it() {
        for unit in ["a", "é", "🂠"] {
            let longest = unit.repeat(CLIENT_TEXT_CHARACTERS);
            assert_eq!(loggable(&longest), longest);
            assert_eq!(loggable(&format!("{longest}{unit}")), format!("{longest}…"));
        }
    }

    #[test]
    fn invisible_characters_of_clients_are_escaped_in_the_log() {
        assert_eq!(
            loggable("/a\n\u{1b}[31m\u{85}\u{2028}\u{202e}\u{200b}\"é"),
            "/a\\n\\u{1b}[31m\\u{85}\\u{2028}\\u{202e}\\u{200b}\"é"
        );
    }
}
