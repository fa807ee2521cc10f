//! What goes wrong in a resolver, and what a client hears of it: a code, a message that states the
//! value and the limit, and nothing of the inside.

use async_graphql::{ErrorExtensionValues, Value};

use crate::db::DbError;

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
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// The code of an unexpected failure.
pub const INTERNAL: &str = "INTERNAL_SERVER_ERROR";
/// How long a client should wait when the database is away.
const RETRY_AFTER_MILLISECONDS: u64 = 1_000;

impl ApiError {
    /// The code that clients switch on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadInput { .. } => "BAD_USER_INPUT",
            Self::PageSizeExceeded { .. } => "PAGE_SIZE_EXCEEDED",
            Self::InvalidCursor { .. } => "INVALID_CURSOR",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Database(DbError::Unavailable(_)) => "SERVICE_UNAVAILABLE",
            Self::Database(DbError::Deadline { .. }) => "TIMEOUT",
            Self::Database(
                DbError::Failed { .. } | DbError::MissingReference { .. } | DbError::NotRead { .. },
            ) => INTERNAL,
        }
    }

    /// What a client reads.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self {
            Self::Database(DbError::Unavailable(_)) => "the database cannot be reached".to_owned(),
            Self::Database(DbError::Deadline { .. }) => "the database took too long".to_owned(),
            Self::Database(_) => "something went wrong on our side".to_owned(),
            Self::BadInput { .. }
            | Self::PageSizeExceeded { .. }
            | Self::InvalidCursor { .. }
            | Self::Unauthenticated => self.to_string(),
        }
    }

    /// Whether it is for an operator to know of.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        matches!(self, Self::Database(_))
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
            Self::Database(DbError::Unavailable(_)) => {
                extensions.set("retryAfterMs", RETRY_AFTER_MILLISECONDS);
            }
            Self::Unauthenticated | Self::Database(_) => {}
        }
    }
}
