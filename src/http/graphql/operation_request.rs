//! A request that has passed every check before its execution.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::Variables;

use super::cost_report::CostReporting;
use crate::db::WalPosition;
use crate::domain::viewer::{ReaderId, Viewer};
use crate::graphql::cache_hints::{Audience, Hints, Revalidation};
use crate::graphql::context::Caller;
use crate::graphql::guard::{CheckedDocument, CheckedOperation, Refusal};
use crate::http::negotiation::MediaType;
use crate::http::response_budget::ConnectionBudget;
use crate::services::rate_limits::ClientKey;

/// One operation to execute, with everything that its execution and its response depend on.
pub(super) struct OperationRequest {
    /// Way to the response.
    pub(super) strategy: Strategy,
    /// Client, with its access token.
    pub(super) caller: Caller,
    /// Account or address whose limits count.
    pub(super) client: ClientKey,
    /// Bytes that responses on its connection may hold.
    pub(super) connection: Option<ConnectionBudget>,
    /// Document that holds the operation.
    pub(super) document: Arc<CheckedDocument>,
    /// `operationName` of the request.
    pub(super) operation_name: Option<String>,
    /// Variables as they were sent.
    pub(super) variables: Variables,
    /// Time after which a database connection is of no use any more.
    pub(super) deadline: Instant,
    /// Position of the client's last write.
    pub(super) consistency_token: Option<WalPosition>,
    /// True if the invalidations of that write may not have reached this server.
    pub(super) bypass_cache: bool,
    /// Negotiated media type of the response.
    pub(super) media_type: MediaType,
    /// Negotiated encoding of a response from the cache.
    pub(super) encoding: Option<&'static str>,
    /// Requested report of the cost.
    pub(super) cost_reporting: CostReporting,
    /// True if the document came with its hash, to be registered under it.
    pub(super) registers_document: bool,
}

/// Ways to a response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Strategy {
    /// A public query: from the response cache, or executed and cached.
    ResponseCache(PublicHints),
    /// A query that is not cached as a whole.
    Execute,
    /// A mutation: executed in a task that a disconnect does not cancel.
    ExecuteDetached,
}

/// Cache hints on which the cached response depends.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicHints {
    pub(super) audience: Audience,
    pub(super) revalidation: Revalidation,
}

impl From<&Hints> for PublicHints {
    fn from(hints: &Hints) -> Self {
        Self { audience: hints.audience, revalidation: hints.revalidation }
    }
}

impl OperationRequest {
    /// The operation. The plan has found it before, so this does not fail.
    pub(super) fn operation(&self) -> Result<CheckedOperation<'_>, Refusal> {
        self.document.operation(self.operation_name.as_deref())
    }

    /// Client as the database and its replicas know it.
    pub(super) fn reader(&self) -> ReaderId {
        reader_of(&self.caller)
    }
}

/// Client as the database and its replicas know it.
pub(super) fn reader_of(caller: &Caller) -> ReaderId {
    match caller.viewer().user_id() {
        Some(user) => ReaderId::Account(user),
        None => ReaderId::Address(caller.address),
    }
}

/// Cache hints of a public operation, if this viewer is in its audience.
pub(super) fn hints_for<'a>(operation: &CheckedOperation<'a>, viewer: Viewer) -> Option<&'a Hints> {
    operation.hints().filter(|hints| match hints.audience {
        Audience::Everybody => true,
        Audience::SignedOut => viewer == Viewer::Anonymous,
    })
}
