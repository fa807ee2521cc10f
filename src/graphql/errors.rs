//! What goes wrong in a resolver, and what a client hears of it: a code, a message that states the
//! value and the limit, and nothing of the inside.

use async_graphql::{ErrorExtensionValues, Value};

use super::user_error::UserError;
use crate::db::DbError;
use crate::domain::error_code::ErrorCode;
use crate::services::error::ServiceError;

/// An error of a field. One variant, one code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// An argument that no value of its type should be, or that contradicts another.
    #[error("{message}")]
    BadInput {
        /// Which argument.
        argument: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A page that is larger than allowed.
    #[error("`{argument}` is {requested}; a page has at most {maximum} items")]
    PageSizeExceeded {
        /// `first` or `last`.
        argument: &'static str,
        /// What was asked for.
        requested: i32,
        /// What is allowed.
        maximum: u64,
    },
    /// A cursor that is none of this list's.
    #[error("`{argument}` is no cursor of this list in this order")]
    InvalidCursor {
        /// `after` or `before`.
        argument: &'static str,
    },
    /// Nobody is signed in, or the person signed in exists no more.
    #[error("the access token belongs to no active user")]
    Unauthenticated,
    /// Nobody is signed in where somebody must be.
    #[error("this needs an access token; log in first")]
    SignInRequired,
    /// The viewer may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// What a mutation is about is missing, or is not the viewer's: nobody can tell which.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It was asked for too often.
    #[error("too many {what}; try again later")]
    RateLimited {
        /// Of what.
        what: &'static str,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// There is too much to do.
    #[error("the server is busy; try again in a moment")]
    Busy,
    /// A secret could not be made.
    #[error("{0}")]
    Secret(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What a service did, or what a person can put right.
///
/// # Errors
///
/// What only a programmer or an operator can put right.
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
            // Rounded up: a client that waits so long is let in.
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

/// What a service answers that only fails where somebody else must put it right.
///
/// # Errors
///
/// It failed.
pub fn without_user_errors<T>(result: Result<T, ServiceError>) -> Result<T, ApiError> {
    split_user_errors(result)?
        .map_err(|_| ApiError::Secret("an input was refused where there is none".to_owned()))
}

/// How long a client should wait when the database is away.
const RETRY_AFTER_MILLISECONDS: u64 = 1_000;

impl ApiError {
    /// The code that clients switch on.
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
            Self::Busy | Self::Database(DbError::Unavailable(_)) => ErrorCode::ServiceUnavailable,
            Self::Database(DbError::Deadline { .. }) => ErrorCode::Timeout,
            Self::Secret(_)
            | Self::Database(
                DbError::Failed { .. }
                | DbError::MissingReferenceData { .. }
                | DbError::NotLoaded { .. },
            ) => ErrorCode::InternalServerError,
        }
    }

    /// What a client reads.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::Database(DbError::Unavailable(_)) => "the database cannot be reached".to_owned(),
            Self::Database(DbError::Deadline { .. }) => "the database took too long".to_owned(),
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

    /// Whether it is for an operator to know of.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Secret(_))
    }

    /// Adds what the code promises beside it.
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
            Self::Busy | Self::Database(DbError::Unavailable(_)) => {
                extensions.set("retryAfterMs", RETRY_AFTER_MILLISECONDS);
            }
            Self::RateLimited { retry_after_ms, .. } => {
                extensions.set("retryAfterMs", *retry_after_ms);
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
