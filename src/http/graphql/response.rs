//! Responses of `/graphql`: their bodies, their permissions for caches, and their HTTP form.

use std::io::{self, Write};
use std::time::Duration;

use async_graphql::{PathSegment, Pos, ServerError, Value};
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::cache_headers::{CacheHeaders, entity_tag, if_none_match};
use super::cost_report::CostReport;
use super::error::{ErrorChain, HttpError, PERSISTED_QUERY_NOT_FOUND, retry_after};
use super::request_memo::CacheHit;
use crate::cache::Cache;
use crate::cache::purge_epochs::{KeyPrefixes, PurgeEpoch};
use crate::cache::response_cache::{CachedResponse, NewResponse};
use crate::config::limits::{Limits, REFUSAL_BYTES};
use crate::domain::error_code::ErrorCode;
use crate::graphql::errors::{ApiError, truncated_message};
use crate::graphql::fast_json::write_value;
use crate::http::negotiation::MediaType;
use crate::http::request_log::{RequestId, RequestMetrics};

/// Request headers on which a response depends. The last one is for the compression layer.
const VARY: &str = "accept, authorization, accept-encoding";

/// A response of `/graphql`, or of another route that failed.
pub struct GraphqlResponse {
    status: StatusCode,
    media_type: MediaType,
    headers: Vec<(HeaderName, HeaderValue)>,
    metrics: RequestMetrics,
    body: Body,
}

/// Body of a response: its audience, and its form.
enum Body {
    /// Errors alone: nothing was executed.
    Refused { errors: Vec<ServerError>, maximum_bytes: usize },
    /// Result for this client alone.
    Private(PrivateBody),
    /// Cost alone: the operation was not executed.
    Cost(CostReport),
    /// Result without errors for all clients that send the same request.
    Public(PublicBody),
    /// Public result as bytes, from the response cache or on the way to it.
    Serialized(SerializedBody),
}

struct PrivateBody {
    data: Value,
    errors: Vec<ServerError>,
    maximum_bytes: usize,
    /// Present if the request asks for it.
    cost: Option<CostReport>,
}

struct PublicBody {
    data: Value,
    maximum_bytes: usize,
    cache_headers: CacheHeaders,
    if_none_match: Vec<HeaderValue>,
    /// Present if the response cache may store the response.
    cache_metadata: Option<CacheMetadata>,
}

struct SerializedBody {
    bytes: Bytes,
    etag: HeaderValue,
    encoding: Option<&'static str>,
    cache_headers: CacheHeaders,
    if_none_match: Vec<HeaderValue>,
    /// Present if the request memo may remember the request.
    cache_hit: Option<CacheHit>,
}

/// Invalidation data of a response that the response cache may store.
pub(super) struct CacheMetadata {
    /// Key prefixes of the cache tags: a purge of one of them invalidates the response.
    pub(super) prefixes: KeyPrefixes,
    /// Purge epoch before the first read.
    pub(super) epoch: PurgeEpoch,
    /// Maximum lifetime.
    pub(super) ttl: Duration,
}

/// A response from the response cache.
pub(super) struct CachedBody {
    pub(super) cached: CachedResponse,
    pub(super) media_type: MediaType,
    pub(super) encoding: Option<&'static str>,
    pub(super) cache_headers: CacheHeaders,
    /// Name of the operation, for the log.
    pub(super) operation: Option<String>,
    /// Present if the request memo may remember the request.
    pub(super) cache_hit: Option<CacheHit>,
}

/// A computed response, and its copy for the response cache if that may store it.
pub(super) struct Computed {
    pub(super) response: GraphqlResponse,
    pub(super) cached: Option<CachedResponse>,
}

/// The body has more bytes than `MAX_RESPONSE_BYTES`.
struct TooLarge {
    maximum_bytes: usize,
}

impl From<HttpError> for GraphqlResponse {
    fn from(error: HttpError) -> Self {
        let code = error.code.as_str();
        let server_error = |message: String, location: Option<Pos>| {
            let mut server_error = ServerError::new(message, location);
            let extensions = server_error.extensions.get_or_insert_default();
            extensions.set("code", code);
            for (name, value) in &error.details {
                extensions.set(*name, value.clone());
            }
            server_error
        };
        let first = server_error(error.message, error.location);
        let further = error.further.into_iter().map(|error| server_error(error.message, error.at));
        let errors = std::iter::once(first).chain(further).collect();
        Self {
            status: error.status,
            media_type: MediaType::Json,
            headers: error.headers,
            metrics: RequestMetrics::default(),
            // Written up to `REFUSAL_BYTES`, each message truncated.
            body: Body::Refused { errors, maximum_bytes: usize::MAX },
        }
    }
}

impl GraphqlResponse {
    /// The response to a request that failed. For clients of `application/json` a status other than 200
    /// means that they did not reach a GraphQL server, so an error of the document has 200.
    pub(in crate::http) fn of_error(error: HttpError, media_type: MediaType) -> Self {
        let is_ok = media_type == MediaType::Json && error.is_document_error;
        let response = Self::from(error);
        let status = if is_ok { StatusCode::OK } else { response.status };
        Self { status, media_type, ..response }
    }

    /// The response to an operation that was executed.
    pub(super) fn of_execution(
        response: async_graphql::Response,
        limits: &Limits,
        media_type: MediaType,
    ) -> Self {
        // Sorted, so that equal requests have equal errors: fields fail in the order of time.
        let mut errors = response.errors;
        errors.sort_by_cached_key(sort_key);
        let errors: Vec<_> =
            errors.into_iter().take(limits.errors).map(present_field_error).collect();
        let headers = unavailable_retry_after(&errors);
        let body = Body::Private(PrivateBody {
            data: response.data,
            errors,
            maximum_bytes: limits.response_bytes,
            cost: None,
        });
        Self {
            status: StatusCode::OK,
            media_type,
            headers: headers.into_iter().collect(),
            metrics: RequestMetrics::default(),
            body,
        }
    }

    /// The response in place of one that is too large. Its operation was executed, and may have written, so it
    /// has `data`: only a response without it says that nothing was executed.
    fn of_too_large(too_large: &TooLarge) -> Self {
        let response = Self::from(HttpError::response_too_large(too_large.maximum_bytes));
        let body = match response.body {
            Body::Refused { errors, maximum_bytes } => {
                Body::Private(PrivateBody { data: Value::Null, errors, maximum_bytes, cost: None })
            }
            body => body,
        };
        Self { body, ..response }
    }

    /// The response to a request for the cost of an operation that is not executed.
    pub(super) fn of_cost(report: CostReport, media_type: MediaType) -> Self {
        Self {
            status: StatusCode::OK,
            media_type,
            headers: Vec::new(),
            metrics: RequestMetrics::default(),
            body: Body::Cost(report),
        }
    }

    /// The response to a request that the response cache serves.
    pub(super) fn of_cached(body: CachedBody) -> Self {
        let CachedBody { cached, media_type, encoding, cache_headers, operation, cache_hit } = body;
        Self {
            status: StatusCode::OK,
            media_type,
            headers: Vec::new(),
            metrics: RequestMetrics::of_cached(operation),
            body: Body::Serialized(SerializedBody {
                bytes: cached.body,
                etag: cached.metadata.entity_tag.clone(),
                encoding,
                cache_headers,
                if_none_match: Vec::new(),
                cache_hit,
            }),
        }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn with_metrics(mut self, metrics: RequestMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Adds the cost to a response that is not public.
    pub(super) fn with_cost(mut self, report: CostReport) -> Self {
        if let Body::Private(body) = &mut self.body {
            body.cost = Some(report);
        }
        self
    }

    /// Makes a response public. One with errors stays private: errors belong to one request.
    pub(super) fn into_public(
        mut self,
        cache_headers: CacheHeaders,
        cache_metadata: Option<CacheMetadata>,
    ) -> Self {
        self.body = match self.body {
            Body::Private(body) if body.errors.is_empty() && body.cost.is_none() => {
                let if_none_match = Vec::new();
                Body::Public(PublicBody {
                    data: body.data,
                    maximum_bytes: body.maximum_bytes,
                    cache_headers,
                    if_none_match,
                    cache_metadata,
                })
            }
            body => body,
        };
        self
    }

    /// Sets the values of `If-None-Match`. A private response has no entity tag and ignores them.
    pub(super) fn if_none_match(mut self, values: Vec<HeaderValue>) -> Self {
        match &mut self.body {
            Body::Refused { .. } | Body::Private(_) | Body::Cost(_) => {}
            Body::Public(PublicBody { if_none_match, .. })
            | Body::Serialized(SerializedBody { if_none_match, .. }) => *if_none_match = values,
        }
        self
    }

    /// Serializes a response that the response cache may store. Every other one is unchanged, and so
    /// is one that is too large: sending it fails.
    pub(super) fn into_computed(mut self, cache: &Cache, now: DateTime<Utc>) -> Computed {
        self.metrics.lookups.misses += 1;
        match self.body {
            Body::Public(body) => {
                let (body, cached) = body.into_cacheable(cache, self.media_type, now);
                Computed { response: Self { body, ..self }, cached }
            }
            body => Computed { response: Self { body, ..self }, cached: None },
        }
    }

    /// The HTTP response, with the request id in every error.
    pub fn into_response(self, id: &RequestId) -> Response {
        let Self { status, media_type, headers, mut metrics, mut body } = self;
        if let Body::Refused { errors, .. } | Body::Private(PrivateBody { errors, .. }) = &mut body
        {
            for error in errors.iter_mut() {
                finish_error(error, id);
            }
            metrics.error_code = errors.first().and_then(code_of);
        }
        let mut response = match body.into_response(status, media_type) {
            Ok(response) => response,
            Err(too_large) => {
                // The headers stay: an operation that was executed may have set a cookie.
                let response = Self { headers, metrics, ..Self::of_too_large(&too_large) };
                return Self { media_type, ..response }.into_response(id);
            }
        };
        response.headers_mut().insert(header::VARY, HeaderValue::from_static(VARY));
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(metrics);
        response
    }
}

impl Body {
    fn into_response(
        self,
        status: StatusCode,
        media_type: MediaType,
    ) -> Result<Response, TooLarge> {
        match self {
            Self::Refused { mut errors, maximum_bytes } => {
                errors.truncate(count_that_fits(&errors));
                let members = Members { errors: &errors, ..Members::default() };
                Ok(response_of(status, media_type, members.serialize(maximum_bytes)?))
            }
            Self::Private(PrivateBody { data, errors, maximum_bytes, cost }) => {
                let members = Members { errors: &errors, data: Some(&data), cost: cost.as_ref() };
                Ok(response_of(status, media_type, members.serialize(maximum_bytes)?))
            }
            Self::Cost(report) => {
                let members = Members { cost: Some(&report), ..Members::default() };
                Ok(response_of(status, media_type, members.serialize(usize::MAX)?))
            }
            Self::Public(body) => {
                let bytes = Members::of_data(&body.data).serialize(body.maximum_bytes)?;
                Ok(body.into_serialized(bytes, media_type).into_response(status, media_type))
            }
            Self::Serialized(body) => Ok(body.into_response(status, media_type)),
        }
    }
}

impl PublicBody {
    /// The body as bytes, and its copy for the response cache.
    fn into_cacheable(
        mut self,
        cache: &Cache,
        media_type: MediaType,
        now: DateTime<Utc>,
    ) -> (Body, Option<CachedResponse>) {
        let Some(CacheMetadata { prefixes, epoch, ttl }) = self.cache_metadata.take() else {
            return (Body::Public(self), None);
        };
        let Ok(bytes) = Members::of_data(&self.data).serialize(self.maximum_bytes) else {
            return (Body::Public(self), None);
        };
        let mut body = self.into_serialized(bytes, media_type);
        let new = NewResponse {
            body: body.bytes.clone(),
            entity_tag: body.etag.clone(),
            surrogate_keys: body.cache_headers.keys.clone(),
            prefixes,
            epoch,
            ttl,
        };
        let cached = cache.responses().prepare(new, now);
        // The first client gets the same lifetime as later ones.
        body.cache_headers.remaining = cached.metadata.remaining(now);
        (Body::Serialized(body), Some(cached))
    }

    fn into_serialized(self, bytes: Bytes, media_type: MediaType) -> SerializedBody {
        SerializedBody {
            etag: entity_tag(&bytes, media_type),
            bytes,
            encoding: None,
            cache_headers: self.cache_headers,
            if_none_match: self.if_none_match,
            cache_hit: None,
        }
    }
}

impl SerializedBody {
    fn into_response(self, status: StatusCode, media_type: MediaType) -> Response {
        let mut response = if if_none_match(&self.if_none_match, &self.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = response_of(status, media_type, self.bytes);
            if let Some(encoding) = self.encoding {
                let encoding = HeaderValue::from_static(encoding);
                response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
            }
            response
        };
        self.cache_headers.write(self.etag, response.headers_mut());
        if let Some(cache_hit) = self.cache_hit {
            response.extensions_mut().insert(cache_hit);
        }
        response
    }
}

fn response_of(status: StatusCode, media_type: MediaType, bytes: Bytes) -> Response {
    let mut response = (status, bytes).into_response();
    let content_type = HeaderValue::from_static(media_type.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Members of the body: `data` is absent when nothing was executed, `errors` when there are none, and
/// `extensions` when the request does not ask for its cost.
#[derive(Default)]
struct Members<'a> {
    errors: &'a [ServerError],
    data: Option<&'a Value>,
    cost: Option<&'a CostReport>,
}

impl<'a> Members<'a> {
    fn of_data(data: &'a Value) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    fn serialize(&self, maximum_bytes: usize) -> Result<Bytes, TooLarge> {
        let mut writer = BoundedWriter { bytes: Vec::new(), maximum_bytes };
        match self.write(&mut writer) {
            Ok(()) => Ok(writer.bytes.into()),
            Err(_) => Err(TooLarge { maximum_bytes }),
        }
    }

    fn write(&self, writer: &mut BoundedWriter) -> io::Result<()> {
        let mut separator: &[u8] = b"{";
        if !self.errors.is_empty() {
            writer.write_all(b"{\"errors\":")?;
            serde_json::to_writer(&mut *writer, self.errors)?;
            separator = b",";
        }
        if let Some(data) = self.data {
            writer.write_all(separator)?;
            writer.write_all(b"\"data\":")?;
            write_value(data, writer)?;
            separator = b",";
        }
        if let Some(cost) = self.cost {
            writer.write_all(separator)?;
            writer.write_all(b"\"extensions\":{\"cost\":")?;
            serde_json::to_writer(&mut *writer, cost)?;
            writer.write_all(b"}")?;
        }
        writer.write_all(b"}")
    }
}

/// Writer that fails above its maximum, so that a response that is too large is not written to its end.
struct BoundedWriter {
    bytes: Vec<u8>,
    maximum_bytes: usize,
}

impl Write for BoundedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.maximum_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Number of errors that fit into [`REFUSAL_BYTES`], at least one.
fn count_that_fits(errors: &[ServerError]) -> usize {
    let mut room = REFUSAL_BYTES;
    let fits = |error: &&ServerError| {
        let bytes = serde_json::to_vec(error).map_or(0, |text| text.len() + 1);
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    errors.iter().take_while(fits).count().max(1)
}

fn code_of(error: &ServerError) -> Option<String> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code.clone()),
        _ => None,
    }
}

/// An error at a field. The library itself only refuses the value of an argument.
fn present_field_error(error: ServerError) -> ServerError {
    present(error, ErrorCode::BadUserInput)
}

/// Sets the code of an error, and a message without internal causes, which are logged here once.
fn present(mut error: ServerError, code_of_library: ErrorCode) -> ServerError {
    let mut extensions = error.extensions.take().unwrap_or_default();
    if let Some(cause) = error.source::<ApiError>().cloned() {
        if cause.is_internal() {
            let path = path_of(&error);
            tracing::error!(error = %ErrorChain(&cause), path, "field failed");
        }
        extensions.set("code", cause.code().as_str());
        cause.add_details(&mut extensions);
        error.message = truncated_message(&cause.public_message());
    } else {
        extensions.set("code", code_of_library.as_str());
    }
    error.source = None;
    error.extensions = Some(extensions);
    error
}

/// `Retry-After` of a response with fields that are not available for now.
fn unavailable_retry_after(errors: &[ServerError]) -> Option<(HeaderName, HeaderValue)> {
    let unavailable = Value::from(ErrorCode::ServiceUnavailable.as_str());
    let extensions = errors.iter().filter_map(|error| error.extensions.as_ref());
    let unavailable = extensions.filter(|found| found.get("code") == Some(&unavailable));
    let seconds = unavailable.filter_map(retry_after).max()?;
    Some((header::RETRY_AFTER, seconds.into()))
}

fn finish_error(error: &mut ServerError, RequestId(id): &RequestId) {
    error.message = normalized(&error.message);
    error.extensions.get_or_insert_default().set("requestId", id.as_str());
}

/// Sort key of errors: position of the field in the document, then indexes of the items in their lists.
fn sort_key(error: &ServerError) -> (Option<(usize, usize)>, Vec<usize>) {
    let at = error.locations.first().map(|at| (at.line, at.column));
    let indexes = error.path.iter().filter_map(|segment| match segment {
        PathSegment::Field(_) => None,
        PathSegment::Index(index) => Some(*index),
    });
    (at, indexes.collect())
}

fn path_of(error: &ServerError) -> String {
    error
        .path
        .iter()
        .map(|segment| match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// A message in the style of all messages: lower case at its start, one line, bounded.
fn normalized(message: &str) -> String {
    if message == PERSISTED_QUERY_NOT_FOUND {
        return message.to_owned();
    }
    let mut characters = message.lines().next().unwrap_or_default().chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    truncated_message(&first.chain(characters).collect::<String>())
}
