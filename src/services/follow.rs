//! Following the other servers on the database: what they write is purged here, so that what this server
//! keeps is never further behind than the settings allow, whatever becomes of Redis, of the network and
//! of the others.
//!
//! Each write notes in its transaction what it makes old. Those notes are read again and again; where
//! servers share a Redis they tell each other besides, which is sooner but may get lost.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::maintenance::reload_catalogue;
use crate::cache::changes::Change;
use crate::cache::shared::{Heard, Said, Shared, Unanswered};
use crate::db::cache_outbox::outbox_poll;
use crate::db::{Database, DbError};

/// Follows the others until `stop` is done. The database is one by which no request waits for a
/// connection ([`Database::apart`]).
pub async fn follow(services: Arc<Services>, database: Database, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    services.cache.peers().follow();
    let mut follower = Follower {
        services: Arc::clone(&services),
        database,
        position: None,
        looked_at: None,
        is_new: true,
    };
    tokio::select! {
        () = &mut stop => {}
        () = Box::pin(follower.go_on()) => {}
    }
    services.cache.peers().close();
    if let Some(shared) = services.cache.shared() {
        shared.leave_out();
    }
    follower.database.close().await;
}

struct Follower {
    services: Arc<Services>,
    database: Database,
    /// Notes below it have been seen to.
    position: Option<i64>,
    looked_at: Option<Instant>,
    /// Notes that came before may make old what is being computed.
    is_new: bool,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Shared(#[from] Unanswered),
}

impl Follower {
    async fn go_on(&mut self) {
        let services = Arc::clone(&self.services);
        let retry = services.settings.cache.peers.redis_retry;
        let mut is_told = false;
        loop {
            let mut words = match services.cache.shared() {
                None => None,
                Some(shared) => match shared.connect().await {
                    Ok(words) => {
                        tracing::info!("Redis is connected to");
                        is_told = false;
                        Some(words)
                    }
                    Err(error) => {
                        if !is_told {
                            let url = &services.settings.cache.peers.redis_url;
                            tracing::warn!(
                                %error, ?url, "Redis cannot be reached; nothing that is kept is answered until it can"
                            );
                            is_told = true;
                        }
                        tokio::time::sleep(retry).await;
                        continue;
                    }
                },
            };
            Box::pin(self.keep_looking(words.as_mut())).await;
            services.cache.peers().close();
            if let Some(shared) = services.cache.shared() {
                shared.leave_out();
            }
            tokio::time::sleep(retry).await;
        }
    }

    /// Looks and listens until Redis is lost, if there is one.
    async fn keep_looking(&mut self, mut words: Option<&mut UnboundedReceiver<Heard>>) {
        let services = Arc::clone(&self.services);
        let mut ticks = tokio::time::interval(services.settings.cache.peers.look);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_begun = false;
        let mut is_told = false;
        loop {
            let heard = async {
                match &mut words {
                    Some(words) => words.recv().await.unwrap_or(Heard::Lost),
                    None => std::future::pending().await,
                }
            };
            let left_out = async {
                match services.cache.shared() {
                    Some(shared) => shared.left_out().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = heard => {
                    if self.hear(heard).await.is_err() {
                        return;
                    }
                }
                () = left_out => return,
                _ = ticks.tick() => {
                    let looked = async {
                        if !has_begun {
                            self.begin().await?;
                        }
                        Box::pin(self.look(words.as_deref_mut())).await
                    };
                    match looked.await {
                        Ok(()) => (has_begun, is_told) = (true, false),
                        Err(error) if !is_told => {
                            tracing::warn!(
                                %error, "what other servers have written is not known; it is tried again"
                            );
                            is_told = true;
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }

    /// Finds out from where on notes are to be read.
    async fn begin(&mut self) -> Result<(), LookError> {
        let cache = &self.services.cache;
        let known = self.services.settings.cache.peers.outbox / 2;
        if self.looked_at.is_none_or(|at| at.elapsed() > known) {
            // Notes may have been swept that nobody here has read.
            self.position = None;
        }
        self.is_new = self.position.is_none();
        let Some(shared) = cache.shared() else { return Ok(()) };
        // This may be another Redis, or another run of it.
        cache.peers().forget_all_heard();
        match shared.position().await? {
            Some(position) => {
                self.position = self.position.map(|own| own.min(position)).or(Some(position));
            }
            None => shared.purge(&[Change::Anything]).await?,
        }
        Ok(())
    }

    /// Sees to all notes that are there by now.
    async fn look(
        &mut self,
        words: Option<&mut UnboundedReceiver<Heard>>,
    ) -> Result<(), LookError> {
        let services = Arc::clone(&self.services);
        let (cache, shared) = (&services.cache, services.cache.shared());
        let peers = cache.peers();
        let (begun, at) = (peers.begin_look(), Instant::now());
        let session = self.database.session();
        let found = outbox_poll(&session, self.position).await;
        session.release().await;
        let found = found?;
        if self.position.is_some_and(|position| found.next_position < position) {
            // It is another database now, or an older state of it.
            self.see_to(&[Change::Anything], shared).await?;
        }
        if let Some(shared) = shared {
            // When Redis has answered, all that was told before it is here.
            shared.ping().await?;
        }
        if let Some(words) = words {
            while let Ok(heard) = words.try_recv() {
                self.hear(heard).await?;
            }
        }
        let read: HashSet<Uuid> = found.rows.iter().map(|row| row.id).collect();
        for row in found.rows {
            if !peers.has_heard(row.id) {
                self.see_to(&Change::read(row.changes), shared).await?;
                peers.hear(row.id);
            }
        }
        if let Some(shared) = shared {
            let known = services.settings.cache.peers.outbox / 2;
            shared.set_position(found.next_position, known).await?;
        }
        if std::mem::take(&mut self.is_new) {
            // Of notes that came before this look nothing is known.
            cache.purge(&[Change::Anything]).await;
        }
        self.position = Some(found.next_position);
        peers.forget_heard(self.looked_at.replace(at), &read);
        peers.end_look(begun);
        Ok(())
    }

    /// Another server told something.
    async fn hear(&self, heard: Heard) -> Result<(), Unanswered> {
        let peers = self.services.cache.peers();
        match heard {
            Heard::Said(Said::Changed { note, changes }) => {
                if self.see_to(&changes, None).await.is_ok() {
                    peers.hear(note);
                }
                Ok(())
            }
            Heard::Said(Said::Wrote { writers }) => {
                self.database.record_remote_writes(&writers);
                Ok(())
            }
            // Whatever it was, the next look finds it.
            Heard::Noise => Ok(()),
            Heard::Lost => Err(Unanswered),
        }
    }

    /// Drops what changes have made old, here and, if nobody else has seen to that, where it is shared.
    async fn see_to(&self, changes: &[Change], shared: Option<&Shared>) -> Result<(), LookError> {
        if let Some(shared) = shared {
            shared.purge(changes).await?;
        }
        self.services.cache.purge(changes).await;
        if changes.iter().any(Change::concerns_catalogue) {
            let session = self.database.session();
            Box::pin(reload_catalogue(&self.services, &session)).await?;
            session.release().await;
        }
        Ok(())
    }
}
