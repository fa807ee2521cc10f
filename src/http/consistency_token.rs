//! The `x-consistency-token` header. A mutation returns it; a client that sends it back reads its own
//! writes from every server and replica.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::db::WalPosition;

/// Name of the header, in requests and responses.
pub const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");

/// Token of a request. A malformed one is ignored.
#[must_use]
pub fn parse_token(headers: &HeaderMap) -> Option<WalPosition> {
    WalPosition::parse_token(headers.get(CONSISTENCY_TOKEN)?.to_str().ok()?)
}

/// Header value of a token.
#[must_use]
pub fn token_header(position: WalPosition) -> HeaderValue {
    // Letters and digits only, so the conversion cannot fail.
    HeaderValue::try_from(position.to_string()).unwrap_or(HeaderValue::from_static(""))
}
