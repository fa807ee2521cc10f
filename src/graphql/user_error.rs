//! Errors of mutations that a person can fix.

use async_graphql::{Enum, SimpleObject};

use super::scalars::DateTime;
use crate::domain::user_error;

/// Code of an error that a person can fix.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "user_error::UserErrorCode")]
pub enum UserErrorCode {
    /// The value is required: it is empty, or null where null is not allowed.
    Required,
    /// Fewer than `min` characters.
    TooShort,
    /// More than `max` characters.
    TooLong,
    /// More than `max` items.
    TooMany,
    /// Number or time out of range.
    OutOfRange,
    /// Invalid format or value.
    Invalid,
    /// The password is one of the most common ones.
    TooCommon,
    /// Already in use, such as a username; or a username that looks like one in use.
    Taken,
    /// The object that the input refers to does not exist or is not the viewer's.
    NotFound,
    /// Version conflict: the object was changed since.
    Conflict,
    /// Wrong name or password; the response does not say which.
    BadCredentials,
    /// The account is locked until `lockedUntil`.
    AccountLocked,
    /// The session has ended. Log in again.
    SessionExpired,
    /// Daily limit of `max` readings reached; it resets at `resetsAt`.
    ReadingLimit,
    /// The spread is no longer active.
    SpreadInactive,
    /// The share link has expired, was revoked, or never existed.
    ShareClosed,
}

/// An error that a person can fix.
#[derive(SimpleObject, Debug, Clone)]
pub struct UserError {
    /// Path of the input field, such as `["input", "tags", "3"]`; null if no single field is at
    /// fault.
    field: Option<Vec<String>>,
    /// Message for people, in English. It may change; switch on `code`.
    message: String,
    /// Code for programs.
    code: UserErrorCode,
    /// Smallest allowed integer or length, if that is the error.
    min: Option<i32>,
    /// Largest allowed integer, length or count, if that is the error.
    max: Option<i32>,
    /// Reset time of the daily limit, if that is the error.
    resets_at: Option<DateTime>,
    /// End of the lock, if the account is locked.
    locked_until: Option<DateTime>,
}

impl From<user_error::UserError> for UserError {
    fn from(error: user_error::UserError) -> Self {
        let field = (!error.field.is_empty())
            .then(|| std::iter::once("input".to_owned()).chain(error.field).collect());
        Self {
            field,
            message: error.message,
            code: error.code.into(),
            min: error.min,
            max: error.max,
            resets_at: error.resets_at.map(DateTime),
            locked_until: error.locked_until.map(DateTime),
        }
    }
}

impl UserError {
    /// The error with a path that starts at the argument, for a mutation without an `input`.
    #[must_use]
    pub fn of_argument(mut self) -> Self {
        self.field = self.field.map(|field| field.into_iter().skip(1).collect());
        self
    }
}
