//! Requests that are known by their bytes. Clients send the same few public questions again and again. A
//! request that was answered with what is kept is remembered as it was sent, and when it comes again it is
//! answered before it is read.
//!
//! Invariant: what is answered here is what the layers below would answer, so long as the answer is kept.
//! A request is remembered with all that they look at, and one that has more is left to them.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Entries;
use tower::ServiceExt;

use super::cache_headers::{CacheHeaders, SURROGATE_KEY, if_none_match};
use super::{App, CONSISTENCY_TOKEN, RATE_LIMIT, conditions, rate_limit};
use crate::cache::answers::{AnswerKey, KeptAnswer};
use crate::config::cache::{CacheSettings, KNOWN_BYTES, KNOWN_REQUEST_BYTES, KNOWN_SHARE};
use crate::domain::viewer::Reader;
use crate::graphql::cache_hints::Outside;
use crate::http::negotiation::takes_no_encoding;
use crate::http::request_log::{AccessLogEntry, REQUEST_ID, RequestMetrics, SERVER_TIMING, id_of};
use crate::http::viewer::address;
use crate::http::{PATH, router};
use crate::services::throttle::Key;

/// The headers of a request on which a public answer depends.
static KEY_HEADERS: [HeaderName; KEY_HEADER_COUNT] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_TYPE, header::ORIGIN];

const KEY_HEADER_COUNT: usize = 4;

/// Headers of an answer that are of this one alone.
static PER_RESPONSE_HEADERS: [HeaderName; 7] = [
    REQUEST_ID,
    SERVER_TIMING,
    RATE_LIMIT,
    SURROGATE_KEY,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::ETAG,
];

/// What a client sent, as far as a public answer depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RequestKey {
    is_get: bool,
    /// The query string or the body.
    text: Bytes,
    headers: [Option<HeaderValue>; KEY_HEADER_COUNT],
}

impl RequestKey {
    /// What is to be remembered of it.
    fn bytes(&self) -> usize {
        let headers = self.headers.iter().flatten().map(HeaderValue::len).sum::<usize>();
        self.text.len() + headers
    }

    /// The same by itself: as it came it holds all that came with it.
    fn to_own(&self) -> Self {
        let text = Bytes::copy_from_slice(&self.text);
        let headers = self.headers.each_ref().map(|header| header.as_ref().map(copy_of));
        Self { is_get: self.is_get, text, headers }
    }
}

fn copy_of(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// How a request is answered.
#[derive(Debug)]
struct MemoEntry {
    key: AnswerKey,
    outside: Outside,
    /// The headers that all answers to it have.
    headers: HeaderMap,
}

/// Which answer was given; an extension of the response that gives it.
#[derive(Debug, Clone)]
pub(super) struct CacheHit {
    /// Under which it is kept.
    pub(super) key: AnswerKey,
    /// What caches outside may do with it.
    pub(super) outside: Outside,
}

/// The requests that are known, by weight.
pub struct RequestMemo(Entries<RequestKey, Arc<MemoEntry>>);

impl RequestMemo {
    /// None, to begin with.
    #[must_use]
    pub fn new(settings: &CacheSettings) -> Self {
        let entries = Entries::builder()
            .weigher(|sent: &RequestKey, _| {
                u32::try_from(sent.bytes() + KNOWN_REQUEST_BYTES).unwrap_or(u32::MAX)
            })
            .max_capacity(settings.answers_bytes / KNOWN_SHARE)
            .eviction_policy(EvictionPolicy::lru());
        Self(entries.build())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }

    /// Remembers how a request was answered, if it was with what is kept, and as it is kept.
    fn remember(&self, sent: &RequestKey, response: &mut Response) {
        let Some(CacheHit { key, outside }) = response.extensions_mut().remove() else { return };
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let is_small = sent.bytes() <= KNOWN_BYTES;
        let is_as_kept = encoding.map(HeaderValue::as_bytes) == key.encoding.map(str::as_bytes);
        if response.status() == StatusCode::OK && is_as_kept && is_small {
            let mut headers = response.headers().clone();
            headers.values_mut().for_each(|value| *value = copy_of(value));
            for name in &PER_RESPONSE_HEADERS {
                headers.remove(name);
            }
            self.0.insert(sent.to_own(), Arc::new(MemoEntry { key, outside, headers }));
        }
    }
}

/// The server as connections see it: what is known is answered at once, and the rest by the layers of
/// [`router`].
#[derive(Clone)]
pub struct FastPath {
    app: Arc<App>,
    router: Router,
}

impl FastPath {
    /// The server of an app.
    #[must_use]
    pub fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), router: router(app) }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// None.
    pub async fn answer(self, mut request: Request) -> Result<Response, Infallible> {
        if takes_no_encoding(request.headers()) {
            // It gets the answer as it is. The layer of compression would refuse it after all was done.
            request.headers_mut().remove(header::ACCEPT_ENCODING);
        }
        if !is_memoizable(&self.app, &request) {
            return self.router.oneshot(request).await;
        }
        let (sent, request) = read(request);
        let Some(sent) = sent else { return self.router.oneshot(request).await };
        let started = Instant::now();
        if let Some((known, kept)) = self.find(&sent).await
            && let Some(response) = self.respond((&sent, &request), (&known, kept), started)
        {
            return Ok(response);
        }
        let app = self.app;
        let mut response = self.router.oneshot(request).await?;
        app.request_memo.remember(&sent, &mut response);
        Ok(response)
    }

    /// What is kept for a request that is known.
    async fn find(&self, sent: &RequestKey) -> Option<(Arc<MemoEntry>, KeptAnswer)> {
        let known = self.app.request_memo.0.get(sent)?;
        let now = self.app.services.clock.now();
        let kept = self.app.services.cache.kept_answer(&known.key, now).await?;
        Some((known, kept))
    }

    /// The answer to a request that is known; nothing for whoever may not ask now.
    fn respond(
        &self,
        (sent, request): (&RequestKey, &Request),
        (known, kept): (&MemoEntry, KeptAnswer),
        started: Instant,
    ) -> Option<Response> {
        let services = &self.app.services;
        let address = address(request.extensions(), request.headers(), &services.settings);
        let remaining = services.throttle.request(Key::address(address)).ok()?;
        services.cache.count_answer();
        self.app.database.note_kept(Reader::Address(address), kept.head.made_by);

        let tag = kept.head.tag.clone();
        let has_it = sent.is_get && if_none_match(&conditions(request.headers()), &tag);
        let mut headers = known.headers.clone();
        let (status, body) = if has_it {
            headers.remove(header::CONTENT_TYPE);
            headers.remove(header::CONTENT_ENCODING);
            (StatusCode::NOT_MODIFIED, Bytes::new())
        } else {
            headers.insert(header::CONTENT_LENGTH, kept.body.len().into());
            (StatusCode::OK, kept.body)
        };
        let mut response = Response::new(Body::from(body));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        let publication = CacheHeaders {
            outside: known.outside,
            remaining: kept.head.remaining(services.clock.now()),
            keys: kept.head.surrogate_keys.clone(),
        };
        publication.write(tag, response.headers_mut());
        if let Some(remaining) = remaining.and_then(|remaining| rate_limit(&remaining)) {
            response.headers_mut().insert(RATE_LIMIT, remaining);
        }
        let figures = RequestMetrics::of_cached(known.key.question.operation.as_deref());
        let answered = AccessLogEntry {
            id: id_of(request.headers()),
            method: request.method().clone(),
            path: PATH.into(),
            started,
        };
        answered.tell(&figures, &mut response);
        Some(response)
    }
}

/// Whether it is worth looking: an answer to whoever is signed in is theirs as far as anybody knows who
/// has not read the request.
fn is_memoizable(app: &App, request: &Request) -> bool {
    let is_get = request.method() == Method::GET && request.uri().query().is_some();
    (is_get || request.method() == Method::POST)
        && request.uri().path() == PATH
        && !request.headers().contains_key(header::AUTHORIZATION)
        && !request.headers().contains_key(CONSISTENCY_TOKEN)
        && app.services.cache.keeps_answers()
}

/// What was sent, if it is there already and not more than is remembered; and the request as it was.
fn read(request: Request) -> (Option<RequestKey>, Request) {
    let mut headers = [const { None }; KEY_HEADER_COUNT];
    for (name, header) in KEY_HEADERS.iter().zip(&mut headers) {
        let mut values = request.headers().get_all(name).iter();
        *header = values.next().cloned();
        if values.next().is_some() {
            return (None, request);
        }
    }
    if request.method() == Method::GET {
        let text = request.uri().query().unwrap_or_default();
        if text.len() > KNOWN_BYTES {
            return (None, request);
        }
        let text = Bytes::copy_from_slice(text.as_bytes());
        return (Some(RequestKey { is_get: true, text, headers }), request);
    }
    let length = request.body().size_hint().exact();
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
        return (None, request);
    };
    if length == 0 || length > KNOWN_BYTES {
        return (None, request);
    }
    let (parts, mut body) = request.into_parts();
    match body.frame().now_or_never() {
        Some(Some(Ok(frame))) => match frame.into_data() {
            Ok(text) if text.len() == length => {
                let request = Request::from_parts(parts, Body::from(text.clone()));
                (Some(RequestKey { is_get: false, text, headers }), request)
            }
            Ok(first) => {
                let first = stream::once(ready(Ok(first)));
                let body = Body::from_stream(first.chain(body.into_data_stream()));
                (None, Request::from_parts(parts, body))
            }
            // There is nothing after trailers.
            Err(_) => (None, Request::from_parts(parts, Body::empty())),
        },
        Some(Some(Err(error))) => {
            let body = Body::from_stream(stream::once(ready(Err::<Bytes, _>(error))));
            (None, Request::from_parts(parts, body))
        }
        // It ended, or nothing of it is there yet.
        Some(None) | None => (None, Request::from_parts(parts, body)),
    }
}
