//! Statements on throttles of logins: counters of wrong passwords, and the locks that they lead to.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CaseStatement, Expr, ExprTrait, LockType, OnConflict, Query, SimpleExpr, Value,
};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::bulk::{delete_up_to, insert};
use super::entities::login_throttles::{Column, Entity, Model};
use super::{DbError, Session, Transaction};

/// A subject whose passwords are not checked for a while.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LoginLock {
    /// Hash of the subject.
    pub subject: String,
    /// End of the lock.
    pub locked_until: DateTime<Utc>,
}

/// Schedule of locks at the time of a wrong password.
#[derive(Debug, Clone)]
pub struct LockSchedule {
    /// Failures that lead to the first lock.
    pub failures: i32,
    /// End of the lock after so many failures, one more, and so on. The last one is that of all further failures.
    pub ends: Vec<DateTime<Utc>>,
    /// Failures are forgotten if the last one was before this time.
    pub forgotten_before: DateTime<Utc>,
}

/// The locks of these subjects.
pub async fn login_locks(
    session: &Session,
    subjects: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<LoginLock>, DbError> {
    let query = Entity::find()
        .select_only()
        .columns([Column::Subject, Column::LockedUntil])
        .filter(Column::Subject.is_in(subjects))
        .filter(Column::LockedUntil.gt(now))
        .into_query();
    session.all("login_locks", &query).await
}

/// True if wrong passwords of any of these subjects are counted.
pub async fn login_failures_exist(session: &Session, subjects: &[String]) -> Result<bool, DbError> {
    let query = Entity::find()
        .select_only()
        .column(Column::Subject)
        .filter(Column::Subject.is_in(subjects))
        .limit(1)
        .into_query();
    Ok(!session.rows("login_failures_exist", &query).await?.is_empty())
}

/// A wrong password that was counted.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct LoginFailure {
    /// Hash of the subject.
    pub subject: String,
    /// End of the lock that it leads to, if it does.
    pub locked_until: Option<DateTime<Utc>>,
}

/// Counts a wrong password for subjects that are not locked, and returns those. Concurrent calls for a subject
/// wait for each other here, so that exactly as many are counted as lead to its lock.
pub async fn login_failure_record(
    transaction: &Transaction,
    subjects: &[String],
    schedule: &LockSchedule,
    now: DateTime<Utc>,
) -> Result<Vec<LoginFailure>, DbError> {
    let column = |column| Expr::col((Entity, column));
    // Locks of the first failure too, where one failure locks.
    let first = |subject: &String| Model {
        subject: subject.clone(),
        failures: 1,
        locked_until: schedule.ends.first().copied().filter(|_| schedule.failures <= 1),
        created_at: now,
        updated_at: now,
    };
    let is_forgotten = column(Column::UpdatedAt).lt(schedule.forgotten_before);
    let failures: SimpleExpr = CaseStatement::new()
        .case(is_forgotten, Expr::value(1))
        .finally(column(Column::Failures).add(1))
        .into();
    let is_unlocked =
        column(Column::LockedUntil).is_null().or(column(Column::LockedUntil).lte(now));
    // In one order, because two statements that lock the same rows in different orders would deadlock.
    let mut ordered: Vec<&String> = subjects.iter().collect();
    ordered.sort();
    let mut statement = insert(ordered.into_iter().map(first));
    statement
        .on_conflict(
            OnConflict::column(Column::Subject)
                .value(Column::LockedUntil, lock_end(&failures, schedule))
                .value(Column::Failures, failures)
                .value(Column::UpdatedAt, now)
                .action_and_where(is_unlocked)
                .to_owned(),
        )
        .returning(Query::returning().columns([Column::Subject, Column::LockedUntil]));
    transaction.returning("login_failure_record", &statement).await
}

/// End of the lock after that number of failures, or null.
fn lock_end(failures: &SimpleExpr, schedule: &LockSchedule) -> SimpleExpr {
    let none: Value = Option::<DateTime<Utc>>::None.into();
    let Some((last, growing)) = schedule.ends.split_last() else { return Expr::value(none) };
    let mut end =
        CaseStatement::new().case(failures.clone().lt(schedule.failures), Expr::value(none));
    for (count, growing) in (schedule.failures..).zip(growing) {
        end = end.case(failures.clone().eq(count), Expr::value(*growing));
    }
    end.finally(Expr::value(*last)).into()
}

/// Forgets the failures of subjects none of which is locked. Returns the locks if there are any.
pub async fn login_failures_clear(
    transaction: &Transaction,
    subjects: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<LoginLock>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        subject: String,
        locked_until: Option<DateTime<Utc>>,
    }
    let query = Entity::find()
        .select_only()
        .columns([Column::Subject, Column::LockedUntil])
        .filter(Column::Subject.is_in(subjects))
        // The order in which failures are recorded.
        .order_by_asc(Column::Subject)
        .lock(LockType::NoKeyUpdate)
        .into_query();
    let rows: Vec<Row> = transaction.all("login_throttles_locked", &query).await?;
    let is_empty = rows.is_empty();
    let locks: Vec<LoginLock> = rows
        .into_iter()
        .filter_map(|Row { subject, locked_until }| {
            let locked_until = locked_until.filter(|until| *until > now)?;
            Some(LoginLock { subject, locked_until })
        })
        .collect();
    if locks.is_empty() && !is_empty {
        let statement = Query::delete()
            .from_table(Entity)
            .and_where(Column::Subject.is_in(subjects))
            .to_owned();
        transaction.execute("login_failures_clear", &statement).await?;
    }
    Ok(locks)
}

/// Deletes up to `limit` counters whose last failure was before that time. Returns their number.
pub async fn login_throttles_sweep(
    transaction: &Transaction,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    let statement = delete_up_to::<Entity>(Column::Subject, Column::UpdatedAt.lt(before), limit);
    transaction.execute("login_throttles_sweep", &statement).await
}
