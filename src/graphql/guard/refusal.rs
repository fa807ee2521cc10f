//! Reasons to reject a document, each with one error code. Messages quote names only truncated and
//! escaped, because the response must be small, however large the document was.

use async_graphql::{Pos, Value};

use super::super::errors::truncated_message;
use crate::domain::error_code::ErrorCode;

/// Reason to reject a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A size or number above its limit.
    #[error("request is too large ({what}: at least {found}, maximum: {maximum})")]
    TooLarge {
        /// Limited quantity.
        what: &'static str,
        /// Amount at which counting stopped.
        found: u64,
        /// Limit.
        maximum: u64,
        /// Location, if there is a single one.
        at: Option<Pos>,
    },
    /// Too many levels of objects.
    #[error("query is {depth} levels deep, the maximum is {maximum}")]
    TooDeep {
        /// Number of levels.
        depth: usize,
        /// Limit.
        maximum: usize,
        /// Location of the operation or introspection field.
        at: Pos,
    },
    /// The operation could return too many objects.
    #[error("query costs {cost}, the maximum is {maximum}")]
    CostExceeded {
        /// Maximum number of returned objects.
        cost: u64,
        /// Limit.
        maximum: u64,
    },
    /// The text is not a GraphQL document.
    #[error("{message}")]
    ParseFailed {
        /// Message for people.
        message: String,
        /// Location, if known.
        at: Option<Pos>,
    },
    /// The document is syntactically correct, but violates validation rules.
    #[error("{}", errors.first().map_or("the document is not valid", |error| &error.message))]
    ValidationFailed {
        /// Errors in the order of the text, at least one.
        errors: Vec<ValidationError>,
    },
    /// Variables that do not fit the types that the operation declares.
    #[error("{}", errors.first().map_or("a variable is not valid", |error| &error.message))]
    BadVariables {
        /// Errors in the order of the declarations, at least one.
        errors: Vec<ValidationError>,
    },
    /// Unknown operation name, or none with several operations.
    #[error("{message}")]
    BadOperationName {
        /// Message for people.
        message: String,
    },
}

/// Violation of a validation rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    /// Message for people.
    pub message: String,
    /// Location, if known.
    pub at: Option<Pos>,
}

impl ValidationError {
    pub(super) fn new(message: &str, at: Option<Pos>) -> Self {
        Self { message: truncated_message(message), at }
    }
}

impl Refusal {
    /// Code of the error.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::QueryTooLarge,
            Self::TooDeep { .. } => ErrorCode::QueryTooDeep,
            Self::CostExceeded { .. } => ErrorCode::CostLimitExceeded,
            Self::ParseFailed { .. } => ErrorCode::GraphqlParseFailed,
            Self::ValidationFailed { .. } => ErrorCode::GraphqlValidationFailed,
            Self::BadVariables { .. } | Self::BadOperationName { .. } => ErrorCode::BadUserInput,
        }
    }

    /// Details beside the code in `extensions`.
    #[must_use]
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::TooLarge { what, maximum, .. } => {
                vec![("what", (*what).into()), ("maximum", (*maximum).into())]
            }
            Self::TooDeep { depth, maximum, .. } => {
                vec![("depth", (*depth).into()), ("maximum", (*maximum).into())]
            }
            Self::CostExceeded { cost, maximum } => {
                vec![("cost", (*cost).into()), ("maximum", (*maximum).into())]
            }
            Self::BadVariables { .. } => vec![("argument", "variables".into())],
            Self::BadOperationName { .. } => vec![("argument", "operationName".into())],
            Self::ParseFailed { .. } | Self::ValidationFailed { .. } => Vec::new(),
        }
    }

    /// Location in the document, if any.
    #[must_use]
    pub fn location(&self) -> Option<Pos> {
        match self {
            Self::TooLarge { at, .. } | Self::ParseFailed { at, .. } => *at,
            Self::TooDeep { at, .. } => Some(*at),
            Self::ValidationFailed { errors } => errors.first().and_then(|error| error.at),
            Self::CostExceeded { .. }
            | Self::BadVariables { .. }
            | Self::BadOperationName { .. } => None,
        }
    }

    /// Errors of the same code after the first.
    #[must_use]
    pub fn further(&self) -> &[ValidationError] {
        match self {
            Self::ValidationFailed { errors } | Self::BadVariables { errors } => {
                errors.get(1..).unwrap_or_default()
            }
            Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::CostExceeded { .. }
            | Self::ParseFailed { .. }
            | Self::BadOperationName { .. } => &[],
        }
    }

    pub(super) fn too_large(
        what: &'static str,
        found: usize,
        maximum: usize,
        at: Option<Pos>,
    ) -> Self {
        let (found, maximum) = (saturated(found), saturated(maximum));
        Self::TooLarge { what, found, maximum, at }
    }

    pub(super) fn parse_failed(message: &str, at: Option<Pos>) -> Self {
        Self::ParseFailed { message: truncated_message(message), at }
    }

    pub(super) fn validation_failed(message: &str, at: Pos) -> Self {
        Self::ValidationFailed { errors: vec![ValidationError::new(message, Some(at))] }
    }

    pub(super) fn bad_operation_name(message: &str) -> Self {
        Self::BadOperationName { message: truncated_message(message) }
    }
}

/// Rejects a number above `maximum`; `at` is the location in the document, if there is a single
/// one.
pub(super) fn at_most(
    what: &'static str,
    found: usize,
    maximum: usize,
    at: impl Into<Option<Pos>>,
) -> Result<(), Refusal> {
    if found <= maximum {
        return Ok(());
    }
    Err(Refusal::too_large(what, found, maximum, at.into()))
}

/// A count as `u64`.
pub(super) fn saturated(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
