//! The `RateLimit` response header (draft-ietf-httpapi-ratelimit-headers).

use axum::http::{HeaderName, HeaderValue};

use crate::services::rate_limits::LimitStatus;

/// Name of the header.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Header value: requests that may be sent at once (`r`), and seconds until the whole limit is back (`t`).
#[must_use]
pub fn rate_limit(remaining: &LimitStatus) -> Option<HeaderValue> {
    let seconds = remaining.reset_after.as_millis().div_ceil(1_000);
    HeaderValue::try_from(format!("\"requests\";r={};t={seconds}", remaining.remaining)).ok()
}
