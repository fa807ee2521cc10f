//! Scalars: times and addresses.

use std::fmt;
use std::time::Duration;

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{Datelike, NaiveDate, SecondsFormat, SubsecRound, Timelike, Utc};

use crate::config::content::YEARS;

/// A point in time, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`.
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// A point in time, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`. Inputs may
/// have any offset; digits beyond microseconds are truncated. Years 1 to 9999 in UTC; no leap seconds.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        parse_time(text).map(Self).ok_or_else(|| {
            InputValueError::custom(
                "a time must be RFC 3339 in the years 1 to 9999, such as 2026-11-23T08:15:30Z",
            )
        })
    }

    /// Checked before execution: a mistake found later would hide mutations that were done already.
    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if parse_time(text).is_some())
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// A calendar date: `2026-11-23`.
#[derive(Debug, Clone, Copy)]
pub struct Date(pub NaiveDate);

/// A calendar date: `2026-11-23`. Years 1 to 9999.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => parse_date(text).map(Self).ok_or_else(|| {
                InputValueError::custom("a date must be in the years 1 to 9999, such as 2026-11-23")
            }),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if parse_date(text).is_some())
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

/// Parses a time, which is ASCII (RFC 3339, section 5.6): chrono also accepts U+2212 as the sign of an offset. Leap
/// seconds are rejected: PostgreSQL would store the next minute, and SQLite a text that is not a time.
fn parse_time(text: &str) -> Option<chrono::DateTime<Utc>> {
    let ascii = Some(text).filter(|text| text.is_ascii())?;
    let time = chrono::DateTime::parse_from_rfc3339(ascii).ok()?.with_timezone(&Utc);
    let is_leap_second = time.nanosecond() >= NANOSECONDS_OF_A_SECOND;
    // The year in UTC may differ from that in the text.
    (has_supported_year(&time) && !is_leap_second).then(|| time.trunc_subsecs(6))
}

/// Parses a date of exactly the form `YYYY-MM-DD`: chrono also accepts a sign, spaces and single digits.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let is_date = |(at, byte): (usize, u8)| {
        if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
    };
    let has_form = text.len() == 10 && text.bytes().enumerate().all(is_date);
    has_form.then(|| text.parse().ok()).flatten().filter(has_supported_year)
}

/// chrono represents a leap second as nanoseconds beyond the previous second.
const NANOSECONDS_OF_A_SECOND: u32 = 1_000_000_000;

/// True in the years that have four digits in a text and that both databases store and compare. There is no
/// year 0.
fn has_supported_year(date: &impl Datelike) -> bool {
    YEARS.contains(&date.year())
}

/// An absolute HTTP or HTTPS address.
#[derive(Debug, Clone)]
pub struct Url(pub String);

/// An absolute HTTP or HTTPS address: `https://…` or `http://…`.
#[Scalar(name = "URL", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3986")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_one_form_and_a_year_of_four_digits() {
        for text in ["0001-01-01", "2024-02-29", "9999-12-31"] {
            let parsed = Date::parse(Value::String(text.to_owned()));
            assert_eq!(
                parsed.map(|date| date.to_value()).ok(),
                Some(Value::String(text.to_owned()))
            );
            assert!(Date::is_valid(&Value::String(text.to_owned())), "{text}");
        }
        for text in [
            "0000-12-31",
            "10000-01-01",
            "+9999-01-01",
            "-001-01-01",
            "2026-1-01",
            "2026-01-1",
            "2026- 1- 1",
            " 2026-1-1",
            "2026-02-29",
            "2026-01-01T00:00:00Z",
            "２０２６-01",
        ] {
            let text = Value::String(text.to_owned());
            assert!(!Date::is_valid(&text), "{text}");
            assert!(Date::parse(text).is_err());
        }
        assert!(!Date::is_valid(&Value::Number(20_260_101.into())));
    }

    #[test]
    fn a_time_is_cut_to_microseconds() {
        for (text, time) in [
            ("2026-11-23T08:15:30Z", "2026-11-23T08:15:30.000000Z"),
            ("2026-11-23T08:15:30.123456789+08:00", "2026-11-23T00:15:30.123456Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(
                parse_time(text).map(|time| DateTime(time).to_string()).as_deref(),
                Some(time)
            );
        }
        for text in [
            "2016-12-31T23:59:60Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
            "2026-11-23T08:15:30\u{2212}08:00",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
