//! Transfer codings of a request. hyper decodes `chunked` and looks at the last coding alone, so content with another
//! one would be read as it was sent.

use axum::extract::{Extension, Request};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::graphql::error::HttpError;
use super::graphql::response::GraphqlResponse;
use super::request_log::RequestId;

/// Transfer codings of a request (RFC 9112, section 6.1).
enum TransferCodings {
    /// `chunked`, or none.
    Supported,
    /// `chunked` more than once, which no client may send.
    Repeated,
    /// Any other one.
    Unsupported,
}

/// Rejects a request with a transfer coding that is not decoded.
pub(super) async fn require_decoded(
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let error = match transfer_codings(request.headers()) {
        TransferCodings::Supported => return next.run(request).await,
        TransferCodings::Repeated => HttpError::repeated_transfer_coding(),
        TransferCodings::Unsupported => HttpError::unsupported_transfer_coding(),
    };
    GraphqlResponse::from(error).into_response(&id)
}

fn transfer_codings(headers: &HeaderMap) -> TransferCodings {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let codings: Vec<&[u8]> =
        codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty()).collect();
    if !codings.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        TransferCodings::Unsupported
    } else if codings.len() > 1 {
        TransferCodings::Repeated
    } else {
        TransferCodings::Supported
    }
}
