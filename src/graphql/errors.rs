//! Errors of resolvers with their code, public message and details. A message states the value and the
//! limit, and no internals.

use async_graphql::{ErrorExtensionValues, Value};
use rand::RngExt;

use super::user_error::UserError;
use crate::config::limits::{MESSAGE_CHARACTERS, UNAVAILABLE_RETRY_AFTER_MILLISECONDS};
use crate::db::DbError;
use crate::domain::error_code::ErrorCode;
use crate::domain::truncated::truncated;
use crate::services::error::ServiceError;
use crate::services::session_cookie::CookieRefusal;

/// Extension of errors that pass: delay before a retry, in milliseconds.
pub const RETRY_AFTER_MS: &str = "retryAfterMs";

/// Error of a field. Each variant has one code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// Invalid argument, or arguments that contradict each other.
    #[error("{message}")]
    BadInput {
        /// Name of the argument.
        argument: &'static str,
        /// Message for people.
        message: String,
    },
    /// Page size above the maximum.
    #[error("`{argument}` is {requested}; a page has at most {maximum} items")]
    PageSizeExceeded {
        /// `first` or `last`.
        argument: &'static str,
        /// Requested size.
        requested: i32,
        /// Maximum size.
        maximum: u64,
    },
    /// Cursor of another list, order or format.
    #[error("`{argument}` is no cursor of this list in this order")]
    InvalidCursor {
        /// `after` or `before`.
        argument: &'static str,
    },
    /// Access token of a deleted or deactivated user.
    #[error("the access token belongs to no active user")]
    Unauthenticated,
    /// No access token where one is required.
    #[error("this needs an access token; log in first")]
    SignInRequired,
    /// Not allowed for the viewer.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The object of a mutation does not exist or is not the viewer's; the error does not say
    /// which.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Rate limit reached.
    #[error("too many {what}; try again later")]
    RateLimited {
        /// Limited requests or logins.
        what: &'static str,
        /// Delay before a retry, in milliseconds.
        retry_after_ms: u64,
    },
    /// The server is overloaded.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// A password could not be hashed, or a token not be signed.
    #[error("{0}")]
    Secret(String),
    /// Failed statement or connection.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<CookieRefusal> for ApiError {
    fn from(refusal: CookieRefusal) -> Self {
        Self::Forbidden(refusal.message())
    }
}

/// A message truncated to its maximum length, with an ellipsis: messages quote text of clients, however long it is.
#[must_use]
pub fn truncated_message(message: &str) -> String {
    truncated(message, MESSAGE_CHARACTERS)
}

/// Separates user errors, which belong in the payload, from top-level errors.
///
/// # Errors
///
/// Errors that only a programmer or an operator can fix.
pub fn split_user_errors<T>(
    result: Result<T, ServiceError>,
) -> Result<Result<T, Vec<UserError>>, ApiError> {
    Err(match result {
        Ok(done) => return Ok(Ok(done)),
        Err(ServiceError::UserErrors(errors)) => {
            return Ok(Err(errors.into_iter().map(UserError::from).collect()));
        }
        Err(ServiceError::NotFound(what)) => ApiError::NotFound(what),
        Err(ServiceError::Unauthenticated) => ApiError::Unauthenticated,
        Err(ServiceError::Forbidden) => ApiError::Forbidden("only admins may see or do this"),
        Err(ServiceError::RateLimited { resource: what, retry_after }) => {
            // Rounded up, so that a retry after this delay is accepted.
            let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
            ApiError::RateLimited { what, retry_after_ms: retry_after_ms.saturating_add(1) }
        }
        Err(ServiceError::BadInput { argument, message }) => {
            ApiError::BadInput { argument, message }
        }
        Err(ServiceError::Overloaded) => ApiError::Busy,
        Err(ServiceError::Database(error)) => ApiError::Database(error),
        Err(ServiceError::Crypto(cause)) => ApiError::Secret(cause.to_string()),
    })
}

/// Result of a service without user errors.
pub fn without_user_errors<T>(result: Result<T, ServiceError>) -> Result<T, ApiError> {
    split_user_errors(result)?
        .map_err(|_| ApiError::Secret("an input was refused where there is none".to_owned()))
}

impl ApiError {
    /// The error with the place of an item of the list that is the argument.
    #[must_use]
    pub fn of_item(self, index: usize) -> Self {
        match self {
            Self::BadInput { argument, message } => {
                let (list, item) = (format!("`{argument}`"), format!("`{argument}[{index}]`"));
                Self::BadInput { argument, message: message.replacen(&list, &item, 1) }
            }
            other => other,
        }
    }

    /// Code of the error, for clients to switch on.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::BadInput { .. } => ErrorCode::BadUserInput,
            Self::PageSizeExceeded { .. } => ErrorCode::PageSizeExceeded,
            Self::InvalidCursor { .. } => ErrorCode::InvalidCursor,
            Self::Unauthenticated | Self::SignInRequired => ErrorCode::Unauthenticated,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Busy | Self::Database(DbError::Unavailable(_) | DbError::ReadOnly(_)) => {
                ErrorCode::ServiceUnavailable
            }
            Self::Database(DbError::Deadline { .. }) => ErrorCode::Timeout,
            Self::Database(DbError::StorageFull(_)) => ErrorCode::StorageFull,
            Self::Secret(_)
            | Self::Database(
                DbError::Failed { .. }
                | DbError::MissingReferenceData { .. }
                | DbError::NotLoaded { .. },
            ) => ErrorCode::InternalServerError,
        }
    }

    /// Message for clients, without internals.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::Database(DbError::Unavailable(_)) => "the database cannot be reached".to_owned(),
            Self::Database(DbError::ReadOnly(_)) => "the database is read-only".to_owned(),
            Self::Database(DbError::Deadline { .. }) => "the database took too long".to_owned(),
            Self::Database(DbError::StorageFull(_)) => "the database has no space left".to_owned(),
            Self::Secret(_) | Self::Database(_) => "something went wrong on our side".to_owned(),
            Self::BadInput { .. }
            | Self::PageSizeExceeded { .. }
            | Self::InvalidCursor { .. }
            | Self::Unauthenticated
            | Self::SignInRequired
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::Busy
            | Self::RateLimited { .. } => self.to_string(),
        }
    }

    /// True for failures to log for an operator.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Secret(_))
    }

    /// Adds the details of the code to the extensions.
    pub fn add_details(&self, extensions: &mut ErrorExtensionValues) {
        match self {
            Self::BadInput { argument, .. } | Self::InvalidCursor { argument } => {
                extensions.set("argument", *argument);
            }
            Self::PageSizeExceeded { argument, requested, maximum } => {
                extensions.set("argument", *argument);
                extensions.set("requested", *requested);
                extensions.set("maximum", Value::from(*maximum));
            }
            Self::Busy | Self::Database(DbError::Unavailable(_) | DbError::ReadOnly(_)) => {
                let delay = rand::rng().random_range(UNAVAILABLE_RETRY_AFTER_MILLISECONDS);
                extensions.set(RETRY_AFTER_MS, delay);
            }
            Self::RateLimited { retry_after_ms, .. } => {
                extensions.set(RETRY_AFTER_MS, *retry_after_ms);
            }
            Self::Unauthenticated
            | Self::SignInRequired
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::Secret(_)
            | Self::Database(_) => {}
        }
    }
}
