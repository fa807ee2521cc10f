//! User errors: invalid input that a person can correct, such as a taken name or a wrong password.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};

/// Reason for which an input is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserErrorCode {
    /// Missing value.
    Required,
    /// Too few characters.
    TooShort,
    /// Too many characters.
    TooLong,
    /// Too many items.
    TooMany,
    /// Number or time out of range.
    OutOfRange,
    /// Invalid format.
    Invalid,
    /// Password that many people have.
    TooCommon,
    /// Name already in use, or a look-alike of one.
    Taken,
    /// Reference to a missing object.
    NotFound,
    /// Concurrent change of the same object.
    Conflict,
    /// Wrong name or password.
    BadCredentials,
    /// Temporarily locked account.
    AccountLocked,
    /// Ended login.
    SessionExpired,
    /// Exhausted daily quota of readings.
    ReadingLimit,
    /// Spread that is not available for new readings.
    SpreadInactive,
    /// Closed share link.
    ShareClosed,
}

/// One error that a person can correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    /// Path in the input: `tags`, `3`.
    pub field: Vec<String>,
    /// Reason of the rejection.
    pub code: UserErrorCode,
    /// Message for people.
    pub message: String,
    /// Allowed minimum, of errors about a length or a range.
    pub min: Option<i32>,
    /// Allowed maximum, of errors about a length or a range.
    pub max: Option<i32>,
    /// Reset time of the daily quota, of `ReadingLimit`.
    pub resets_at: Option<DateTime<Utc>>,
    /// End of the lock, of `AccountLocked`.
    pub locked_until: Option<DateTime<Utc>>,
}

impl UserError {
    /// Error about a field of the input.
    #[must_use]
    pub fn new(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        let mut error = Self::whole_input(code, message);
        error.field.push(field.to_owned());
        error
    }

    /// Error about the whole input.
    #[must_use]
    pub fn whole_input(code: UserErrorCode, message: impl Into<String>) -> Self {
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

    /// Adds the allowed number of characters or items.
    #[must_use]
    pub fn within_count(self, bounds: &RangeInclusive<usize>) -> Self {
        self.within(i32::try_from(*bounds.start()).ok(), i32::try_from(*bounds.end()).ok())
    }

    /// Adds the allowed range.
    #[must_use]
    pub fn within(mut self, min: Option<i32>, max: Option<i32>) -> Self {
        (self.min, self.max) = (min, max);
        self
    }
}
