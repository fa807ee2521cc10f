//! Target `http`: the handler of HTTP requests. An input is a request as text: its first line, its headers, an empty
//! line and its body. `authorization: Bearer ada` and `Bearer admin` stand for access tokens of these users.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use futures_util::stream;
use serde_json::Value as Json;
use wasteland_tarot::config::limits::MESSAGE_CHARACTERS;
use wasteland_tarot::domain::error_code::ErrorCode;
use wasteland_tarot::http::client_address::PeerAddress;

use crate::server::{Answer, Server};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::new("http"));

/// Headers of every response.
const ALWAYS_PRESENT: [&str; 6] = [
    "cache-control",
    "content-security-policy",
    "referrer-policy",
    "server-timing",
    "x-content-type-options",
    "x-request-id",
];

/// A status of the server's own failure: a transfer coding that it does not know (RFC 9112, section 6.1).
const NOT_IMPLEMENTED: u16 = 501;

/// No request makes the server fail; a response is what its headers say, and each of its errors has a code; a
/// response that may be cached is the same from the cache.
pub(crate) fn run(data: &[u8]) {
    let Some(text) = RequestText::parse(data) else { return };
    let Some(request) = text.request() else { return };
    let answer = SERVER.respond(request);
    check(&text, &answer);
    let Some(tag) = answer.headers.get(header::ETAG).filter(|_| answer.status == 200) else {
        return;
    };
    let again = SERVER.respond(text.request().expect("it was a request before"));
    assert_eq!(again.status, 200, "another status from the cache");
    assert_eq!(again.headers.get(header::ETAG), Some(tag), "another tag from the cache");
    assert!(again.body == answer.body, "another body from the cache");
    if text.method == Method::GET {
        let mut request = text.request().expect("it was a request before");
        request.headers_mut().insert(header::IF_NONE_MATCH, tag.clone());
        let unchanged = SERVER.respond(request);
        assert_eq!(unchanged.status, 304, "not recognized by its tag");
        check(&text, &unchanged);
    }
}

/// A request, for any number of uses.
struct RequestText<'a> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: &'a [u8],
}

impl<'a> RequestText<'a> {
    /// None for bytes that the HTTP library would refuse.
    fn parse(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        let mut line = || {
            let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..length];
            rest = rest.get(length + 1..).unwrap_or_default();
            line.strip_suffix(b"\r").unwrap_or(line)
        };
        let mut first = line().splitn(3, |byte| *byte == b' ');
        let method = Method::from_bytes(first.next()?).ok()?;
        let uri = Uri::try_from(first.next()?).ok()?;
        let version = match first.next().unwrap_or(b"HTTP/1.1") {
            b"HTTP/1.0" => Version::HTTP_10,
            b"HTTP/1.1" => Version::HTTP_11,
            b"HTTP/2.0" => Version::HTTP_2,
            _ => return None,
        };
        let mut headers = HeaderMap::new();
        loop {
            let line = line();
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, value(line[colon + 1..].trim_ascii())?);
        }
        Some(Self { method, uri, version, headers, body: rest })
    }

    /// The request. With `transfer-encoding`, its body comes in two parts and has no length.
    fn request(&self) -> Option<Request> {
        let body = Bytes::copy_from_slice(self.body);
        let body = if self.headers.contains_key(header::TRANSFER_ENCODING) {
            let (first, last) = (body.slice(..body.len() / 2), body.slice(body.len() / 2..));
            Body::from_stream(stream::iter([first, last].map(Ok::<_, Infallible>)))
        } else {
            Body::from(body)
        };
        let peer = PeerAddress(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.uri.clone())
            .version(self.version)
            .extension(peer)
            .body(body)
            .ok()?;
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }
}

/// The value of a header, with an access token in place of the name of its user.
fn value(text: &[u8]) -> Option<HeaderValue> {
    let name = text.strip_prefix(b"Bearer ").and_then(|name| std::str::from_utf8(name).ok());
    match name.and_then(|name| SERVER.access_token(name)) {
        Some(token) => HeaderValue::try_from(format!("Bearer {token}")).ok(),
        None => HeaderValue::from_bytes(text).ok(),
    }
}

fn check(request: &RequestText<'_>, answer: &Answer) {
    let Answer { status, headers, body } = answer;
    assert!(*status < 500 || *status == NOT_IMPLEMENTED, "status {status}: {}", shown(body));
    for name in ALWAYS_PRESENT {
        assert!(headers.contains_key(name), "status {status} without {name}");
    }
    if request.method == Method::HEAD || [204, 304].contains(status) {
        return assert!(body.is_empty(), "a body with status {status}: {}", shown(body));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return;
    }
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let content_type = String::from_utf8_lossy(content_type.unwrap_or_default());
    let is_json = content_type.contains("json");
    if is_json {
        let json: Json = serde_json::from_slice(body)
            .unwrap_or_else(|error| panic!("JSON by its type, and {error}: {}", shown(body)));
        check_errors(answer, &json);
    } else if content_type.starts_with("text/html") {
        let start = body.get(..15).unwrap_or_default();
        assert!(start.eq_ignore_ascii_case(b"<!doctype html>"), "no page: {}", shown(body));
    } else {
        assert!(*status < 300, "status {status} of the type {content_type:?}: {}", shown(body));
    }
}

/// Each error has a message, a known code that is not the server's fault, and the id of the request.
fn check_errors(answer: &Answer, json: &Json) {
    let is_error = answer.status >= 400;
    let Some(errors) = json.get("errors") else {
        return assert!(!is_error, "status {} without errors: {json}", answer.status);
    };
    let errors = errors.as_array().expect("a list of errors");
    assert!(!errors.is_empty(), "an empty list of errors");
    for error in errors {
        let message = error["message"].as_str().expect("a message");
        assert!(message.chars().count() <= MESSAGE_CHARACTERS, "a long message: {message}");
        let extensions = &error["extensions"];
        let code = ErrorCode::ALL.iter().find(|code| extensions["code"] == code.as_str());
        let is_of_server = code.is_none_or(|code| {
            use ErrorCode::{InternalServerError, ServiceUnavailable, StorageFull, Timeout};
            [InternalServerError, ServiceUnavailable, StorageFull, Timeout].contains(code)
        });
        assert!(!is_of_server, "an error of the server: {error}");
        let id = answer.headers.get("x-request-id").map(HeaderValue::as_bytes);
        assert_eq!(extensions["requestId"].as_str().map(str::as_bytes), id, "of another request");
    }
}

/// The beginning of a body.
fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(400).collect()
}
