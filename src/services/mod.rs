//! What the app does, apart from how it is asked over HTTP and GraphQL.

pub mod accounts;
pub mod admin;
pub mod catalogue;
pub mod categories;
pub mod clock;
pub mod error;
pub mod exports;
pub mod follow;
pub mod idempotency;
pub mod input;
pub mod logins;
pub mod passwords;
pub mod readings;
pub mod reference;
pub mod seed;
pub mod shares;
pub mod tags;
pub mod throttle;
pub mod tokens;
pub mod upkeep;
pub mod writes;

use std::sync::{Arc, PoisonError, RwLock};

use crate::cache::Cache;
use crate::cache::changes::Change;
use crate::config::Settings;
use catalogue::Catalogue;
use clock::Clock;
use exports::Exports;
use passwords::Passwords;
use shares::ShareAccesses;
use throttle::Throttle;
use tokens::Tokens;

/// What the app needs to do anything, apart from the database. One for the process.
pub struct Services {
    /// All settings.
    pub settings: Settings,
    /// What time it is.
    pub clock: Clock,
    /// Makes and checks tokens.
    pub tokens: Tokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// How often one may ask.
    pub throttle: Throttle,
    /// Accesses of share links that are not written yet.
    pub share_accesses: ShareAccesses,
    /// Exports that are being written.
    pub exports: Exports,
    /// What is kept of what was computed.
    pub cache: Cache,
    catalogue: RwLock<Arc<Catalogue>>,
}

impl Services {
    /// With these settings and that reference data.
    #[must_use]
    pub fn new(settings: Settings, catalogue: Catalogue) -> Self {
        Self {
            clock: Clock::default(),
            tokens: Tokens::new(&settings.auth),
            passwords: Passwords::new(settings.auth.password_queue),
            throttle: Throttle::new(&settings.throttle),
            share_accesses: ShareAccesses::default(),
            exports: Exports::new(settings.export.exports),
            cache: Cache::new(&settings.cache),
            catalogue: RwLock::new(Arc::new(catalogue)),
            settings,
        }
    }

    /// The reference data as it is now.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other reference data in its place, for requests from now on.
    pub async fn replace_catalogue(&self, catalogue: Arc<Catalogue>) {
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = catalogue;
        self.cache.purge(&[Change::CatalogueReplaced]).await;
    }
}
