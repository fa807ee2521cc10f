//! The request header `GraphQL-Cost`: clients learn the cost of an operation, with its execution or before
//! it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::error::HttpError;

/// Request header whose value is `report` or `validate`.
pub const GRAPHQL_COST: HeaderName = HeaderName::from_static("graphql-cost");

/// Report of the cost that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CostReporting {
    /// None.
    Off,
    /// In the extensions of the response.
    Report,
    /// In place of the execution.
    Validate,
}

impl CostReporting {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Another value, or several ones.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        let mut values = headers.get_all(GRAPHQL_COST).iter();
        let (value, further) = (values.next(), values.next());
        match (value.map(HeaderValue::as_bytes), further) {
            (None, _) => Ok(Self::Off),
            (Some(b"report"), None) => Ok(Self::Report),
            (Some(b"validate"), None) => Ok(Self::Validate),
            _ => Err(HttpError::bad("graphql-cost", "the header must be `report` or `validate`")),
        }
    }
}

/// Cost of an operation, as `extensions.cost` of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct CostReport {
    /// Cost points.
    pub(super) cost: u64,
    /// Maximum cost of an operation of this client.
    pub(super) limit: u64,
    /// Points that this client may still spend now; null where the rate is not limited.
    pub(super) remaining: Option<u32>,
    /// Maximum number of SQL statements of a query; null for a mutation.
    pub(super) statements: Option<u64>,
}
