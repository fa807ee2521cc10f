//! The fast path, in front of the router: a request in the request memo is served from the response cache at
//! once, every other one by the router. Each request carries its [`ClientAddress`].

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::client_address::ClientAddress;
use super::consistency_token::CONSISTENCY_TOKEN;
use super::graphql::cache_headers::{CacheHeaders, if_none_match, if_none_match_values};
use super::graphql::cost_report::GRAPHQL_COST;
use super::graphql::request_memo::{
    KEY_HEADER_COUNT, KEY_HEADERS, MemoEntry, RequestKey, Transport,
};
use super::host::has_valid_host;
use super::negotiation::strict_accept_encoding;
use super::rate_limit::{RATE_LIMIT, rate_limit};
use super::refusal_delay::delay_refusal;
use super::request_log::{AccessLogEntry, RequestMetrics, request_id};
use super::response_budget::ConnectionBudget;
use super::state::{App, GRAPHQL_PATHS};
use crate::cache::response_cache::CachedResponse;
use crate::config::cache::REQUEST_MEMO_MAX_REQUEST_BYTES;
use crate::domain::viewer::ReaderId;
use crate::services::rate_limits::ClientKey;

/// The service of all connections.
#[derive(Clone)]
pub struct FastPath {
    app: Arc<App>,
    router: Router,
}

/// Memo entry of a request, and its response in the response cache.
struct Hit {
    entry: Arc<MemoEntry>,
    cached: CachedResponse,
}

impl FastPath {
    pub(super) fn new(app: &Arc<App>, router: Router) -> Self {
        Self { app: Arc::clone(app), router }
    }

    /// The response to a request.
    pub async fn respond(self, mut request: Request) -> Result<Response, Infallible> {
        if let Some(strict) = strict_accept_encoding(request.headers()) {
            // A client that accepts nothing gets an uncompressed response. The compression layer would refuse it
            // with 406 after all the work was done.
            let strict = HeaderValue::try_from(strict).ok().filter(|value| !value.is_empty());
            match strict {
                Some(strict) => request.headers_mut().insert(header::ACCEPT_ENCODING, strict),
                None => request.headers_mut().remove(header::ACCEPT_ENCODING),
            };
        }
        let client = self.app.client_addresses.find(request.extensions(), request.headers());
        request.extensions_mut().insert(ClientAddress(client));
        if !is_memoizable(&self.app, &request) {
            return self.route(request, client).await;
        }
        let Keyed { key, request } = read_key(request);
        let Some(key) = key else { return self.route(request, client).await };
        let started = Instant::now();
        if let Some(hit) = self.find(&key).await
            && let Some(response) = self.respond_from_cache(hit, &request, started)
        {
            return Ok(response);
        }
        let app = Arc::clone(&self.app);
        let mut response = self.route(request, client).await?;
        app.request_memo.insert(&key, &mut response);
        Ok(response)
    }

    /// The response of the router. One with 429 waits for its turn.
    async fn route(self, request: Request, client: IpAddr) -> Result<Response, Infallible> {
        let response = self.router.oneshot(request).await?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            Box::pin(delay_refusal(&self.app, client)).await;
        }
        Ok(response)
    }

    async fn find(&self, key: &RequestKey) -> Option<Hit> {
        let entry = self.app.request_memo.get(key)?;
        let now = self.app.services.clock.now();
        let cached = self.app.services.cache.responses().get(&entry.key, now).await?;
        Some(Hit { entry, cached })
    }

    /// The cached response; `None` for a client above its rate limit, or with too many unsent bytes, which the
    /// router refuses.
    fn respond_from_cache(
        &self,
        hit: Hit,
        request: &Request,
        started: Instant,
    ) -> Option<Response> {
        let Hit { entry, cached } = hit;
        let services = &self.app.services;
        let address = ClientAddress::of(request.extensions());
        let connection = request.extensions().get::<ConnectionBudget>();
        let reservation = match connection {
            Some(connection) => {
                let bytes = u64::try_from(cached.body.len()).ok()?;
                Some(self.app.response_budget.reserve(connection, address, bytes)?)
            }
            None => None,
        };
        let remaining = services.rate_limits.check_request(&ClientKey::anonymous(address)).ok()?;
        services.cache.responses().count_hit();
        self.app
            .database
            .record_cached_read(ReaderId::Address(address), cached.metadata.computed_at);

        let tag = cached.metadata.entity_tag.clone();
        let is_not_modified = request.method() == Method::GET
            && if_none_match(&if_none_match_values(request.headers()), &tag);
        let mut headers = entry.headers.clone();
        let (status, body) = if is_not_modified {
            headers.remove(header::CONTENT_TYPE);
            headers.remove(header::CONTENT_ENCODING);
            (StatusCode::NOT_MODIFIED, Bytes::new())
        } else {
            headers.insert(header::CONTENT_LENGTH, cached.body.len().into());
            (StatusCode::OK, cached.body)
        };
        let body = Body::from(body);
        let mut response = Response::new(match reservation {
            Some(reservation) => reservation.hold(body),
            None => body,
        });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let cache_headers = CacheHeaders {
            revalidation: entry.revalidation,
            remaining: cached.metadata.remaining(services.clock.now()),
            keys: cached.metadata.surrogate_keys.clone(),
        };
        cache_headers.write(tag, response.headers_mut());
        if let Some(value) = remaining.and_then(|remaining| rate_limit(&remaining)) {
            response.headers_mut().insert(RATE_LIMIT, value);
        }
        let operation = entry.key.operation_key.operation.as_deref().map(str::to_owned);
        let metrics = RequestMetrics::of_cached(operation);
        let log_entry = AccessLogEntry {
            id: request_id(request.headers()),
            method: request.method().clone(),
            path: graphql_path(request).unwrap_or_default().into(),
            started,
        };
        log_entry.finish(&metrics, &mut response);
        Some(response)
    }
}

/// Requests whose response may be in the memo. A response to a signed-in user is private as far as is
/// known before the request is parsed.
fn is_memoizable(app: &App, request: &Request) -> bool {
    let is_get = request.method() == Method::GET && request.uri().query().is_some();
    (is_get || request.method() == Method::POST)
        && graphql_path(request).is_some()
        && has_valid_host(request)
        && app.allowed_hosts.allow(request)
        && !request.headers().contains_key(header::CONTENT_ENCODING)
        && !request.headers().contains_key(header::TRANSFER_ENCODING)
        && !request.headers().contains_key(header::AUTHORIZATION)
        && !request.headers().contains_key(CONSISTENCY_TOKEN)
        && !request.headers().contains_key(GRAPHQL_COST)
        && app.services.cache.responses().is_available()
}

/// Path of a request, if it is one of the API.
fn graphql_path(request: &Request) -> Option<&'static str> {
    GRAPHQL_PATHS.into_iter().find(|path| *path == request.uri().path())
}

/// A request, and its key if it has one.
struct Keyed {
    key: Option<RequestKey>,
    request: Request,
}

impl Keyed {
    fn without_key(request: Request) -> Self {
        Self { key: None, request }
    }
}

/// Reads the key of a request, if all of it has arrived and it is small enough. The request stays whole.
fn read_key(request: Request) -> Keyed {
    let Some(headers) = key_headers(&request) else { return Keyed::without_key(request) };
    if request.method() == Method::GET {
        let text = request.uri().query().unwrap_or_default();
        if text.len() > REQUEST_MEMO_MAX_REQUEST_BYTES {
            return Keyed::without_key(request);
        }
        let transport = Transport::QueryString(Bytes::copy_from_slice(text.as_bytes()));
        return Keyed { key: Some(RequestKey { transport, headers }), request };
    }
    let length = request.body().size_hint().exact();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let Some(length) =
        length.filter(|length| (1..=REQUEST_MEMO_MAX_REQUEST_BYTES).contains(length))
    else {
        return Keyed::without_key(request);
    };
    let (parts, body) = request.into_parts();
    read_body(parts, body, length, headers)
}

/// Values of the headers in the key; `None` if one of them stands on several lines.
fn key_headers(request: &Request) -> Option<[Option<HeaderValue>; KEY_HEADER_COUNT]> {
    let mut headers = [const { None }; KEY_HEADER_COUNT];
    for (name, header) in KEY_HEADERS.iter().zip(&mut headers) {
        let mut values = request.headers().get_all(name).iter();
        *header = values.next().cloned();
        if values.next().is_some() {
            return None;
        }
    }
    Some(headers)
}

/// Reads the first frame of a body without waiting for it. A body that is not all in that frame is put
/// together again.
fn read_body(
    parts: Parts,
    mut body: Body,
    length: usize,
    headers: [Option<HeaderValue>; KEY_HEADER_COUNT],
) -> Keyed {
    match body.frame().now_or_never() {
        Some(Some(Ok(frame))) => match frame.into_data() {
            Ok(text) if text.len() == length => {
                let request = Request::from_parts(parts, Body::from(text.clone()));
                let transport = Transport::Body(text);
                Keyed { key: Some(RequestKey { transport, headers }), request }
            }
            Ok(first) => {
                let first = stream::once(ready(Ok(first)));
                let body = Body::from_stream(first.chain(body.into_data_stream()));
                Keyed::without_key(Request::from_parts(parts, body))
            }
            // Trailers are the last frame.
            Err(_) => Keyed::without_key(Request::from_parts(parts, Body::empty())),
        },
        Some(Some(Err(error))) => {
            let body = Body::from_stream(stream::once(ready(Err::<Bytes, _>(error))));
            Keyed::without_key(Request::from_parts(parts, body))
        }
        // The body has ended, or none of it has arrived yet.
        Some(None) | None => Keyed::without_key(Request::from_parts(parts, body)),
    }
}
