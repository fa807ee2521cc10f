//! What is done every few seconds or minutes, whoever asks for what: counters are brought up to date,
//! accesses of share links are written, cards and spreads that another server's admin changed are
//! read, what has expired is deleted, and
//! SQLite looks at how its tables have grown. Each step may be done by
//! several processes at once, and may fail and be done the next time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use super::Services;
use super::catalogue::Catalogue;
use super::error::ServiceError;
use crate::cache::changes::Change;
use crate::cache::statistics::{HitRateWatch, Lookups};
use crate::db::cache_outbox::outbox_sweep;
use crate::db::counters::counters_fold;
use crate::db::idempotency_keys::idempotency_keys_sweep;
use crate::db::login_sessions::logins_sweep;
use crate::db::reference::reference_changed_at;
use crate::db::shares::shares_sweep;
use crate::db::{Database, Session};

/// Rows that one transaction takes, so that it stays short.
const BATCH: u64 = 500;

/// Does what is to be done, again and again, until `stop` is done; then once more.
pub async fn keep_up(services: Arc<Services>, database: Database, stop: impl Future<Output = ()>) {
    let content = &services.settings.content;
    let mut counters = ticks(content.counters_interval);
    let mut sweeps = ticks(content.sweep_interval);
    let mut hit_rates = HitRateWatch::default();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = counters.tick() => {
                report("counters", bring_up_to_date(&services, &database.session()).await);
                report("catalogue", renew_catalogue(&services, &database.session()).await);
            }
            _ = sweeps.tick() => {
                services.throttle.forget_idle();
                for (row, Lookups { hits, misses }) in hit_rates.look(&services.cache) {
                    let row = row.name();
                    tracing::warn!(row, hits, misses, "few lookups of a busy row of the cache are hits");
                }
                report("sweep", sweep(&services, &database.session()).await);
                report("optimize", database.optimize().await.map_err(Into::into));
            }
        }
    }
    report("counters", bring_up_to_date(&services, &database.session()).await);
}

fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn report(what: &'static str, result: Result<(), ServiceError>) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "the upkeep failed and is tried again");
    }
}

/// Folds what was written into the counters, and writes accesses of share links.
///
/// # Errors
///
/// A statement fails.
pub async fn bring_up_to_date(services: &Services, session: &Session) -> Result<(), ServiceError> {
    let now = services.clock.now();
    in_batches(|| {
        services.write(session, move |transaction| async move {
            let folded = counters_fold(&transaction, BATCH, now).await?;
            if folded > 0 {
                transaction.changes(Change::CountersFolded);
            }
            Ok(folded)
        })
    })
    .await?;
    services.share_accesses.write(session).await?;
    session.release().await;
    Ok(())
}

/// Deletes what has expired: logins with their tokens, idempotency keys, share links that have been over
/// for long enough, and notes of what writes have made old.
///
/// # Errors
///
/// A statement fails.
pub async fn sweep(services: &Services, session: &Session) -> Result<(), ServiceError> {
    let now = services.clock.now();
    let closed = now - services.settings.content.closed_share_retention;
    let mut swept = 0;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            logins_sweep(&transaction, now, BATCH).await
        })
    })
    .await?;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            idempotency_keys_sweep(&transaction, now, BATCH).await
        })
    })
    .await?;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            shares_sweep(&transaction, closed, BATCH).await
        })
    })
    .await?;
    let noted = now - services.settings.cache.peers.outbox;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            outbox_sweep(&transaction, noted, BATCH).await
        })
    })
    .await?;
    if swept > 0 {
        tracing::info!(rows = swept, "deleted what had expired");
    }
    session.release().await;
    Ok(())
}

/// Does a batch again for as long as there was a whole one. Answers the sum.
async fn in_batches<E, F: Future<Output = Result<u64, E>>>(
    mut batch: impl FnMut() -> F,
) -> Result<u64, E> {
    let mut sum = 0;
    loop {
        let rows = batch().await?;
        sum += rows;
        if rows < BATCH {
            return Ok(sum);
        }
    }
}

/// Reads the reference data anew if somebody has changed it.
///
/// # Errors
///
/// A statement fails.
pub async fn renew_catalogue(services: &Services, session: &Session) -> Result<(), ServiceError> {
    if reference_changed_at(session).await? != services.catalogue().changed_at() {
        reload_catalogue(services, session).await?;
        tracing::info!("cards and spreads were changed elsewhere, and read anew");
    }
    session.release().await;
    Ok(())
}

/// Reads the reference data anew, for requests from now on.
///
/// # Errors
///
/// A statement fails.
pub async fn reload_catalogue(
    services: &Services,
    session: &Session,
) -> Result<Arc<Catalogue>, ServiceError> {
    let catalogue = Arc::new(Catalogue::load(session).await?);
    services.replace_catalogue(Arc::clone(&catalogue)).await;
    Ok(catalogue)
}
