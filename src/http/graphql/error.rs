//! Errors of a request as a whole, with their codes, details and statuses.

use async_graphql::{ErrorExtensionValues, Pos, Value};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use crate::db::DbError;
use crate::domain::error_code::ErrorCode;
use crate::graphql::documents::DocumentError;
use crate::graphql::errors::{ApiError, RETRY_AFTER_MS, truncated_message};
use crate::graphql::guard::{Refusal, ValidationError};

/// Message that clients with automatic persisted queries wait for, word by word: urql and older versions
/// of Apollo Client compare the message and not the code.
pub(super) const PERSISTED_QUERY_NOT_FOUND: &str = "PersistedQueryNotFound";

/// Error of a request that was refused before execution.
#[derive(Debug)]
pub struct HttpError {
    /// Status of the response.
    pub status: StatusCode,
    /// Code of the error.
    pub code: ErrorCode,
    /// Message for people.
    pub message: String,
    /// Details beside the code in `extensions`.
    pub details: Vec<(&'static str, Value)>,
    pub(super) location: Option<Pos>,
    /// Errors after the first, with the same code and details.
    pub(super) further: Box<[ValidationError]>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// True if the request was well formed and only its document is refused. Clients of
    /// `application/json` get status 200 then.
    pub(super) is_document_error: bool,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: truncated_message(&message.into()),
            details: Vec::new(),
            location: None,
            further: Box::default(),
            headers: Vec::new(),
            is_document_error: false,
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

    /// No route has this path.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this address")
    }

    /// Missing, repeated or invalid `Host`.
    #[must_use]
    pub fn invalid_host() -> Self {
        Self::bad("host", "the request must have one valid `host` header")
    }

    /// A host that this server does not serve (RFC 9110, section 15.5.20).
    #[must_use]
    pub fn misdirected() -> Self {
        let message = "this server does not serve the host of the request";
        Self::new(StatusCode::MISDIRECTED_REQUEST, ErrorCode::BadUserInput, message)
            .with_detail("argument", "host".into())
    }

    /// A transfer coding beside `chunked`. The connection is closed, because its framing is in doubt.
    #[must_use]
    pub fn unsupported_transfer_coding() -> Self {
        let message = "the only transfer coding of this server is `chunked`";
        Self::new(StatusCode::NOT_IMPLEMENTED, ErrorCode::BadUserInput, message)
            .with_detail("argument", "transfer-encoding".into())
            .with_header(header::CONNECTION, "close")
    }

    /// The transfer coding `chunked` more than once.
    #[must_use]
    pub fn repeated_transfer_coding() -> Self {
        Self::bad("transfer-encoding", "`transfer-encoding` may name `chunked` once")
            .with_header(header::CONNECTION, "close")
    }

    /// An internal failure, without its cause.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::InternalServerError,
            "something went wrong on our side",
        )
    }

    /// Invalid `Authorization` header or access token.
    #[must_use]
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    fn of_document(mut self) -> Self {
        self.is_document_error = true;
        self
    }

    pub(super) fn not_acceptable() -> Self {
        let message = "responses are application/graphql-response+json or application/json";
        Self::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, message)
            .with_detail("argument", "accept".into())
    }

    pub(in crate::http) fn method_not_allowed(allow: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadUserInput, message)
            .with_detail("argument", "method".into())
            .with_header(header::ALLOW, allow)
    }

    pub(super) fn introspection_disabled() -> Self {
        let message = "introspection is disabled";
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::GraphqlValidationFailed, message)
            .of_document()
    }

    pub(super) fn persisted_query_not_found() -> Self {
        let code = ErrorCode::PersistedQueryNotFound;
        Self::new(StatusCode::BAD_REQUEST, code, PERSISTED_QUERY_NOT_FOUND).of_document()
    }

    pub(super) fn response_too_large(maximum: usize) -> Self {
        let message = format!("the response is larger than {maximum} bytes; select less at a time");
        // The operation was executed.
        Self::new(StatusCode::OK, ErrorCode::QueryTooLarge, message)
            .with_detail("what", "response".into())
            .with_detail("maximum", maximum.into())
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
            further: refusal.further().into(),
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
            // Not a failed validation: the document may be valid, but clients may not send it.
            DocumentError::NotTrusted => {
                Self::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, error.to_string())
            }
        }
    }
}

impl From<ApiError> for HttpError {
    fn from(error: ApiError) -> Self {
        if error.is_internal() {
            tracing::error!(error = %ErrorChain(&error), "request failed before its execution");
        }
        match &error {
            ApiError::Unauthenticated | ApiError::SignInRequired => {
                Self::unauthenticated(error.public_message())
            }
            ApiError::Forbidden(_) => Self::of_api(&error, StatusCode::FORBIDDEN),
            ApiError::NotFound(_) => Self::of_api(&error, StatusCode::NOT_FOUND),
            ApiError::RateLimited { .. } => Self::of_api(&error, StatusCode::TOO_MANY_REQUESTS),
            ApiError::Busy
            | ApiError::Database(
                DbError::Unavailable(_)
                | DbError::ReadOnly(_)
                | DbError::StorageFull(_)
                | DbError::Deadline { .. },
            ) => Self::of_api(&error, StatusCode::SERVICE_UNAVAILABLE),
            ApiError::Secret(_) | ApiError::Database(_) => {
                Self::of_api(&error, StatusCode::INTERNAL_SERVER_ERROR)
            }
            ApiError::BadInput { .. }
            | ApiError::PageSizeExceeded { .. }
            | ApiError::InvalidCursor { .. } => {
                Self::of_api(&error, StatusCode::BAD_REQUEST).of_document()
            }
        }
    }
}

impl HttpError {
    /// The code, message and details of an error of the API.
    fn of_api(error: &ApiError, status: StatusCode) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        error.add_details(&mut extensions);
        let mut http_error = Self::new(status, error.code(), error.public_message());
        if let Some(retry_after) = retry_after(&extensions) {
            http_error.headers.push((header::RETRY_AFTER, retry_after.into()));
        }
        ["argument", RETRY_AFTER_MS].into_iter().fold(http_error, |http_error, name| {
            match extensions.get(name).cloned() {
                Some(value) => http_error.with_detail(name, value),
                None => http_error,
            }
        })
    }
}

/// Value of `Retry-After`, in seconds, of an error with a delay. Rounded up, so that a retry after it is accepted.
pub(super) fn retry_after(extensions: &ErrorExtensionValues) -> Option<u64> {
    match extensions.get(RETRY_AFTER_MS) {
        Some(Value::Number(delay)) => delay.as_u64().map(|delay| delay.div_ceil(1_000)),
        _ => None,
    }
}

/// An error followed by its sources, for the log.
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
