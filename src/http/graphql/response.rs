//! What is sent back: answers, and errors with their codes, details and statuses.

use std::io::{self, Write};
use std::time::Duration;

use async_graphql::{ErrorExtensionValues, ServerError, Value};
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use chrono::{DateTime, Utc};

use super::cache_headers::{CacheHeaders, entity_tag, if_none_match};
use super::request_memo::CacheHit;
use crate::cache::Cache;
use crate::cache::answers::{AnswerKey, KeptAnswer};
use crate::cache::generations::{Moment, Scopes};
use crate::config::limits::{Limits, MESSAGE_CHARACTERS};
use crate::db::DbError;
use crate::domain::error_code::ErrorCode;
use crate::graphql::cache_hints::Outside;
use crate::graphql::documents::DocumentError;
use crate::graphql::errors::ApiError;
use crate::graphql::guard::Refusal;
use crate::graphql::one_pass::write_value;
use crate::http::negotiation::MediaType;
use crate::http::request_log::{RequestId, RequestMetrics};

/// Bytes of the errors of a refusal, which must stay small however many mistakes a document has. One
/// error fits, whatever it says.
const REFUSAL_BYTES: usize = 1_980;

/// What clients with automatic persisted queries wait for, word by word: urql and older versions of
/// Apollo Client look at the message and not at the code.
const PERSISTED_QUERY_NOT_FOUND: &str = "PersistedQueryNotFound";

/// What an answer depends on beside its address: the last is what the layer of compression looks at.
pub(super) const VARY: &str = "accept, authorization, accept-encoding";

/// A failed request, before anything was executed.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    details: Vec<(&'static str, Value)>,
    location: Option<async_graphql::Pos>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the request was well formed and only its document is at fault.
    is_of_document: bool,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: bounded(&message.into()),
            details: Vec::new(),
            location: None,
            headers: Vec::new(),
            is_of_document: false,
        }
    }

    pub(super) fn bad(argument: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message)
            .with_detail("argument", argument.into())
    }

    pub(super) fn with_detail(mut self, name: &'static str, value: Value) -> Self {
        self.details.push((name, value));
        self
    }

    pub(super) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        self.with_header_value(name, HeaderValue::from_static(value))
    }

    pub(super) fn with_header_value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// There is nothing at this address.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this address")
    }

    /// Something failed that should not.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::InternalServerError,
            "something went wrong on our side",
        )
    }

    /// The `Authorization` header is not good.
    #[must_use]
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    pub(super) fn of_document(mut self) -> Self {
        self.is_of_document = true;
        self
    }

    pub(in crate::http) fn method_not_allowed(allow: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message)
            .with_detail("argument", "method".into())
            .with_header(header::ALLOW, allow)
    }

    pub(super) fn introspection_is_off() -> Self {
        let message = "the schema may not be asked for: introspection is off";
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::GraphqlValidationFailed, message)
            .of_document()
    }

    pub(super) fn persisted_query_not_found() -> Self {
        let code = ErrorCode::PersistedQueryNotFound;
        Self::new(StatusCode::BAD_REQUEST, code, PERSISTED_QUERY_NOT_FOUND).of_document()
    }

    fn answer_too_large(maximum: usize) -> Self {
        let message = format!("the answer is larger than {maximum} bytes; ask for less at a time");
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::QueryTooLarge, message)
            .with_detail("what", "answer".into())
            .with_detail("maximum", maximum.into())
            .of_document()
    }

    pub(super) fn timeout(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, ErrorCode::Timeout, message)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Self {
            details: refusal.details(),
            location: refusal.location(),
            ..Self::new(StatusCode::BAD_REQUEST, refusal.code(), refusal.to_string()).of_document()
        }
    }
}

impl From<DocumentError> for HttpError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Refused(refusal) => refusal.into(),
            DocumentError::NotFound => Self::persisted_query_not_found(),
            DocumentError::WrongHash => Self::bad("extensions", error.to_string()),
            // The document may be valid, so it is no failed validation; whoever sends it may not.
            DocumentError::NotTrusted => {
                Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, error.to_string())
            }
        }
    }
}

impl From<ApiError> for HttpError {
    fn from(error: ApiError) -> Self {
        if error.is_internal() {
            tracing::error!(error = %ErrorChain(&error), "a request failed before its execution");
        }
        let mut extensions = ErrorExtensionValues::default();
        error.add_details(&mut extensions);
        let with_details = |http_error: Self| {
            ["argument", "retryAfterMs"].into_iter().fold(http_error, |http_error, name| {
                match extensions.get(name).cloned() {
                    Some(value) => http_error.with_detail(name, value),
                    None => http_error,
                }
            })
        };
        let with_status =
            |status| with_details(Self::new(status, error.code(), error.public_message()));
        match &error {
            ApiError::Unauthenticated | ApiError::SignInRequired => {
                Self::unauthenticated(error.public_message())
            }
            ApiError::Forbidden(_) => with_status(StatusCode::FORBIDDEN),
            ApiError::NotFound(_) => with_status(StatusCode::NOT_FOUND),
            ApiError::RateLimited { retry_after_ms, .. } => {
                let seconds = retry_after_ms.div_ceil(1_000);
                let limited = with_status(StatusCode::TOO_MANY_REQUESTS);
                match HeaderValue::try_from(seconds.to_string()) {
                    Ok(value) => limited.with_header_value(header::RETRY_AFTER, value),
                    Err(_) => limited,
                }
            }
            ApiError::Busy
            | ApiError::Database(DbError::Unavailable(_) | DbError::Deadline { .. }) => {
                with_status(StatusCode::SERVICE_UNAVAILABLE)
            }
            ApiError::Secret(_) | ApiError::Database(_) => {
                with_status(StatusCode::INTERNAL_SERVER_ERROR)
            }
            ApiError::BadInput { .. }
            | ApiError::PageSizeExceeded { .. }
            | ApiError::InvalidCursor { .. } => with_status(StatusCode::BAD_REQUEST).of_document(),
        }
    }
}

/// A body, ready to be sent.
struct SerializedBody {
    body: Bytes,
    tag: HeaderValue,
    encoding: Option<&'static str>,
}

/// What an answer is made of, and for how long it is kept.
pub(super) struct CacheMetadata {
    /// Whose purge makes it old.
    pub(super) scopes: Scopes,
    /// Before anything of it was read.
    pub(super) as_of: Moment,
    /// At most.
    pub(super) ttl: Duration,
}

/// What is sent back.
pub struct GraphqlResponse {
    status: StatusCode,
    media_type: MediaType,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) figures: RequestMetrics,
    data: Option<Value>,
    /// Bytes that the body may have.
    maximum: usize,
    errors: Vec<ServerError>,
    /// What it is sent as, where that is known already.
    written: Option<SerializedBody>,
    /// What caches outside are told of it, where it is public and has no errors.
    publication: Option<CacheHeaders>,
    /// What is to be known of it to keep it, where it may be kept.
    cache_metadata: Option<CacheMetadata>,
    /// Under what it is kept, where it is given to all who send the same.
    cache_hit: Option<CacheHit>,
    /// Of which entity tags the client has the answer.
    conditions: Vec<HeaderValue>,
}

impl From<HttpError> for GraphqlResponse {
    fn from(error: HttpError) -> Self {
        let mut server_error = ServerError::new(error.message, error.location);
        let extensions = server_error.extensions.get_or_insert_default();
        extensions.set("code", error.code.as_str());
        for (name, value) in error.details {
            extensions.set(name, value);
        }
        Self {
            status: error.status,
            media_type: MediaType::Json,
            headers: error.headers,
            figures: RequestMetrics::default(),
            data: None,
            // An error is small, whatever it is about.
            maximum: usize::MAX,
            errors: vec![server_error],
            written: None,
            publication: None,
            cache_metadata: None,
            cache_hit: None,
            conditions: Vec::new(),
        }
    }
}

impl GraphqlResponse {
    pub(super) fn of_error(error: HttpError, media_type: MediaType) -> Self {
        // Clients of `application/json` look at the status only to see whether they reached a
        // GraphQL server.
        let is_old_style = media_type == MediaType::Json && error.is_of_document;
        let mut answer = Self::from(error);
        if is_old_style {
            answer.status = StatusCode::OK;
        }
        answer.media_type = media_type;
        answer
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Turns what the library answered into what clients are promised.
    pub(super) fn of_response(
        response: async_graphql::Response,
        limits: &Limits,
        media_type: MediaType,
    ) -> Self {
        // Nothing was executed if no error stands at a field: the document is not valid.
        let is_refused = response.data == Value::Null
            && !response.errors.is_empty()
            && response.errors.iter().all(|error| error.path.is_empty());
        let errors: Vec<ServerError> = response
            .errors
            .into_iter()
            .take(limits.errors)
            .map(|error| present(error, is_refused))
            .collect();
        let status = if is_refused && media_type == MediaType::GraphqlResponse {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
        Self {
            status,
            media_type,
            headers: Vec::new(),
            figures: RequestMetrics::default(),
            data: (!is_refused).then_some(response.data),
            maximum: limits.answer_bytes,
            errors,
            written: None,
            publication: None,
            cache_metadata: None,
            cache_hit: None,
            conditions: Vec::new(),
        }
    }

    /// One that was kept, under that key.
    pub(super) fn of_cached(
        kept: KeptAnswer,
        (media_type, key): (MediaType, &AnswerKey),
        (outside, remaining): (Outside, Duration),
    ) -> Self {
        let KeptAnswer { body, head } = kept;
        let keys = head.surrogate_keys.clone();
        Self {
            status: StatusCode::OK,
            media_type,
            headers: Vec::new(),
            figures: RequestMetrics::of_cached(key.question.operation.as_deref()),
            data: None,
            maximum: usize::MAX,
            errors: Vec::new(),
            written: Some(SerializedBody { body, tag: head.tag.clone(), encoding: key.encoding }),
            publication: Some(CacheHeaders { outside, remaining, keys }),
            cache_metadata: None,
            cache_hit: None,
            conditions: Vec::new(),
        }
    }

    /// To be given the same way when the same is sent again.
    pub(super) fn cache_hit(mut self, cache_hit: CacheHit) -> Self {
        self.cache_hit = Some(cache_hit);
        self
    }

    /// To a client that has the answers of these entity tags.
    pub(super) fn on_conditions(mut self, conditions: Vec<HeaderValue>) -> Self {
        self.conditions = conditions;
        self
    }

    /// With what is to be known of it to keep it.
    pub(super) fn keepable(mut self, cache_metadata: CacheMetadata) -> Self {
        self.cache_metadata = Some(cache_metadata);
        self
    }

    /// Itself, and what is to be kept of it.
    pub(super) fn into_kept(
        mut self,
        cache: &Cache,
        now: DateTime<Utc>,
    ) -> (Result<Self, HttpError>, Option<KeptAnswer>) {
        self.figures.lookups.misses += 1;
        let (Some(publication), Some(cache_metadata)) =
            (&self.publication, self.cache_metadata.take())
        else {
            return (Ok(self), None);
        };
        let mut bytes = BoundedBytes { bytes: Vec::new(), maximum: self.maximum };
        if write_body(&self.errors, self.data.as_ref(), &mut bytes).is_err() {
            // It is refused as too large when it is sent.
            return (Ok(self), None);
        }
        let body = Bytes::from(bytes.bytes);
        let tag = entity_tag(&body, self.media_type);
        let CacheMetadata { scopes, as_of, ttl } = cache_metadata;
        let names = (tag.clone(), publication.keys.clone());
        let kept = cache.answer(body.clone(), names, (scopes, as_of), (ttl, now));
        if let Some(publication) = &mut self.publication {
            // Whoever is given it later is told the same.
            publication.remaining = kept.head.remaining(now);
        }
        self.written = Some(SerializedBody { body, tag, encoding: None });
        (Ok(self), Some(kept))
    }

    /// With what caches outside are told of it, if it has no errors: those are of this request alone.
    pub(super) fn published(
        mut self,
        publication: CacheHeaders,
        conditions: Vec<HeaderValue>,
    ) -> Self {
        if self.errors.is_empty() {
            (self.publication, self.conditions) = (Some(publication), conditions);
        }
        self
    }

    /// As it is sent, with the request's id in every error.
    pub fn into_response(mut self, RequestId(id): &RequestId) -> Response {
        for error in &mut self.errors {
            error.message = in_house_style(&error.message);
            error.extensions.get_or_insert_default().set("requestId", id.as_str());
        }
        if self.data.is_none() {
            self.errors.truncate(count_that_fits(&self.errors));
        }
        self.figures.error = self.errors.first().and_then(code_of);
        let (body, tag, encoding) = if let Some(written) = self.written.take() {
            (written.body, Some(written.tag), written.encoding)
        } else {
            let mut bytes = BoundedBytes { bytes: Vec::new(), maximum: self.maximum };
            if write_body(&self.errors, self.data.as_ref(), &mut bytes).is_err() {
                let error = HttpError::answer_too_large(self.maximum);
                let mut answer = Self::of_error(error, self.media_type);
                answer.figures = self.figures;
                return answer.into_response(&RequestId(id.clone()));
            }
            let body = Bytes::from(bytes.bytes);
            let tag = self.publication.as_ref().map(|_| entity_tag(&body, self.media_type));
            (body, tag, None)
        };
        let is_known = tag.as_ref().is_some_and(|tag| if_none_match(&self.conditions, tag));
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            (self.status, body).into_response()
        };
        let headers = response.headers_mut();
        if !is_known {
            let content_type = HeaderValue::from_static(self.media_type.content_type());
            headers.insert(header::CONTENT_TYPE, content_type);
            if let Some(encoding) = encoding {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
        }
        headers.insert(header::VARY, HeaderValue::from_static(VARY));
        if let (Some(publication), Some(tag)) = (self.publication, tag) {
            publication.write(tag, headers);
        }
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value))
                .filter_map(|(name, value)| name.map(|name| (name, value))),
        );
        response.extensions_mut().insert(self.figures);
        if let Some(cache_hit) = self.cache_hit {
            response.extensions_mut().insert(cache_hit);
        }
        response
    }
}

/// The answer as clients read it: `data` is absent when nothing was executed, `errors` when there
/// are none. It fails where there is no room.
fn write_body(
    errors: &[ServerError],
    data: Option<&Value>,
    to: &mut BoundedBytes,
) -> io::Result<()> {
    to.write_all(b"{")?;
    if !errors.is_empty() {
        to.write_all(b"\"errors\":")?;
        serde_json::to_writer(&mut *to, errors)?;
    }
    if let Some(data) = data {
        to.write_all(if errors.is_empty() { b"\"data\":" } else { b",\"data\":" })?;
        write_value(data, to)?;
    }
    to.write_all(b"}")
}

/// Takes bytes until they are too many: what is refused is not written to its end.
struct BoundedBytes {
    bytes: Vec<u8>,
    maximum: usize,
}

impl Write for BoundedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.maximum {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many of the errors of a refusal there is room for; one at least.
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

/// Gives an error its code and a message that may leave the house.
fn present(mut error: ServerError, is_refused: bool) -> ServerError {
    let mut extensions = error.extensions.take().unwrap_or_default();
    if let Some(cause) = error.source::<ApiError>().cloned() {
        if cause.is_internal() {
            let path = path_of(&error);
            tracing::error!(error = %ErrorChain(&cause), path, "a field failed");
        }
        extensions.set("code", cause.code().as_str());
        cause.add_details(&mut extensions);
        error.message = bounded(&cause.public_message());
    } else {
        // What the library itself refuses: a document that is not valid, or an argument's value.
        let code =
            if is_refused { ErrorCode::GraphqlValidationFailed } else { ErrorCode::BadUserInput };
        extensions.set("code", code.as_str());
    }
    error.source = None;
    error.extensions = Some(extensions);
    error
}

/// An error with everything that caused it, for the log.
pub(in crate::http) struct ErrorChain<'a>(pub(in crate::http) &'a dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn path_of(error: &ServerError) -> String {
    error
        .path
        .iter()
        .map(|segment| match segment {
            async_graphql::PathSegment::Field(name) => name.clone(),
            async_graphql::PathSegment::Index(index) => index.to_string(),
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Messages start in lower case, are of one line and bounded.
fn in_house_style(message: &str) -> String {
    if message == PERSISTED_QUERY_NOT_FOUND {
        return message.to_owned();
    }
    let mut characters = message.lines().next().unwrap_or_default().chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    bounded(&first.chain(characters).collect::<String>())
}

/// What a client sent is quoted in messages, however long it was.
fn bounded(message: &str) -> String {
    if message.chars().count() <= MESSAGE_CHARACTERS {
        return message.to_owned();
    }
    message.chars().take(MESSAGE_CHARACTERS - 1).chain(['…']).collect()
}
