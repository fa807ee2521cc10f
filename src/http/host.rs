//! Host of a request. A request without a valid one may be understood in another way by a proxy, so it is
//! rejected before any handler.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;

use super::graphql::error::HttpError;
use super::graphql::response::GraphqlResponse;
use super::request_log::RequestId;
use super::state::App;

/// Rejects a request without a valid host, or for one that is not served.
pub(super) async fn require_host(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let error = if !has_valid_host(&request) {
        HttpError::invalid_host()
    } else if !app.allowed_hosts.allow(&request) {
        HttpError::misdirected()
    } else {
        return next.run(request).await;
    };
    GraphqlResponse::from(error).into_response(&id)
}

/// True if the request names its host as its version of HTTP demands. HTTP/1.1: in one `Host` header, which
/// HTTP/1.0 may omit (RFC 9112, section 3.2). HTTP/2: in `:authority`, in `Host`, or the same in both (RFC 9113,
/// section 8.3.1).
pub(super) fn has_valid_host(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    match (hosts.next(), hosts.next()) {
        (None, _) => authority.is_some() || request.version() < Version::HTTP_11,
        // Empty if the target of the request has no host.
        (Some(host), None) if host.is_empty() => authority.is_none(),
        (Some(host), None) => {
            host_of(host).is_some_and(|host| authority.is_none_or(|authority| *authority == host))
        }
        (Some(_), Some(_)) => false,
    }
}

/// Host of a request with a valid one, without its port; `None` where it is absent or empty.
pub(super) fn host(request: &Request) -> Option<String> {
    // The target decides, also over HTTP/1 where it is a whole URL (RFC 9112, section 3.2.2).
    let authority = request.uri().authority();
    let in_header = || request.headers().get(header::HOST).and_then(host_of);
    authority.cloned().or_else(in_header).map(|authority| authority.host().to_owned())
}

/// Host in a `Host` header, with its port if there is one.
fn host_of(value: &HeaderValue) -> Option<Authority> {
    let authority = Authority::try_from(value.as_bytes()).ok()?;
    // `Authority` also accepts user information before the host, and any text as port.
    let port = authority.as_str().strip_prefix(authority.host())?;
    (port.is_empty() || port == ":" || authority.port().is_some()).then_some(authority)
}
