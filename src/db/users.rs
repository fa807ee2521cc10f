//! Statements on users.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    Expr, ExprTrait, IntoColumnRef, LockType, OnConflict, Order, Query, SimpleExpr,
    UpdateStatement, Value,
};
use sea_orm::{
    ColumnTrait, Condition, DerivePartialModel, EntityTrait, FromQueryResult, PartialModelTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use search_text::{fold_case, skeleton};
use uuid::Uuid;

use super::bulk::{Searched, insert_searched};
use super::counters::touch_site_stats;
use super::entities::users::{Column, Entity, Model};
use super::query::count::exists;
use super::query::keyset::{AccessPath, Keyset, KeysetList, page_of_rows};
use super::query::membership::is_one_of;
use super::query::set;
use super::query::text::contains;
use super::{DbError, Session, Transaction};
use crate::domain::faction::FactionKey;
use crate::domain::page::{Page, PageRequest};
use crate::domain::voice::VoiceKey;

/// The columns of a user that requests read: those that some viewer may see, never the password.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct UserRow {
    pub id: Uuid,
    pub email: String,
    pub username: String,
    pub display_name: Option<String>,
    pub bio: Option<String>,
    pub faction: FactionKey,
    pub karma_score: i16,
    pub preferred_voice: VoiceKey,
    pub is_active: bool,
    pub is_admin: bool,
    pub is_premium: bool,
    pub created_at: DateTime<Utc>,
}

fn users() -> Select<Entity> {
    UserRow::select_cols(Entity::find().select_only())
}

/// The users with these ids.
///
/// SQL: `users_of_readings.snap`, `viewer.snap`.
pub async fn users_by_id(session: &Session, ids: &[Uuid]) -> Result<Vec<UserRow>, DbError> {
    let query = users().filter(is_one_of(session.dialect(), Column::Id, ids)).into_query();
    session.all("users_by_id", &query).await
}

/// The active user with a folded username.
///
/// SQL: `user.snap`.
pub async fn user_by_username(
    session: &Session,
    username: &str,
) -> Result<Option<UserRow>, DbError> {
    // PostgreSQL cannot store such a text and fails on a comparison with it.
    if username.contains('\0') {
        return Ok(None);
    }
    let query = users()
        .filter(Column::Username.eq(username))
        .filter(Column::IsActive.eq(true))
        .into_query();
    session.one("user_by_username", &query).await
}

/// True if that column, which is never null, is the id of a user who is not deactivated. The few deactivated ones
/// are read once for a statement, from an index of their own, and each row is looked up among them in memory: an
/// index of readings serves the rest of the condition as if this were not there, and one committed row changes
/// what everybody sees of a user.
pub(super) fn is_of_active_user(column: impl IntoColumnRef) -> SimpleExpr {
    let inactive = Query::select()
        .column((Entity, Column::Id))
        .from(Entity)
        // The same expression as in the index.
        .and_where(Expr::col((Entity, Column::IsActive)).not())
        .to_owned();
    Expr::col(column).not_in_subquery(inactive)
}

/// The users with these ids, deactivated ones included, locked until the end of the transaction: in the order of
/// their ids, so that two transactions that lock the same users do not deadlock.
pub async fn users_locked(
    transaction: &Transaction,
    ids: &[Uuid],
    lock: ViewerLock,
) -> Result<Vec<UserRow>, DbError> {
    let query = users()
        .filter(is_one_of(transaction.dialect(), Column::Id, ids))
        .order_by_asc(Column::Id)
        .lock(lock.into())
        .into_query();
    transaction.all("users_locked", &query).await
}

/// Activates or deactivates a user.
pub async fn user_set_active(
    transaction: &Transaction,
    id: Uuid,
    is_active: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut statement = update(id);
    statement.value(Column::IsActive, is_active).value(Column::UpdatedAt, now);
    transaction.execute("user_set_active", &statement).await.map(drop)
}

/// Strength of a lock on the viewer's row, until the end of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewerLock {
    /// The user cannot be deleted. Other transactions may lock the row in the same way.
    Shared,
    /// As [`Self::Shared`], and one transaction at a time: a user's bulk writes run one after another,
    /// because two that lock the same rows in different orders would deadlock.
    Serialized,
    /// No other lock at the same time: the user is about to be deleted or deactivated.
    Exclusive,
}

impl From<ViewerLock> for LockType {
    fn from(lock: ViewerLock) -> Self {
        match lock {
            ViewerLock::Shared => Self::KeyShare,
            ViewerLock::Serialized => Self::NoKeyUpdate,
            ViewerLock::Exclusive => Self::Update,
        }
    }
}

/// The viewer of a mutation, if the account exists and is active. The first row that a transaction
/// locks.
pub async fn viewer_locked(
    transaction: &Transaction,
    id: Uuid,
    lock: ViewerLock,
) -> Result<Option<UserRow>, DbError> {
    let query = users()
        .filter(Column::Id.eq(id))
        .filter(Column::IsActive.eq(true))
        .lock(lock.into())
        .into_query();
    transaction.one("viewer_locked", &query).await
}

/// The columns that decide a login.
#[derive(Debug, FromQueryResult)]
#[expect(missing_docs, reason = "a field a column")]
pub struct CredentialsRow {
    pub id: Uuid,
    pub password_hash: String,
    pub locked_until: Option<DateTime<Utc>>,
}

/// The credentials of the active user with a folded e-mail address, or with a username that differs from a folded one
/// in case only.
pub async fn credentials_by_login(
    session: &Session,
    login: &str,
) -> Result<Option<CredentialsRow>, DbError> {
    // A username has no `@`, so the login is unambiguous.
    let query = if login.contains('@') {
        credentials().filter(Column::Email.eq(login))
    } else {
        // Some names have two lower cases, in which they are stored: `ΝΙΚΟΣ7` is `νικοσ7` and `νικος7`. The unique
        // skeleton finds the user with either. Older look-alikes have none, and only their own form.
        let is_own_form = Column::Username.eq(login);
        let is_spelling = Expr::col(USERNAME_SKELETON)
            .eq(skeleton(login))
            .and(Expr::col(SEARCH_USERNAME).eq(fold_case(login)));
        credentials()
            .filter(is_own_form.clone().or(is_spelling))
            .order_by(is_own_form, Order::Desc)
            .limit(1)
    };
    session.one("credentials_by_login", &query.into_query()).await
}

/// The credentials of an active user.
pub async fn credentials_by_id(
    session: &Session,
    id: Uuid,
) -> Result<Option<CredentialsRow>, DbError> {
    let query = credentials().filter(Column::Id.eq(id)).into_query();
    session.one("credentials_by_id", &query).await
}

fn credentials() -> Select<Entity> {
    Entity::find()
        .select_only()
        .columns([Column::Id, Column::PasswordHash, Column::LockedUntil])
        .filter(Column::IsActive.eq(true))
}

/// Columns of the folded names, see `search_text`.
const SEARCH_USERNAME: &str = "search_username";
const SEARCH_DISPLAY_NAME: &str = "search_display_name";
const SEARCH_EMAIL: &str = "search_email";

/// Form that look-alikes of a username share.
const USERNAME_SKELETON: &str = "username_skeleton";
/// Columns that the operators' search compares.
const SEARCHED_NAMES: [&str; 3] = [SEARCH_USERNAME, SEARCH_DISPLAY_NAME, SEARCH_EMAIL];

impl Searched for Model {
    const SEARCH_COLUMNS: &'static [&'static str] =
        &[SEARCH_USERNAME, SEARCH_DISPLAY_NAME, SEARCH_EMAIL, USERNAME_SKELETON];

    fn search_texts(&self) -> Vec<Value> {
        let display_name = self.display_name.as_deref().map(fold_case);
        vec![
            fold_case(&self.username).into(),
            display_name.into(),
            fold_case(&self.email).into(),
            skeleton(&self.username).into(),
        ]
    }
}

/// Inserts a user, unless the e-mail address, the username or a look-alike of it is taken. Returns whether it was inserted.
pub async fn user_insert(transaction: &Transaction, user: Model) -> Result<bool, DbError> {
    let mut statement = insert_searched([user]);
    statement.on_conflict(OnConflict::new().do_nothing().to_owned());
    Ok(transaction.execute("user_insert", &statement).await? == 1)
}

/// Which of an e-mail address and a username are taken.
#[derive(Debug, FromQueryResult)]
#[expect(missing_docs, reason = "a field a name")]
pub struct TakenNames {
    pub email: bool,
    pub username: bool,
    /// A look-alike of the username, or the username itself.
    pub look_alike: bool,
}

/// Names of a registration that some user has already, by folded e-mail address and username.
pub async fn taken_names(
    session: &Session,
    email: &str,
    username: &str,
) -> Result<TakenNames, DbError> {
    let has = |condition| exists(Query::select().from(Entity).and_where(condition));
    let query = Query::select()
        .expr_as(has(Column::Email.eq(email)), "email")
        .expr_as(has(Column::Username.eq(username)), "username")
        .expr_as(has(Expr::col(USERNAME_SKELETON).eq(skeleton(username))), "look_alike")
        .to_owned();
    let taken = session.one("taken_names", &query).await?;
    Ok(taken.unwrap_or(TakenNames { email: false, username: false, look_alike: false }))
}

/// True if another user has a username that looks like this one and is not the same.
pub async fn has_look_alike(
    session: &Session,
    user: Uuid,
    username: &str,
) -> Result<bool, DbError> {
    let query = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col(USERNAME_SKELETON).eq(skeleton(username)))
        .and_where(Column::Username.ne(username))
        .and_where(Column::Id.ne(user))
        .to_owned();
    Ok(!session.rows("has_look_alike", &query).await?.is_empty())
}

/// Records a successful login, which resets the failures. Returns `false` if the account is locked, or the
/// password has changed meanwhile.
pub async fn user_login_succeeded(
    transaction: &Transaction,
    id: Uuid,
    password_hash: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let mut statement = update(id);
    statement
        .value(Column::FailedLogins, 0)
        .value(Column::LockedUntil, Option::<DateTime<Utc>>::None)
        .value(Column::LastLoginAt, now)
        .and_where(Column::PasswordHash.eq(password_hash))
        .and_where(is_unlocked(now))
        .and_where(Column::IsActive.eq(true));
    Ok(transaction.execute("user_login_succeeded", &statement).await? == 1)
}

/// Counts a wrong password.
pub async fn user_login_failed(
    transaction: &Transaction,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut statement = update(id);
    statement.value(Column::FailedLogins, Expr::col(Column::FailedLogins).add(1));
    if transaction.execute("user_login_failed", &statement).await? == 0 {
        // No user: an update without an effect, so that it takes the same time.
        touch_site_stats(transaction, now).await?;
    }
    Ok(())
}

fn is_unlocked(now: DateTime<Utc>) -> SimpleExpr {
    Column::LockedUntil.is_null().or(Column::LockedUntil.lte(now))
}

fn update(id: Uuid) -> UpdateStatement {
    Query::update().table(Entity).and_where(Column::Id.eq(id)).to_owned()
}

/// Changes a password, unless it was changed or the account was locked meanwhile. Returns whether it was
/// changed.
pub async fn user_password_change(
    transaction: &Transaction,
    id: Uuid,
    from_hash: &str,
    to_hash: String,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let mut statement = update(id);
    statement
        .value(Column::PasswordHash, to_hash)
        .value(Column::FailedLogins, 0)
        .value(Column::UpdatedAt, now)
        .and_where(Column::PasswordHash.eq(from_hash))
        .and_where(is_unlocked(now))
        .and_where(Column::IsActive.eq(true));
    Ok(transaction.execute("user_password_change", &statement).await? == 1)
}

/// Changes of a profile; `None` leaves a column unchanged.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field a column")]
pub struct ProfileChange {
    pub username: Option<String>,
    pub display_name: Option<Option<String>>,
    pub bio: Option<Option<String>>,
    pub faction: Option<FactionKey>,
    pub preferred_voice: Option<VoiceKey>,
}

/// Updates a profile. Returns `None` if another user has the username; the caller must then roll back.
pub async fn user_profile_change(
    transaction: &Transaction,
    id: Uuid,
    change: ProfileChange,
    now: DateTime<Utc>,
) -> Result<Option<UserRow>, DbError> {
    let mut statement = update(id);
    statement.value(Column::UpdatedAt, now);
    if let Some(username) = change.username {
        // A concurrent insert of the same name violates the unique index.
        let others = Query::select()
            .expr(Expr::value(1))
            .from_as(Entity, "others")
            .and_where(Expr::col(("others", Column::Username)).eq(username.clone()))
            .and_where(Expr::col(("others", Column::Id)).ne(id))
            .to_owned();
        statement
            .value(SEARCH_USERNAME, fold_case(&username))
            .value(USERNAME_SKELETON, skeleton(&username))
            .value(Column::Username, username)
            .and_where(Expr::exists(others).not());
    }
    let display_name = change.display_name.as_ref().map(|name| name.as_deref().map(fold_case));
    set(&mut statement, SEARCH_DISPLAY_NAME, display_name);
    set(&mut statement, Column::DisplayName, change.display_name);
    set(&mut statement, Column::Bio, change.bio);
    set(&mut statement, Column::Faction, change.faction);
    set(&mut statement, Column::PreferredVoice, change.preferred_voice);
    match transaction.execute("user_profile_change", &statement).await {
        Ok(0) => return Ok(None),
        Err(error) if error.is_unique_violation() => return Ok(None),
        changed => changed?,
    };
    let query = users().filter(Column::Id.eq(id)).into_query();
    transaction.one("user_by_id", &query).await
}

/// Deletes a user and all of their data.
pub async fn user_delete(transaction: &Transaction, id: Uuid) -> Result<(), DbError> {
    let statement = Query::delete().from_table(Entity).and_where(Column::Id.eq(id)).to_owned();
    transaction.execute("user_delete", &statement).await.map(drop)
}

/// A role, assigned by the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An operator.
    Admin,
    /// A user with the larger daily limit.
    Premium,
}

/// Assigns a role to a user. Returns the id of the user, if there is one.
pub async fn user_promote(
    transaction: &Transaction,
    username: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
    }
    let column = match role {
        Role::Admin => Column::IsAdmin,
        Role::Premium => Column::IsPremium,
    };
    let statement = Query::update()
        .table(Entity)
        .value(column, true)
        .value(Column::UpdatedAt, now)
        .and_where(Column::Username.eq(username))
        .returning(Query::returning().column(Column::Id))
        .to_owned();
    let rows: Vec<Row> = transaction.returning("user_promote", &statement).await?;
    Ok(rows.first().map(|row| row.id))
}

/// Locks a user until `locked_until`, or unlocks them; either resets the failures. Returns whether the user
/// exists.
pub async fn user_set_lock(
    transaction: &Transaction,
    id: Uuid,
    locked_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let mut statement = update(id);
    statement
        .value(Column::LockedUntil, locked_until)
        .value(Column::FailedLogins, 0)
        .value(Column::UpdatedAt, now);
    Ok(transaction.execute("user_set_lock", &statement).await? == 1)
}

/// A user with the columns for operators.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct AdminUserRow {
    pub user: UserRow,
    pub locked_until: Option<DateTime<Utc>>,
    pub failed_logins: i32,
    pub last_login_at: Option<DateTime<Utc>>,
}

impl FromQueryResult for AdminUserRow {
    fn from_query_result(row: &sea_orm::QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        Ok(Self {
            user: UserRow::from_query_result(row, prefix)?,
            locked_until: row.try_get(prefix, "locked_until")?,
            failed_logins: row.try_get(prefix, "failed_logins")?,
            last_login_at: row.try_get(prefix, "last_login_at")?,
        })
    }
}

fn admin_users() -> Select<Entity> {
    users().columns([Column::LockedUntil, Column::FailedLogins, Column::LastLoginAt])
}

/// A user with the columns for operators, by id.
pub async fn admin_user_by_id(
    session: &Session,
    id: Uuid,
) -> Result<Option<AdminUserRow>, DbError> {
    let query = admin_users().filter(Column::Id.eq(id)).into_query();
    session.one("admin_user_by_id", &query).await
}

/// Keyset of a user in the list of all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserKey {
    /// Time of registration.
    pub created_at: DateTime<Utc>,
    /// Id, which orders users of the same time.
    pub id: Uuid,
}

/// Filter of the operators' list of users.
#[derive(Debug, Clone, Default)]
pub struct AdminUserFilter {
    /// Part of the username, display name or e-mail address.
    pub search: Option<String>,
    /// Lock state, and the time for which it is determined.
    pub is_locked: Option<(bool, DateTime<Utc>)>,
}

/// A page of all users, the newest first.
pub async fn admin_users_page(
    session: &Session,
    request: &PageRequest<UserKey>,
    filter: &AdminUserFilter,
) -> Result<Page<AdminUserRow>, DbError> {
    const STATEMENT: &str = "admin_users_page";
    let searched = filter.search.as_ref().map(|search| {
        let term = fold_case(search);
        SEARCHED_NAMES.iter().fold(Condition::any(), |any, column| {
            any.add(contains(session.dialect(), (Entity, *column).into_column_ref(), &term))
        })
    });
    let locked = filter.is_locked.map(|(is_locked, now)| {
        let unlocked = is_unlocked(now);
        if is_locked { unlocked.not() } else { unlocked }
    });
    let list = KeysetList {
        rows: admin_users().into_query(),
        condition: Condition::all().add_option(searched).add_option(locked),
        keyset: Keyset {
            columns: vec![((Entity, Column::CreatedAt).into_column_ref(), "created_at")],
            id: ((Entity, Column::Id).into_column_ref(), "id"),
            order: Order::Desc,
        },
        access: AccessPath::Ordered,
        count_limit: None,
    };
    let key = request.key.map(|key| [key.created_at.into(), key.id.into()]);
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    let rows = session.rows(STATEMENT, &query).await?;
    page_of_rows(request, &rows, |row, _| AdminUserRow::from_query_result(row, ""))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// True if there is any user, active or not.
pub async fn has_users(session: &Session) -> Result<bool, DbError> {
    let query = Entity::find().select_only().column(Column::Id).limit(1).into_query();
    Ok(!session.rows("has_users", &query).await?.is_empty())
}
