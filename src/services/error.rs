//! The error type of all services. The API's error codes are derived from it by an exhaustive match.

use std::time::Duration;

use super::passwords::PasswordError;
use crate::db::DbError;
use crate::domain::user_error::{UserError, UserErrorCode};

/// Failure of a service call. Its transaction was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Input that a person can correct.
    #[error("invalid input")]
    UserErrors(Vec<UserError>),
    /// The target does not exist or is not the viewer's; the two are indistinguishable on purpose.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The viewer was deleted or deactivated.
    #[error("the access token belongs to no active user")]
    Unauthenticated,
    /// The viewer is not an admin.
    #[error("only admins may do this")]
    Forbidden,
    /// A rate limit was exceeded.
    #[error("too many {resource}")]
    RateLimited {
        /// Limited resource, as a plural noun.
        resource: &'static str,
        /// Time until the next attempt can succeed.
        retry_after: Duration,
    },
    /// An argument that a client must never send.
    #[error("{message}")]
    BadInput {
        /// Name of the argument.
        argument: &'static str,
        /// Explanation for a programmer.
        message: String,
    },
    /// A queue or a concurrency limit is full.
    #[error("overloaded")]
    Overloaded,
    /// A database error.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A password could not be hashed or a token not be signed.
    #[error("hashing or signing failed")]
    Crypto(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServiceError {
    /// One user error about a field of the input.
    #[must_use]
    pub fn user_error(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::UserErrors(vec![UserError::new(field, code, message)])
    }
}

impl From<UserError> for ServiceError {
    fn from(error: UserError) -> Self {
        Self::UserErrors(vec![error])
    }
}

impl From<PasswordError> for ServiceError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::QueueFull => Self::Overloaded,
            error => Self::Crypto(Box::new(error)),
        }
    }
}

impl From<jsonwebtoken::errors::Error> for ServiceError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Crypto(Box::new(error))
    }
}
