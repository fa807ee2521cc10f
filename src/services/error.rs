//! Why the app does not do what it was asked to.

use std::time::Duration;

use super::passwords::PasswordError;
use crate::db::DbError;
use crate::domain::user_error::{UserError, UserErrorCode};

/// Why something was not done. Nothing of it was: what it had written was taken back.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A person can put it right.
    #[error("the input is refused")]
    Refused(Vec<UserError>),
    /// What it is about is missing, or is not the viewer's: nobody can tell which.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The viewer exists no more or is deactivated.
    #[error("the access token belongs to no active user")]
    Unauthenticated,
    /// It is for admins.
    #[error("only admins may do this")]
    Forbidden,
    /// It was asked for too often.
    #[error("too many {what}")]
    Throttled {
        /// Of what.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// A programmer must put it right.
    #[error("{message}")]
    BadInput {
        /// Where it stands.
        argument: &'static str,
        /// What is wrong.
        message: String,
    },
    /// There is too much to do.
    #[error("too much to do")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A password could not be hashed or a token not be signed.
    #[error("a secret could not be made")]
    Secret(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServiceError {
    /// One thing that a person can put right, about a field of the input.
    #[must_use]
    pub fn refused(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::Refused(vec![UserError::new(field, code, message)])
    }
}

impl From<UserError> for ServiceError {
    fn from(error: UserError) -> Self {
        Self::Refused(vec![error])
    }
}

impl From<PasswordError> for ServiceError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            error => Self::Secret(Box::new(error)),
        }
    }
}

impl From<jsonwebtoken::errors::Error> for ServiceError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Secret(Box::new(error))
    }
}
