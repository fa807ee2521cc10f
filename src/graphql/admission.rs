//! GraphQL type of the admission of requests.

use async_graphql::SimpleObject;

use crate::services::admission;

/// Admission of requests to be executed, by this server process. Responses from the cache are not counted.
#[derive(SimpleObject)]
pub struct AdmissionStats {
    /// Number of requests that may be executed at once, at present: it falls when latency rises, down to 4, and grows again
    /// up to `MAX_CONCURRENT_REQUESTS`.
    concurrency_limit: usize,
    /// Number of requests that are executed.
    at_work: usize,
    /// Number of requests that wait to be executed.
    queued: usize,
    /// Number of requests that were admitted for execution since the start.
    admitted: u64,
    /// Number of requests that were refused since the start, with `SERVICE_UNAVAILABLE`.
    refused: u64,
    /// `true` under overload: from a full queue or a wait that was too long, until less than a tenth of the requests of a second is refused. The queue is short meanwhile.
    is_overloaded: bool,
}

impl From<admission::AdmissionStats> for AdmissionStats {
    fn from(stats: admission::AdmissionStats) -> Self {
        let admission::AdmissionStats { limit, at_work, queued, admitted, refused, is_overloaded } =
            stats;
        Self { concurrency_limit: limit, at_work, queued, admitted, refused, is_overloaded }
    }
}
