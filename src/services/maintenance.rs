//! Background maintenance, every few seconds or minutes: folds counter deltas, writes accesses of share
//! links, reloads reference data that another server's admin changed, deletes expired rows, and updates
//! SQLite's planner statistics. Each step may run in several processes at once, and a failed step is
//! retried at the next interval.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Interval, MissedTickBehavior};

use super::Services;
use super::catalogue::Catalogue;
use super::error::ServiceError;
use super::write_transaction::WriteTransaction;
use crate::cache::invalidation::InvalidationEvent;
use crate::cache::statistics::{HitRateMonitor, Lookups, LowHitRate};
use crate::db::audit_log::audit_log_sweep;
use crate::db::cache_outbox::outbox_sweep;
use crate::db::counters::counters_fold;
use crate::db::idempotency_keys::idempotency_keys_sweep;
use crate::db::login_sessions::logins_sweep;
use crate::db::login_throttles::login_throttles_sweep;
use crate::db::reference::reference_changed_at;
use crate::db::shares::shares_sweep;
use crate::db::{Database, Session};

/// Rows of one transaction, so that it stays short.
const BATCH: u64 = 500;

/// Runs all maintenance until `stop` completes, then folds the counters once more.
pub async fn run(services: Arc<Services>, database: Database, stop: impl Future<Output = ()>) {
    let content = &services.settings.content;
    let mut counters = ticks(content.counters_interval);
    let mut sweeps = ticks(content.sweep_interval);
    let mut hit_rates = HitRateMonitor::default();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = counters.tick() => {
                report("counters", fold_counters(&services, &database.session()).await);
                report("catalogue", refresh_catalogue(&services, &database.session()).await);
            }
            _ = sweeps.tick() => {
                services.rate_limits.evict_idle();
                services.refusal_pace.evict_idle();
                services.admission.evict_idle();
                services.token_revocations.evict_expired();
                let lookups = |policy| services.cache.lookups(policy);
                for LowHitRate { policy, lookups } in hit_rates.poll(lookups) {
                    let Lookups { hits, misses } = lookups;
                    tracing::warn!(policy = policy.name(), hits, misses, "low hit rate of a busy cache policy");
                }
                report("sweep", sweep(&services, &database.session()).await);
                report("optimize", database.optimize().await.map_err(Into::into));
            }
        }
    }
    report("counters", fold_counters(&services, &database.session()).await);
}

fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn report(task: &'static str, result: Result<(), ServiceError>) {
    if let Err(error) = result {
        tracing::warn!(%error, task, "maintenance failed; retrying at the next interval");
    }
}

/// Folds counter deltas into the counters, and writes accesses of share links.
pub async fn fold_counters(services: &Services, session: &Session) -> Result<(), ServiceError> {
    let now = services.clock.now();
    in_batches(|| {
        services
            .write(session, move |transaction| async move { fold_batch(&transaction, now).await })
    })
    .await?;
    services.share_accesses.flush(session).await?;
    session.release().await;
    Ok(())
}

/// Folds all counter deltas, those of this transaction included, so that counts change together with the lists.
pub(super) async fn fold_within(
    transaction: &WriteTransaction,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    in_batches(|| fold_batch(transaction, now)).await.map(drop)
}

async fn fold_batch(
    transaction: &WriteTransaction,
    now: DateTime<Utc>,
) -> Result<u64, ServiceError> {
    let folded = counters_fold(transaction, BATCH, now).await?;
    if folded > 0 {
        transaction.invalidate(InvalidationEvent::CountersFolded);
    }
    Ok(folded)
}

/// Deletes expired rows: logins with their tokens, forgotten wrong passwords, idempotency keys, closed share links, entries of the audit
/// log and of the outbox after their retention.
pub async fn sweep(services: &Services, session: &Session) -> Result<(), ServiceError> {
    let now = services.clock.now();
    let closed_end = now - services.settings.content.closed_share_retention;
    let mut swept = 0;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            logins_sweep(&transaction, now, BATCH).await
        })
    })
    .await?;
    let failures_end = now - services.settings.auth.failures_remembered();
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            login_throttles_sweep(&transaction, failures_end, BATCH).await
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
            shares_sweep(&transaction, closed_end, BATCH).await
        })
    })
    .await?;
    let audit_end = now - services.settings.content.audit_log_retention;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            audit_log_sweep(&transaction, audit_end, BATCH).await
        })
    })
    .await?;
    let outbox_end = now - services.settings.cache.coherence.outbox_retention;
    swept += in_batches(|| {
        session.transaction(move |transaction| async move {
            outbox_sweep(&transaction, outbox_end, BATCH).await
        })
    })
    .await?;
    if swept > 0 {
        tracing::info!(rows = swept, "deleted expired rows");
    }
    session.release().await;
    Ok(())
}

/// Repeats `batch` until it affects fewer than [`BATCH`] rows. Returns the sum of affected rows.
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

/// Reloads the reference data if it was changed in the database.
pub async fn refresh_catalogue(services: &Services, session: &Session) -> Result<(), ServiceError> {
    if reference_changed_at(session).await? != services.catalogue().changed_at() {
        reload_catalogue(services, session).await?;
        tracing::info!("reloaded reference data that another process changed");
    }
    session.release().await;
    Ok(())
}

/// Reloads the reference data, for subsequent requests.
pub async fn reload_catalogue(
    services: &Services,
    session: &Session,
) -> Result<Arc<Catalogue>, ServiceError> {
    let catalogue = Arc::new(Catalogue::load(session).await?);
    services.replace_catalogue(Arc::clone(&catalogue)).await;
    Ok(catalogue)
}
