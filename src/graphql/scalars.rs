//! Scalars: times and addresses.

use std::fmt;
use std::time::Duration;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{Datelike, NaiveDate, SecondsFormat, SubsecRound, Utc};

/// A point in time, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`.
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// A point in time, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`. Inputs may
/// have any offset.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        moment(text).map(Self).ok_or_else(|| {
            InputValueError::custom("a time must be RFC 3339, such as 2026-11-23T08:15:30Z")
        })
    }

    /// Checked before execution: a mistake found later would hide mutations that were done already.
    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if moment(text).is_some())
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// A calendar date: `2026-11-23`.
#[derive(Debug, Clone, Copy)]
pub struct Date(pub NaiveDate);

/// A calendar date: `2026-11-23`.
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text
                .parse()
                .map(Self)
                .map_err(|_| InputValueError::custom("a date must be such as 2026-11-23")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if text.parse::<NaiveDate>().is_ok())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// The time in a text. In UTC its year may have five digits although it is written with four, and
/// times that SQLite stores as text would not be in order then.
fn moment(text: &str) -> Option<chrono::DateTime<Utc>> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (0..=9_999).contains(&time.year()).then(|| time.trunc_subsecs(6))
}

/// An absolute HTTP or HTTPS address.
#[derive(Debug, Clone)]
pub struct Url(pub String);

/// An absolute HTTP or HTTPS address: `https://…` or `http://…`.
#[Scalar(name = "URL")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if is_address(&text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if is_address(text))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Milliseconds, rounded to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
