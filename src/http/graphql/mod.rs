//! `/graphql`, by the GraphQL-over-HTTP specification. [`handler`] negotiates the media type,
//! [`pipeline`] has the steps of a request in their order.
//!
//! An error of the request itself is a 4xx in any case; an error of its document is a 400 for clients that
//! accept `application/graphql-response+json`, and a 200 with errors for older ones.

pub(super) mod cache_headers;
mod cached_execution;
pub(super) mod cost_report;
pub mod error;
mod execution;
pub(super) mod handler;
mod operation_request;
mod pipeline;
pub mod request;
pub mod request_memo;
pub(super) mod response;
