//! Hosts that requests may name: a page of another site whose name was pointed at this server cannot call it
//! (DNS rebinding), and no cache stores a response under a name that is not this server's.

use axum::extract::Request;

use super::health::HEALTH_PATHS;
use super::host::host;
use crate::config::Settings;
use crate::config::server::matches_host;
use crate::domain::web_origin::is_loopback_host;

/// Allowed hosts, by name and without a port.
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// By the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self(settings.allowed_hosts())
    }

    /// True if the request may be served. Probes name any host, often an address; a loopback name can only come
    /// from this machine, or from somebody who chooses the header freely.
    #[must_use]
    pub fn allow(&self, request: &Request) -> bool {
        if self.0.is_empty() || HEALTH_PATHS.contains(&request.uri().path()) {
            return true;
        }
        let Some(host) = host(request) else { return false };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        is_loopback_host(&host) || self.0.iter().any(|pattern| matches_host(pattern, &host))
    }
}
