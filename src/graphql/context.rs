//! Context of a request for its resolvers: viewer, loaders, reference data and services.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::{Context, ContextBase};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::errors::ApiError;
use crate::cache::ReadSource;
use crate::cache::cache_tag::CacheTags;
use crate::cache::keys::Key;
use crate::cache::purge_epochs::PurgeEpoch;
use crate::cache::statistics::{Lookup, LookupCounter};
use crate::cache::value_cache::{ComputeContext, LookupResult};
use crate::config::limits::DocumentLimits;
use crate::db::users::UserRow;
use crate::db::{Database, DbError, Session};
use crate::domain::lock::lock;
use crate::domain::statistics::Minute;
use crate::domain::viewer::{CurrentViewer, Viewer};
use crate::loaders::Loaders;
use crate::services::Services;
use crate::services::accounts::Client;
use crate::services::admission::Permit;
use crate::services::catalogue::Catalogue;
use crate::services::session_cookie::RequestInitiator;
use crate::services::tokens::AccessClaims;

/// Client of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// IP address.
    pub address: IpAddr,
    /// Verified access token.
    pub access: Option<AccessClaims>,
    /// Refresh token of the cookie.
    pub cookie: Option<String>,
    /// Web page that sent the request.
    pub initiator: RequestInitiator,
}

impl Caller {
    /// Viewer of the request.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.access.map_or(Viewer::Anonymous, |access| Viewer::User(access.user))
    }
}

/// Change of the refresh token's cookie in the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookieChange {
    /// Set the cookie.
    Set {
        /// Refresh token.
        token: String,
        /// Expiry of the token.
        expires_at: DateTime<Utc>,
    },
    /// Delete the cookie.
    Clear,
}

/// Context of one request.
pub struct RequestContext {
    /// Client of the request.
    pub caller: Caller,
    /// Database session of this request.
    pub session: Session,
    /// Database of the process.
    pub database: Database,
    /// Loaders of this request.
    pub loaders: Loaders,
    /// Services of the app.
    pub services: Arc<Services>,
    /// Reference data.
    pub catalogue: Arc<Catalogue>,
    /// Limits of page sizes and ids.
    pub limits: Arc<DocumentLimits>,
    /// Change of the cookie, if any.
    pub cookie: Mutex<Option<CookieChange>>,
    /// True to bypass the cache.
    pub bypass_cache: bool,
    /// Permit to execute the request, until its work is done.
    pub permit: Mutex<Option<Permit>>,
    viewer: CurrentViewer,
    /// Purge epochs before the first read.
    purge_epoch: PurgeEpoch,
    /// Cache keys of this request so far.
    computed: Mutex<HashSet<String>>,
    /// Cache tags of the public data that was read.
    pub cache_tags: CacheTags,
    /// Cache hits and misses.
    pub lookups: LookupCounter,
    /// True once a password was checked: metrics would reveal whether the account exists.
    pub has_checked_password: AtomicBool,
}

impl RequestContext {
    /// Context of a request of that client.
    #[must_use]
    pub fn new(
        caller: Caller,
        database: Database,
        session: Session,
        services: Arc<Services>,
        limits: Arc<DocumentLimits>,
    ) -> Self {
        let purge_epoch = services.cache.purge_epochs().current();
        let viewer = CurrentViewer::new(caller.viewer());
        let cache_tags = CacheTags::default();
        let loaders = Loaders::new(&session, &viewer, &cache_tags, services.clock.now());
        let catalogue = services.catalogue();
        Self {
            caller,
            session,
            database,
            loaders,
            services,
            catalogue,
            limits,
            cookie: Mutex::default(),
            bypass_cache: false,
            permit: Mutex::default(),
            viewer,
            purge_epoch,
            computed: Mutex::default(),
            cache_tags,
            lookups: LookupCounter::default(),
            has_checked_password: AtomicBool::new(false),
        }
    }

    /// Viewer of the request: the sender, or the user that a mutation has logged in.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.viewer.get()
    }

    /// Current minute, at whose end rolling windows end.
    #[must_use]
    pub fn minute(&self) -> Minute {
        Minute::of(self.services.clock.now())
    }

    /// Id of the signed-in user.
    ///
    /// # Errors
    ///
    /// [`ApiError::SignInRequired`].
    pub fn viewer_id(&self) -> Result<Uuid, ApiError> {
        self.viewer().user_id().ok_or(ApiError::SignInRequired)
    }

    /// Row of the signed-in user; `None` without an access token.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unauthenticated`] if the user was deleted or deactivated.
    pub async fn viewer_row(&self) -> Result<Option<Arc<UserRow>>, ApiError> {
        let Some(id) = self.viewer().user_id() else { return Ok(None) };
        let row = self.loaders.user_by_id.load_one_for("Query.viewer", id).await?;
        row.filter(|row| row.is_active).map(Some).ok_or(ApiError::Unauthenticated)
    }

    /// Id of the viewer, who must be an admin.
    ///
    /// # Errors
    ///
    /// [`ApiError::Forbidden`] or [`ApiError::SignInRequired`].
    pub async fn require_admin(&self) -> Result<Uuid, ApiError> {
        match self.viewer_row().await? {
            Some(row) if row.is_admin => Ok(row.id),
            Some(_) => Err(ApiError::Forbidden("only admins may see or do this")),
            None => Err(ApiError::SignInRequired),
        }
    }

    /// The viewer, who must be an admin, with the address of the request.
    ///
    /// # Errors
    ///
    /// The errors of [`Self::require_admin`].
    pub async fn require_admin_client(&self) -> Result<Client, ApiError> {
        let viewer = self.require_admin().await?;
        Ok(Client { viewer, address: self.caller.address })
    }

    /// The cached value of a key, or the computed one, which is cached. The computation must not
    /// depend on more than the key.
    pub async fn cached<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        compute: impl Future<Output = Result<V, DbError>>,
    ) -> Result<Arc<V>, DbError> {
        let (cache, now) = (&self.services.cache, self.services.clock.now());
        if self.bypass_cache {
            return compute.await.map(Arc::new);
        }
        // A second computation of the same key may use rows that a loader has cached meanwhile.
        let is_first = lock(&self.computed).insert(key.text().to_owned());
        let source = match source_of(&self.session) {
            ReadSource::Primary if !is_first => ReadSource::PrimaryAtRequestStart,
            source => source,
        };
        let computation = ComputeContext { epoch: self.purge_epoch, now, source };
        let waiting = async || self.session.release_while_waiting().await;
        // Boxed, because a request has many of these futures at once, and each is large.
        let found =
            Box::pin(cache.values().get_or_compute(key, computation, waiting, Box::pin(compute)));
        let LookupResult { value, lookup, computed_at } = found.await?;
        if cache.is_enabled() {
            self.lookups.count(lookup);
        }
        if lookup == Lookup::Hit {
            self.session.record_cached_as_of(computed_at);
        }
        Ok(value)
    }

    /// Purge epochs before the first read.
    #[must_use]
    pub fn purge_epoch(&self) -> PurgeEpoch {
        self.purge_epoch
    }

    /// Signs a user in, who has given their password: the viewer from now on.
    pub fn sign_in(&self, user: Uuid) {
        self.viewer.set(Viewer::User(user));
        self.loaders.clear_all();
    }

    /// Signs the viewer out: an anonymous viewer from now on.
    pub fn sign_out(&self) {
        self.viewer.set(Viewer::Anonymous);
        self.loaders.clear_all();
    }

    /// Changes the cookie in the response.
    pub fn change_cookie(&self, change: CookieChange) {
        *lock(&self.cookie) = Some(change);
    }

    /// Claims the one password check of a request, so that a hundred aliases are not a hundred
    /// guesses.
    ///
    /// # Errors
    ///
    /// The check was claimed before.
    pub fn take_password_check(&self) -> Result<(), ApiError> {
        if self.has_checked_password.swap(true, Ordering::Relaxed) {
            return Err(ApiError::BadInput {
                argument: "input",
                message: "a request may give one password; send another request".to_owned(),
            });
        }
        // Passwords wait in a queue of their own.
        drop(lock(&self.permit).take());
        Ok(())
    }
}

/// Source of the values and responses that are computed from a session's reads.
#[must_use]
pub fn source_of(session: &Session) -> ReadSource {
    if session.is_on_primary() {
        ReadSource::Primary
    } else {
        ReadSource::Replica(session.replica_fresh_as_of())
    }
}

/// The request of a field.
#[must_use]
pub fn request<'a, T>(context: &ContextBase<'a, T>) -> &'a RequestContext {
    context.data_unchecked::<Arc<RequestContext>>()
}

/// The request of a mutation. Loaded rows are dropped, because the mutation may change them.
#[must_use]
pub fn begin_mutation<'a>(context: &Context<'a>) -> &'a RequestContext {
    let request = request(context);
    request.loaders.clear_all();
    request.session.begin_mutation(format!("Mutation.{}", context.item.node.name.node));
    request
}
