//! What a person can put right, as mutations answer it.

use async_graphql::{Enum, SimpleObject};

use super::scalars::DateTime;
use crate::domain::user_error;

/// Why an input is refused.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "user_error::UserErrorCode")]
pub enum UserErrorCode {
    /// It must be given, and cannot be cleared.
    Required,
    /// It has too few characters: fewer than `min`.
    TooShort,
    /// It has too many characters: more than `max`.
    TooLong,
    /// There are too many of them: more than `max`.
    TooMany,
    /// The number or time is too small or too large.
    OutOfRange,
    /// It is not of the right form.
    Invalid,
    /// Somebody, or something, has it already.
    Taken,
    /// What it refers to is not there.
    NotFound,
    /// Somebody was faster: the object was changed since.
    Conflict,
    /// The name or the password is wrong; nobody says which.
    BadCredentials,
    /// The account is locked until `lockedUntil`.
    AccountLocked,
    /// The session is over. Log in again.
    SessionExpired,
    /// No more readings today: `max` a day, until `resetsAt`.
    ReadingLimit,
    /// The spread is not offered any more.
    SpreadInactive,
    /// The share link is over or revoked, or never was.
    ShareClosed,
}

/// Something that a person can put right.
#[derive(SimpleObject, Debug, Clone)]
pub struct UserError {
    /// Where it stands, such as `["input", "tags", "3"]`; null if it is about the whole.
    field: Option<Vec<String>>,
    /// What is wrong, for people, in English.
    message: String,
    /// What is wrong, for programs.
    code: UserErrorCode,
    /// The least that is allowed, where that is the matter and a whole number.
    min: Option<i32>,
    /// The most that is allowed, where that is the matter and a whole number.
    max: Option<i32>,
    /// When the day's limit begins anew.
    resets_at: Option<DateTime>,
    /// When the account is open again.
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
    /// The same where the mutation takes the argument itself and no input that holds it.
    #[must_use]
    pub fn of_argument(mut self) -> Self {
        self.field = self.field.map(|field| field.into_iter().skip(1).collect());
        self
    }
}
