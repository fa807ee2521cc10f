//! Codes of top-level errors: `errors[].extensions.code`, the same over HTTP, in GraphQL and in the
//! request log. Clients switch on them, so none is renamed or removed. docs/errors.md documents each
//! one, and a test compares that table with this enum. Codes of `userErrors` are an enum of the schema
//! (`user_error::UserErrorCode`).

use strum::{Display, IntoStaticStr, VariantArray};

/// Code of an error that a programmer or an operator has to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The document is not GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// Invalid argument, header or body.
    BadUserInput,
    /// Unknown hash of a persisted query.
    PersistedQueryNotFound,
    /// Missing, expired or invalid access token.
    Unauthenticated,
    /// Not allowed for this viewer, origin or document.
    Forbidden,
    /// Missing object or address, or another user's object.
    NotFound,
    /// `first` or `last` above the maximum.
    PageSizeExceeded,
    /// Cursor of another list, order or version.
    InvalidCursor,
    /// The operation could return too many objects.
    CostLimitExceeded,
    /// Too many levels of objects.
    QueryTooDeep,
    /// Document, body or response above a size limit.
    QueryTooLarge,
    /// Rate limit reached.
    RateLimited,
    /// Deadline of the request or of a statement reached.
    Timeout,
    /// Database or password hashing unavailable or overloaded.
    ServiceUnavailable,
    /// The database has no space left. Nothing was written.
    StorageFull,
    /// Unexpected failure; the cause is in the log alone.
    InternalServerError,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// The code as clients receive it, such as `BAD_USER_INPUT`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
