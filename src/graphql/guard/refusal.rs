//! Why a document is refused: one variant, one code of the API. Messages quote names only in a
//! shortened, escaped form, because a refusal must stay small however large the document was.

use async_graphql::parser;
use async_graphql::{Pos, Value};

use crate::config::limits::MESSAGE_CHARACTERS;
use crate::domain::error_code::ErrorCode;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is larger or more numerous than allowed.
    #[error("request is too large ({what}: at least {found}, maximum: {maximum})")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much had been found when counting stopped.
        found: u64,
        /// How much is allowed.
        maximum: u64,
        /// Where, if it is at one place.
        at: Option<Pos>,
    },
    /// Objects are selected inside each other too deeply.
    #[error("query is {depth} levels deep, the maximum is {maximum}")]
    TooDeep {
        /// Levels found.
        depth: usize,
        /// Levels allowed.
        maximum: usize,
        /// The operation or the introspection field.
        at: Pos,
    },
    /// The operation could return too many objects.
    #[error("query costs {cost}, the maximum is {maximum}")]
    CostExceeded {
        /// Objects that it could return.
        cost: u64,
        /// Objects allowed.
        maximum: u64,
    },
    /// The text is not a GraphQL document.
    #[error("{message}")]
    ParseFailed {
        /// What is wrong.
        message: String,
        /// Where, if known.
        at: Option<Pos>,
    },
    /// The document is well formed and still not valid under any schema.
    #[error("{message}")]
    ValidationFailed {
        /// What is wrong.
        message: String,
        /// Where.
        at: Pos,
    },
    /// The operation name picks none of the operations, or is missing.
    #[error("{message}")]
    BadOperationName {
        /// What is wrong.
        message: String,
    },
}

impl Refusal {
    /// The code in `extensions.code`.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::QueryTooLarge,
            Self::TooDeep { .. } => ErrorCode::QueryTooDeep,
            Self::CostExceeded { .. } => ErrorCode::CostLimitExceeded,
            Self::ParseFailed { .. } => ErrorCode::GraphqlParseFailed,
            Self::ValidationFailed { .. } => ErrorCode::GraphqlValidationFailed,
            Self::BadOperationName { .. } => ErrorCode::BadUserInput,
        }
    }

    /// What stands beside the code in `extensions`.
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
            Self::BadOperationName { .. } => vec![("argument", "operationName".into())],
            Self::ParseFailed { .. } | Self::ValidationFailed { .. } => Vec::new(),
        }
    }

    /// The place in the document, where there is one.
    #[must_use]
    pub fn location(&self) -> Option<Pos> {
        match self {
            Self::TooLarge { at, .. } | Self::ParseFailed { at, .. } => *at,
            Self::TooDeep { at, .. } | Self::ValidationFailed { at, .. } => Some(*at),
            Self::CostExceeded { .. } | Self::BadOperationName { .. } => None,
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
        Self::ParseFailed { message: shortened(message), at }
    }

    pub(super) fn validation_failed(message: &str, at: Pos) -> Self {
        Self::ValidationFailed { message: shortened(message), at }
    }

    pub(super) fn bad_operation_name(message: &str) -> Self {
        Self::BadOperationName { message: shortened(message) }
    }
}

impl From<parser::Error> for Refusal {
    fn from(error: parser::Error) -> Self {
        let at = error.positions().next();
        // A syntax error is printed with its source line, which may be the whole document, and then
        // what the grammar expected; a bad number with a place of its own, which counts from the
        // number.
        let text = error.to_string();
        let reason = text.rsplit_once("= ").map_or(text.as_str(), |(_, reason)| reason);
        let reason = reason.split_once(" at line ").map_or(reason, |(reason, _)| reason);
        let reason = reason.replace('_', " ").replace("EOI", "end of document");
        Self::parse_failed(&reason, at)
    }
}

/// Refuses what is more than `maximum`; `at` is where it stands in the document, if at one place.
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

/// A count as a number of the API.
pub(super) fn saturated(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn shortened(message: &str) -> String {
    if message.chars().count() <= MESSAGE_CHARACTERS {
        return message.to_owned();
    }
    message.chars().take(MESSAGE_CHARACTERS - 1).chain(['…']).collect()
}
