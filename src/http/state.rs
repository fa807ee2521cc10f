//! State that all handlers share. It imports no handler.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::allowed_hosts::AllowedHosts;
use super::client_address::ClientAddresses;
use super::graphql::request_memo::RequestMemo;
use super::response_budget::ResponseBudget;
use crate::config::Settings;
use crate::config::server::GRAPHQL_PATH;
use crate::db::Database;
use crate::graphql::documents::Documents;
use crate::graphql::{Schema, schema};
use crate::services::Services;
use crate::services::catalogue::Catalogue;

/// All paths of the API. The one with a trailing slash is a different path (RFC 3986, section 6.2.4) that some clients
/// use. It is not redirected, because preflight requests follow no redirect.
pub const GRAPHQL_PATHS: [&str; 2] = [GRAPHQL_PATH, "/graphql/"];

/// Shared state of one server.
pub struct App {
    /// Business logic, with all settings.
    pub services: Arc<Services>,
    /// Primary database and its replicas.
    pub database: Database,
    /// Executable schema.
    pub schema: Schema,
    /// Requests that are served from the response cache before they are parsed.
    pub request_memo: RequestMemo,
    /// Document guard, parsed documents, and documents that clients may name by their hash.
    pub documents: Documents,
    /// Addresses of clients behind trusted proxies.
    pub client_addresses: ClientAddresses,
    /// Hosts that requests may name.
    pub allowed_hosts: AllowedHosts,
    /// Bytes of responses that wait to be sent.
    pub response_budget: ResponseBudget,
    /// Running mutations. The database is closed after the last one.
    pub writes: TaskTracker,
    /// Cancelled when the server is about to stop: it is not ready, and clients of HTTP/1 move to other servers.
    pub leaving: CancellationToken,
    /// Cancelled when it stops: long-running responses end early.
    pub stopping: CancellationToken,
}

impl App {
    /// State for these settings.
    #[must_use]
    pub fn new(
        settings: Settings,
        documents: Documents,
        database: Database,
        catalogue: Catalogue,
    ) -> Arc<Self> {
        Arc::new(Self {
            schema: schema(settings.limits.document.expanded_nesting),
            request_memo: RequestMemo::new(&settings.cache),
            documents,
            client_addresses: ClientAddresses::new(&settings.rate_limits),
            allowed_hosts: AllowedHosts::new(&settings),
            response_budget: ResponseBudget::new(&settings.connections),
            services: Arc::new(Services::new(settings, catalogue)),
            database,
            writes: TaskTracker::new(),
            leaving: CancellationToken::new(),
            stopping: CancellationToken::new(),
        })
    }
}
