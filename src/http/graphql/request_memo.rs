//! Request memo: requests by their bytes, each with the key of its response in the response cache. Clients
//! send the same few public requests again and again; a request that is in the memo is served before it
//! is parsed (`http/fast_path.rs`).
//!
//! Invariant: a memo entry leads to the response that the layers below would give, for as long as that is
//! cached. So the key holds everything that they read, and a request with more than that has no key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Entries;

use super::cache_headers::SURROGATE_KEY;
use crate::cache::response_cache::ResponseCacheKey;
use crate::config::cache::{
    CacheSettings, REQUEST_MEMO_CAPACITY_DIVISOR, REQUEST_MEMO_MAX_REQUEST_BYTES,
    REQUEST_MEMO_OVERHEAD_BYTES,
};
use crate::graphql::cache_hints::Revalidation;
use crate::http::rate_limit::RATE_LIMIT;
use crate::http::request_log::{REQUEST_ID, SERVER_TIMING};

/// Request headers on which a public response depends.
pub(in crate::http) static KEY_HEADERS: [HeaderName; KEY_HEADER_COUNT] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::CONTENT_TYPE, header::ORIGIN];

pub(in crate::http) const KEY_HEADER_COUNT: usize = 4;

/// Response headers that differ between responses to the same request.
static PER_RESPONSE_HEADERS: [HeaderName; 7] = [
    REQUEST_ID,
    SERVER_TIMING,
    RATE_LIMIT,
    SURROGATE_KEY,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::ETAG,
];

/// Everything in a request on which a public response depends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http) struct RequestKey {
    pub(in crate::http) transport: Transport,
    /// Value of each of [`KEY_HEADERS`].
    pub(in crate::http) headers: [Option<HeaderValue>; KEY_HEADER_COUNT],
}

/// Part of the HTTP request that holds the GraphQL request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http) enum Transport {
    /// A GET with this query string.
    QueryString(Bytes),
    /// A POST with this body.
    Body(Bytes),
}

impl RequestKey {
    fn bytes(&self) -> usize {
        let (Transport::QueryString(text) | Transport::Body(text)) = &self.transport;
        text.len() + self.headers.iter().flatten().map(HeaderValue::len).sum::<usize>()
    }

    /// A copy with buffers of its own: those of a request share memory with all that came with it.
    fn detached(&self) -> Self {
        let transport = match &self.transport {
            Transport::QueryString(text) => Transport::QueryString(Bytes::copy_from_slice(text)),
            Transport::Body(text) => Transport::Body(Bytes::copy_from_slice(text)),
        };
        let headers = self.headers.each_ref().map(|header| header.as_ref().map(detached));
        Self { transport, headers }
    }
}

fn detached(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// The response to a request: its key in the response cache, and its headers.
#[derive(Debug)]
pub(in crate::http) struct MemoEntry {
    pub(in crate::http) key: ResponseCacheKey,
    pub(in crate::http) revalidation: Revalidation,
    /// Headers that all responses to this request share.
    pub(in crate::http) headers: HeaderMap,
}

/// Cached response that was sent; an extension of the HTTP response.
#[derive(Debug, Clone)]
pub(super) struct CacheHit {
    /// Key in the response cache.
    pub(super) key: ResponseCacheKey,
    /// Permission for caches outside.
    pub(super) revalidation: Revalidation,
}

/// Memo of requests, bounded by their size in bytes.
pub struct RequestMemo(Entries<RequestKey, Arc<MemoEntry>>);

impl RequestMemo {
    /// An empty memo.
    #[must_use]
    pub fn new(settings: &CacheSettings) -> Self {
        let entries = Entries::builder()
            .weigher(|key: &RequestKey, _| {
                u32::try_from(key.bytes() + REQUEST_MEMO_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            .max_capacity(settings.response_cache_bytes / REQUEST_MEMO_CAPACITY_DIVISOR)
            .eviction_policy(EvictionPolicy::lru());
        Self(entries.build())
    }

    /// Number of entries.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }

    /// The entry of a request.
    pub(in crate::http) fn get(&self, key: &RequestKey) -> Option<Arc<MemoEntry>> {
        self.0.get(key)
    }

    /// Remembers a request if its response is a cached one, in the encoding in which it is cached.
    pub(in crate::http) fn insert(&self, request: &RequestKey, response: &mut Response) {
        let Some(CacheHit { key, revalidation }) = response.extensions_mut().remove() else {
            return;
        };
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let is_small = request.bytes() <= REQUEST_MEMO_MAX_REQUEST_BYTES;
        let is_as_cached = encoding.map(HeaderValue::as_bytes) == key.encoding.map(str::as_bytes);
        if response.status() == StatusCode::OK && is_as_cached && is_small {
            let mut headers = response.headers().clone();
            headers.values_mut().for_each(|value| *value = detached(value));
            for name in &PER_RESPONSE_HEADERS {
                headers.remove(name);
            }
            self.0.insert(request.detached(), Arc::new(MemoEntry { key, revalidation, headers }));
        }
    }
}
