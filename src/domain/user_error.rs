//! What a person can put right: an empty question, a taken name, a wrong password.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

/// Why an input is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserErrorCode {
    /// It must be given.
    Required,
    /// It has too few characters.
    TooShort,
    /// It has too many characters.
    TooLong,
    /// There are too many of them.
    TooMany,
    /// The number or time is too small or too large.
    OutOfRange,
    /// It is not of the right form.
    Invalid,
    /// Somebody, or something, has it already.
    Taken,
    /// What it refers to is not there.
    NotFound,
    /// Somebody was faster.
    Conflict,
    /// The name or the password is wrong.
    BadCredentials,
    /// The account is locked for a while.
    AccountLocked,
    /// The login is over.
    SessionExpired,
    /// No more readings today.
    ReadingLimit,
    /// The spread is not offered any more.
    SpreadInactive,
    /// The share link is over.
    ShareClosed,
}

/// One thing that a person can put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    /// Where it stands in the input: `tags`, `3`.
    pub field: Vec<String>,
    /// Why it is refused.
    pub code: UserErrorCode,
    /// For people.
    pub message: String,
    /// The least that is allowed, where that is the matter.
    pub min: Option<i32>,
    /// The most that is allowed.
    pub max: Option<i32>,
    /// When the day's limit begins anew.
    pub resets_at: Option<DateTime<Utc>>,
    /// When the account is open again.
    pub locked_until: Option<DateTime<Utc>>,
}

impl UserError {
    /// About a field of the input.
    #[must_use]
    pub fn new(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        let mut error = Self::of_whole(code, message);
        error.field.push(field.to_owned());
        error
    }

    /// About the input as a whole.
    #[must_use]
    pub fn of_whole(code: UserErrorCode, message: impl Into<String>) -> Self {
        Self {
            field: Vec::new(),
            code,
            message: message.into(),
            min: None,
            max: None,
            resets_at: None,
            locked_until: None,
        }
    }

    /// Says how many are allowed: characters, items.
    #[must_use]
    pub fn within_count(self, bounds: &RangeInclusive<usize>) -> Self {
        self.within(i32::try_from(*bounds.start()).ok(), i32::try_from(*bounds.end()).ok())
    }

    /// Says what is allowed.
    #[must_use]
    pub fn within(mut self, min: Option<i32>, max: Option<i32>) -> Self {
        (self.min, self.max) = (min, max);
        self
    }
}
