//! Scalars: times and addresses.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{SecondsFormat, SubsecRound, Utc};

/// A moment, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`.
#[derive(Debug, Clone, Copy)]
pub struct DateTime(pub chrono::DateTime<Utc>);

/// A moment, RFC 3339 in UTC with microseconds: `2026-11-23T08:15:30.250000Z`. Any offset is
/// understood on the way in.
#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| {
            InputValueError::custom("a time must be RFC 3339, such as 2026-11-23T08:15:30Z")
        })?;
        Ok(Self(time.with_timezone(&Utc).trunc_subsecs(6)))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

/// An absolute address.
#[derive(Debug, Clone)]
pub struct Url(pub String);

/// An absolute address: `https://…`.
#[Scalar(name = "URL")]
impl ScalarType for Url {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.contains("://") => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
