//! Business logic, independent of HTTP and GraphQL: a module a noun, and the background tasks
//! (`maintenance` and the outbox poller).

pub mod accounts;
pub mod admin;
pub mod admission;
pub mod audit;
pub mod catalogue;
pub mod categories;
mod client_shares;
pub mod clock;
pub mod common_passwords;
mod concurrency_limit;
pub mod error;
pub mod exports;
mod fair_queue;
pub mod hash_queue;
pub mod idempotency;
pub mod login_throttles;
pub mod logins;
pub mod maintenance;
pub mod moderation;
pub mod outbox_poller;
mod overload;
pub mod passwords;
pub mod rate_limits;
pub mod readings;
pub mod reference;
pub mod refusal_pace;
pub mod seed;
pub mod session_cookie;
pub mod shares;
pub mod tags;
pub mod token_revocations;
mod token_signature;
pub mod tokens;
pub mod validation;
pub mod write_transaction;

use std::sync::{Arc, PoisonError, RwLock};

use crate::cache::Cache;
use crate::cache::invalidation::InvalidationEvent;
use crate::config::Settings;
use admission::Admission;
use catalogue::Catalogue;
use clock::Clock;
use exports::ExportPermits;
use passwords::PasswordHasher;
use rate_limits::RateLimits;
use refusal_pace::RefusalPace;
use shares::ShareAccessCounter;
use token_revocations::TokenRevocations;
use tokens::TokenIssuer;

/// Shared state of all services, apart from the database. One for the process.
pub struct Services {
    /// Settings of the process.
    pub settings: Settings,
    /// Clock of limits and lifetimes.
    pub clock: Clock,
    /// Issuer and verifier of signed tokens.
    pub tokens: TokenIssuer,
    /// Revoked access tokens.
    pub token_revocations: TokenRevocations,
    /// Password hashing, on threads of its own.
    pub passwords: PasswordHasher,
    /// Admission of requests to be executed.
    pub admission: Arc<Admission>,
    /// Rate limits of addresses and accounts.
    pub rate_limits: RateLimits,
    /// Pace of refusals to addresses above these limits.
    pub refusal_pace: RefusalPace,
    /// Accesses of share links that are not yet written to the database.
    pub share_accesses: ShareAccessCounter,
    /// Permits of running exports.
    pub exports: ExportPermits,
    /// Cache of values and responses.
    pub cache: Cache,
    catalogue: RwLock<Arc<Catalogue>>,
}

impl Services {
    /// Services with these settings and that reference data.
    #[must_use]
    pub fn new(settings: Settings, catalogue: Catalogue) -> Self {
        Self {
            clock: Clock::default(),
            tokens: TokenIssuer::new(&settings.auth),
            token_revocations: TokenRevocations::new(&settings.auth),
            passwords: PasswordHasher::new(settings.auth.password_queue),
            admission: Admission::new(&settings.admission),
            rate_limits: RateLimits::new(&settings.rate_limits),
            refusal_pace: RefusalPace::new(settings.rate_limits.refusal_rate),
            share_accesses: ShareAccessCounter::default(),
            exports: ExportPermits::new(settings.export.exports),
            cache: Cache::new(&settings.cache),
            catalogue: RwLock::new(Arc::new(catalogue)),
            settings,
        }
    }

    /// Current reference data.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the reference data for subsequent requests and purges the values computed from it.
    pub async fn replace_catalogue(&self, catalogue: Arc<Catalogue>) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = catalogue;
        self.cache.purge(&[InvalidationEvent::CatalogueReplaced]).await;
    }
}
