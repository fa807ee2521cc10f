//! What a resolver can reach: who asks, the request's loaders, the reference data, and what the app
//! does.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::{Context, ContextBase};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::errors::ApiError;
use crate::cache::generations::Moment;
use crate::cache::keys::Key;
use crate::cache::scope::MadeWith;
use crate::cache::statistics::Counter;
use crate::cache::{Looked, Lookup, Source};
use crate::config::limits::DocumentLimits;
use crate::db::users::UserRow;
use crate::db::{Database, DbError, Session};
use crate::domain::lock::lock;
use crate::domain::statistics::Minute;
use crate::domain::viewer::{CurrentViewer, Viewer};
use crate::loaders::Loaders;
use crate::services::Services;
use crate::services::catalogue::Catalogue;
use crate::services::tokens::AccessClaims;

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its address.
    pub address: IpAddr,
    /// Its access token, checked.
    pub access: Option<AccessClaims>,
    /// The refresh token in its cookie.
    pub cookie: Option<String>,
    /// Whether the page that sent it may use the cookie.
    pub may_use_cookie: bool,
}

impl Caller {
    /// Who asks.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.access.map_or(Viewer::Anonymous, |access| Viewer::User(access.user))
    }
}

/// What the answer does to the cookie of the refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookieChange {
    /// It is to be kept until then.
    Set {
        /// The refresh token.
        token: String,
        /// When it ends.
        expires_at: DateTime<Utc>,
    },
    /// It is to be forgotten.
    Clear,
}

/// One request.
pub struct RequestContext {
    /// Where it comes from.
    pub caller: Caller,
    /// The database as this request sees it.
    pub session: Session,
    /// The database of the process.
    pub database: Database,
    /// This request's loaders.
    pub loaders: Loaders,
    /// What the app does.
    pub services: Arc<Services>,
    /// The reference data.
    pub catalogue: Arc<Catalogue>,
    /// Limits of pages and ids.
    pub limits: Arc<DocumentLimits>,
    /// What becomes of the cookie.
    pub cookie: Mutex<Option<CookieChange>>,
    /// Whether nothing that is kept is new enough.
    pub bypass_cache: bool,
    viewer: CurrentViewer,
    /// Before anything was read for it.
    as_of: Moment,
    /// The keys that it has asked for.
    computed: Mutex<HashSet<String>>,
    /// What of what everybody may see was read for it.
    pub made_with: MadeWith,
    /// What was kept of what it asked for, and what was not.
    pub lookups: Counter,
    /// Whether a password was looked at, of which figures could tell.
    pub has_checked_password: AtomicBool,
}

impl RequestContext {
    /// A request of that caller.
    #[must_use]
    pub fn new(
        caller: Caller,
        (database, session): (Database, Session),
        services: Arc<Services>,
        limits: Arc<DocumentLimits>,
    ) -> Self {
        let as_of = services.cache.generations().now();
        let viewer = CurrentViewer::new(caller.viewer());
        let made_with = MadeWith::default();
        let loaders = Loaders::new(&session, &viewer, &made_with, services.clock.now());
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
            viewer,
            as_of,
            computed: Mutex::default(),
            made_with,
            lookups: Counter::default(),
            has_checked_password: AtomicBool::new(false),
        }
    }

    /// Who asks: who sent the request, or has logged in with it.
    #[must_use]
    pub fn viewer(&self) -> Viewer {
        self.viewer.get()
    }

    /// The minute that windows which roll on with the time end with.
    #[must_use]
    pub fn minute(&self) -> Minute {
        Minute::of(self.services.clock.now())
    }

    /// The signed-in user's id.
    ///
    /// # Errors
    ///
    /// Nobody is signed in.
    pub fn viewer_id(&self) -> Result<Uuid, ApiError> {
        self.viewer().user_id().ok_or(ApiError::SignInRequired)
    }

    /// The row of the signed-in user; `None` when nobody is.
    ///
    /// # Errors
    ///
    /// The user exists no more or is deactivated, or the statement fails.
    pub async fn viewer_row(&self) -> Result<Option<Arc<UserRow>>, ApiError> {
        let Some(id) = self.viewer().user_id() else { return Ok(None) };
        let row = self.loaders.user_by_id.load_one_for("Query.viewer", id).await?;
        row.filter(|row| row.is_active).map(Some).ok_or(ApiError::Unauthenticated)
    }

    /// Refuses who is no admin.
    ///
    /// # Errors
    ///
    /// They are none, or the statement fails.
    pub async fn require_admin(&self) -> Result<Uuid, ApiError> {
        match self.viewer_row().await? {
            Some(row) if row.is_admin => Ok(row.id),
            Some(_) => Err(ApiError::Forbidden("only admins may see or do this")),
            None => Err(ApiError::SignInRequired),
        }
    }

    /// The value of a key: kept, or computed now and kept. What is computed must not depend on more than
    /// the key says.
    ///
    /// # Errors
    ///
    /// Those of the computation.
    pub async fn cached<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        compute: impl Future<Output = Result<V, DbError>>,
    ) -> Result<Arc<V>, DbError> {
        let (cache, now) = (&self.services.cache, self.services.clock.now());
        if self.bypass_cache {
            return compute.await.map(Arc::new);
        }
        // What is asked for again may be made of what a loader has kept since.
        let is_first = lock(&self.computed).insert(key.text().to_owned());
        let source = match source_of(&self.session) {
            Source::Primary if !is_first => Source::PrimaryBefore,
            Source::Replica(_) if !is_first => Source::Replica(None),
            source => source,
        };
        let when = (self.as_of, now, source);
        let waiting = async || self.session.release_while_waiting().await;
        // Apart, because there are many in a request at once and all that they hold is large.
        let found = Box::pin(cache.get_or_compute(key, when, waiting, Box::pin(compute)));
        let Looked { value, lookup, made_by } = found.await?;
        if cache.is_enabled() {
            self.lookups.count(lookup);
        }
        if lookup == Lookup::Hit {
            self.session.record_cached_as_of(made_by);
        }
        Ok(value)
    }

    /// The moment before anything was read for it.
    #[must_use]
    pub fn as_of(&self) -> Moment {
        self.as_of
    }

    /// What is asked for from now on is asked by that user, who has given their password.
    pub fn sign_in(&self, user: Uuid) {
        self.viewer.set(Viewer::User(user));
        self.loaders.clear_all();
    }

    /// What is asked for from now on is asked by nobody.
    pub fn sign_out(&self) {
        self.viewer.set(Viewer::Anonymous);
        self.loaders.clear_all();
    }

    /// Says what becomes of the cookie.
    pub fn change_cookie(&self, change: CookieChange) {
        *lock(&self.cookie) = Some(change);
    }

    /// Allows one password to be checked a request, so that a hundred aliases are no hundred guesses.
    ///
    /// # Errors
    ///
    /// One was.
    pub fn take_password_check(&self) -> Result<(), ApiError> {
        if self.has_checked_password.swap(true, Ordering::Relaxed) {
            return Err(ApiError::BadInput {
                argument: "input",
                message: "a request may give one password; send another request".to_owned(),
            });
        }
        Ok(())
    }
}

/// What is made of what a session is about to read: values and whole answers alike.
#[must_use]
pub fn source_of(session: &Session) -> Source {
    if session.is_on_primary() {
        Source::Primary
    } else {
        Source::Replica(session.replica_fresh_as_of())
    }
}

/// The request that a field belongs to.
#[must_use]
pub fn request<'a, T>(context: &ContextBase<'a, T>) -> &'a RequestContext {
    context.data_unchecked::<Arc<RequestContext>>()
}

/// The request that a mutation belongs to. What it has loaded so far may be about to change.
#[must_use]
pub fn begin_mutation<'a>(context: &Context<'a>) -> &'a RequestContext {
    let request = request(context);
    request.loaders.clear_all();
    request.session.begin_mutation(format!("Mutation.{}", context.item.node.name.node));
    request
}
