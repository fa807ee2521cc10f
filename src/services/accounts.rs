//! Accounts: registering, logging in, passwords, profiles, and the end of an account.
//!
//! Passwords are hashed and checked while no connection to the database is held, because that takes
//! longer than all statements together.

use std::net::IpAddr;

use chrono::SecondsFormat;
use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::idempotency::{Repeatable, Who, made_before};
use super::input::{Checks, Lines, is_invisible, normalized};
use super::logins::{self, Login};
use super::throttle::Key;
use super::writes::Write;
use crate::cache::changes::Change;
use crate::config::content::{BIO, DISPLAY_NAME, EMAIL, PASSWORD, USERNAME};
use crate::db::counters::{CounterDelta, counter_delta_insert, counter_delta_of_user};
use crate::db::entities::users;
use crate::db::login_sessions::logins_revoke_all;
use crate::db::users::{
    CredentialsRow, ProfileChange, Role, UserRow, ViewerLock, credentials_by_id,
    credentials_by_login, taken_names, user_delete, user_insert, user_login_failed,
    user_login_succeeded, user_password_change, user_profile_change, user_promote, viewer_locked,
};
use crate::db::{Session, Transaction};
use crate::domain::faction::FactionKey;
use crate::domain::user::fold_username;
use crate::domain::user_error::{UserError, UserErrorCode};
use crate::domain::voice::VoiceKey;

/// The karma of a new user.
const FIRST_KARMA: i16 = 50;
/// Characters that a display name may not have: they mean something to programs that show it.
const NOT_IN_DISPLAY_NAMES: &str = r"<>{}\|^~[]`";

/// Somebody who wants an account. It holds a password, so it has no `Debug`.
#[expect(missing_docs, reason = "a field an input")]
pub struct Registration {
    pub email: String,
    pub username: String,
    pub password: String,
    pub display_name: Option<String>,
    pub faction: FactionKey,
    pub idempotency_key: Option<String>,
}

/// What a repetition of a registration is told by; the password is checked instead.
#[derive(Serialize)]
struct Repeated<'a> {
    username: &'a str,
    display_name: Option<&'a str>,
    faction: FactionKey,
}

/// Makes an account and begins its first login.
///
/// # Errors
///
/// The input is refused, the e-mail address or username is taken, or a statement fails.
pub async fn register(
    session: &Session,
    services: &Services,
    address: IpAddr,
    registration: Registration,
) -> Result<(Login, Uuid), ServiceError> {
    services.throttle.registration(address)?;
    let (user, repeatable) = checked_registration(services, &registration)?;
    let password = registration.password;
    let hash = services.passwords.hash(password.clone()).await?;
    let user = users::Model { password_hash: hash, ..user };
    let repeatable = repeatable.as_ref();
    let made = services.write(session, |transaction| async move {
        let (id, is_new) = insert_user(&transaction, services, user, repeatable).await?;
        let login =
            if is_new { Some(logins::begin(&transaction, services, id).await?) } else { None };
        Ok((id, login))
    });
    let (id, login) = made.await?;
    if let Some(login) = login {
        return Ok((login, id));
    }
    let before = credentials_by_id(session, id).await?;
    let before = verified(session, services, before, password).await?;
    begin_login(session, services, before).await
}

/// Makes an account from the command line, without a login.
///
/// # Errors
///
/// The input is refused, the e-mail address or username is taken, or a statement fails.
pub async fn create(
    session: &Session,
    services: &Services,
    registration: Registration,
    is_admin: bool,
) -> Result<Uuid, ServiceError> {
    let (user, _) = checked_registration(services, &registration)?;
    let password_hash = services.passwords.hash(registration.password).await?;
    let user = users::Model { password_hash, is_admin, last_login_at: None, ..user };
    let made = services.write(session, |transaction| async move {
        insert_user(&transaction, services, user, None).await
    });
    Ok(made.await?.0)
}

/// Writes a user and answers their id, or that of the user whom the same request made before, and
/// whether they are new.
async fn insert_user(
    transaction: &Write,
    services: &Services,
    user: users::Model,
    repeatable: Option<&Repeatable>,
) -> Result<(Uuid, bool), ServiceError> {
    if let Some(id) = made_before(transaction, services, repeatable, user.id).await? {
        return Ok((id, false));
    }
    let (id, email, username) = (user.id, user.email.clone(), user.username.clone());
    transaction.changes(Change::UserRegistered { username: username.clone() });
    if !user_insert(transaction, user).await? {
        let taken = taken_names(transaction, &email, &username).await?;
        let mut checks = Checks::default();
        let mut refuse = |field: &str, what: &str| {
            let message = format!("this {what} is taken");
            checks.refuse(UserError::new(field, UserErrorCode::Taken, message));
        };
        if taken.email || !taken.username {
            refuse("email", "e-mail address");
        }
        if taken.username {
            refuse("username", "username");
        }
        checks.finish()?;
    }
    let delta = CounterDelta { users: 1, ..CounterDelta::default() };
    counter_delta_insert(transaction, delta, services.clock.now()).await?;
    Ok((id, true))
}

fn checked_registration(
    services: &Services,
    registration: &Registration,
) -> Result<(users::Model, Option<Repeatable>), ServiceError> {
    let now = services.clock.now();
    let mut checks = Checks::default();
    let email = checked_email(&mut checks, &registration.email);
    let username = checked_username(&mut checks, &registration.username);
    checked_password(&mut checks, "password", &registration.password);
    let display_name = registration.display_name.as_deref();
    let display_name = checked_display_name(&mut checks, display_name);
    checks.finish()?;
    let repeatable = Repeatable::new(
        Who::Newcomer { email: &email },
        "register",
        registration.idempotency_key.as_deref(),
        &Repeated {
            username: &username,
            display_name: display_name.as_deref(),
            faction: registration.faction,
        },
    )?;
    let user = users::Model {
        id: Uuid::now_v7(),
        email,
        username,
        display_name,
        password_hash: String::new(),
        bio: None,
        faction: registration.faction,
        karma_score: FIRST_KARMA,
        preferred_voice: VoiceKey::PipBoy,
        is_active: true,
        is_verified: false,
        is_admin: false,
        is_premium: false,
        failed_logins: 0,
        locked_until: None,
        last_login_at: Some(now),
        created_at: now,
        updated_at: now,
    };
    Ok((user, repeatable))
}

/// An e-mail address as it is stored and sought.
fn fold_email(email: &str) -> String {
    // Again, because there are letters that are composed in lower case only.
    normalized(&normalized(email).to_lowercase())
}

fn checked_email(checks: &mut Checks, email: &str) -> String {
    let email = checks.text("email", &fold_email(email), &EMAIL, Lines::One);
    // Whether mail arrives there is found out by sending some; this finds slips.
    let is_address = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.')
    });
    if EMAIL.contains(&email.chars().count())
        && (!is_address || email.contains(char::is_whitespace) || email.contains(is_invisible))
    {
        let message = "email must be an address such as ada@example.com";
        checks.refuse(UserError::new("email", UserErrorCode::Invalid, message));
    }
    email
}

fn checked_username(checks: &mut Checks, username: &str) -> String {
    let username = checks.text("username", &fold_username(username), &USERNAME, Lines::One);
    if username.contains('@') {
        let message = "username may not have an @, which e-mail addresses have";
        checks.refuse(UserError::new("username", UserErrorCode::Invalid, message));
    }
    if username.contains(is_invisible) {
        let message = "username may not have characters that show nothing";
        checks.refuse(UserError::new("username", UserErrorCode::Invalid, message));
    }
    username
}

fn checked_password(checks: &mut Checks, field: &str, password: &str) {
    let (count, min, max) = (password.chars().count(), *PASSWORD.start(), *PASSWORD.end());
    let (code, message) = if count == 0 {
        (UserErrorCode::Required, format!("{field} is missing"))
    } else if count < min {
        (
            UserErrorCode::TooShort,
            format!("{field} has {count} characters; it must have at least {min}"),
        )
    } else if count > max {
        (
            UserErrorCode::TooLong,
            format!("{field} has {count} characters; it may have at most {max}"),
        )
    } else {
        return;
    };
    let error = UserError::new(field, code, message);
    checks.refuse(error.within_count(&PASSWORD));
}

fn checked_display_name(checks: &mut Checks, name: Option<&str>) -> Option<String> {
    let name = checks.optional_text("displayName", name, &DISPLAY_NAME, Lines::One)?;
    if name.contains(|character| NOT_IN_DISPLAY_NAMES.contains(character)) {
        let message = format!("displayName may have none of {NOT_IN_DISPLAY_NAMES}");
        checks.refuse(UserError::new("displayName", UserErrorCode::Invalid, message));
    }
    Some(name)
}

/// Begins a login of the user with that e-mail address or username.
///
/// # Errors
///
/// `BAD_CREDENTIALS`, whatever is wrong; `ACCOUNT_LOCKED` only where the password is right; too many
/// attempts; or a statement fails.
pub async fn log_in(
    session: &Session,
    services: &Services,
    address: IpAddr,
    login: &str,
    password: String,
) -> Result<(Login, Uuid), ServiceError> {
    let login = if login.contains('@') { fold_email(login) } else { fold_username(login) };
    services.throttle.attempt(address)?;
    // PostgreSQL has no such texts and would fail on the question.
    let credentials =
        if login.contains('\0') { None } else { credentials_by_login(session, &login).await? };
    // One count for an account, however it is named.
    let key = credentials.as_ref().map_or_else(|| Key::name(&login), |row| Key::Account(row.id));
    services.throttle.known_failures(key)?;
    let credentials = match verified(session, services, credentials, password).await {
        Err(ServiceError::Refused(errors)) => {
            services.throttle.wrong_password(key);
            return Err(ServiceError::Refused(errors));
        }
        verified => verified?,
    };
    begin_login(session, services, credentials).await
}

/// Begins a login of a user whose password was given, unless the account is locked or has another
/// password by now.
async fn begin_login(
    session: &Session,
    services: &Services,
    credentials: CredentialsRow,
) -> Result<(Login, Uuid), ServiceError> {
    let begun = session.transaction(|transaction| async move {
        let CredentialsRow { id, password_hash, .. } = &credentials;
        let now = services.clock.now();
        if !user_login_succeeded(&transaction, *id, password_hash, now).await? {
            let is_now = credentials_by_id(&transaction, *id).await?;
            return Err(locked(is_now.and_then(|is_now| is_now.locked_until)));
        }
        Ok((logins::begin(&transaction, services, *id).await?, *id))
    });
    begun.await
}

/// The right password was given while the account is locked, or was changed at the same time.
fn locked(locked_until: Option<chrono::DateTime<chrono::Utc>>) -> ServiceError {
    let Some(until) = locked_until else { return bad_credentials() };
    let mut error = UserError::of_whole(
        UserErrorCode::AccountLocked,
        format!("the account is locked until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true)),
    );
    error.locked_until = Some(until);
    error.into()
}

fn bad_credentials() -> ServiceError {
    UserError::of_whole(UserErrorCode::BadCredentials, "the name or the password is wrong").into()
}

/// The credentials, if the password is theirs. If not, the failure is noted; for a name that nobody
/// has the same is done, to nobody.
async fn verified(
    session: &Session,
    services: &Services,
    credentials: Option<CredentialsRow>,
    password: String,
) -> Result<CredentialsRow, ServiceError> {
    session.release().await;
    let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
    let is_right = services.passwords.matches(password, hash).await?;
    if let Some(credentials) = credentials {
        if is_right {
            return Ok(credentials);
        }
        note_failure(session, services, credentials.id).await?;
    } else {
        note_failure(session, services, Uuid::nil()).await?;
    }
    Err(bad_credentials())
}

async fn note_failure(
    session: &Session,
    services: &Services,
    user: Uuid,
) -> Result<(), ServiceError> {
    let auth = &services.settings.auth;
    let now = services.clock.now();
    let times = (now, now + auth.lock_out);
    let noted = session.transaction(|transaction| async move {
        user_login_failed(&transaction, user, times, auth.login_failures).await
    });
    Ok(noted.await?)
}

/// The viewer's own credentials, if the password is theirs. Wrong ones count as at a login.
async fn verified_viewer(
    session: &Session,
    services: &Services,
    (viewer, address): (Uuid, IpAddr),
    (field, password): (&str, String),
) -> Result<CredentialsRow, ServiceError> {
    let name = Key::Account(viewer);
    services.throttle.attempt(address)?;
    services.throttle.known_failures(name)?;
    let credentials = credentials_by_id(session, viewer).await?;
    let credentials = credentials.ok_or(ServiceError::Unauthenticated)?;
    match verified(session, services, Some(credentials), password).await {
        Err(ServiceError::Refused(mut errors)) => {
            services.throttle.wrong_password(name);
            for error in &mut errors {
                error.field = vec![field.to_owned()];
                "the password is wrong".clone_into(&mut error.message);
            }
            Err(ServiceError::Refused(errors))
        }
        verified => unlocked(services, verified?),
    }
}

/// Refuses a right password while the account is locked.
fn unlocked(
    services: &Services,
    credentials: CredentialsRow,
) -> Result<CredentialsRow, ServiceError> {
    match credentials.locked_until {
        Some(until) if until > services.clock.now() => Err(locked(Some(until))),
        _ => Ok(credentials),
    }
}

/// Changes the viewer's password, ends all their logins and begins a new one.
///
/// # Errors
///
/// The old password is wrong, the new one is refused, or a statement fails.
pub async fn change_password(
    session: &Session,
    services: &Services,
    who: (Uuid, IpAddr),
    current: String,
    new: String,
) -> Result<Login, ServiceError> {
    let mut checks = Checks::default();
    checked_password(&mut checks, "newPassword", &new);
    checks.finish()?;
    let credentials = verified_viewer(session, services, who, ("currentPassword", current)).await?;
    let hash = services.passwords.hash(new).await?;
    let now = services.clock.now();
    let changed = session.transaction(|transaction| async move {
        let CredentialsRow { id, password_hash, .. } = &credentials;
        if !user_password_change(&transaction, *id, (password_hash, hash), now).await? {
            return Err(bad_credentials());
        }
        logins_revoke_all(&transaction, *id, now).await?;
        logins::begin(&transaction, services, *id).await
    });
    changed.await
}

/// What the viewer wants of their profile; `None` keeps, an inner `None` clears.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field an input")]
pub struct ProfileInput {
    pub username: Option<Option<String>>,
    pub display_name: Option<Option<String>>,
    pub bio: Option<Option<String>>,
    pub faction: Option<Option<FactionKey>>,
    pub preferred_voice: Option<Option<VoiceKey>>,
}

/// Changes the viewer's profile.
///
/// # Errors
///
/// The input is refused, the username is taken, or a statement fails.
pub async fn update_profile(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ProfileInput,
) -> Result<UserRow, ServiceError> {
    let mut checks = Checks::default();
    let ProfileInput { username, display_name, bio, faction, preferred_voice } = input;
    let change = ProfileChange {
        username: username.map(|name| checked_username(&mut checks, &name.unwrap_or_default())),
        display_name: display_name.map(|name| checked_display_name(&mut checks, name.as_deref())),
        bio: bio.map(|bio| checks.optional_text("bio", bio.as_deref(), &BIO, Lines::Many)),
        faction: checks.required("faction", faction),
        preferred_voice: checks.required("preferredVoice", preferred_voice),
    };
    checks.finish()?;
    let now = services.clock.now();
    let changed = services.write(session, |transaction| async move {
        // A new name is a new key: two that both held the row would each wait for the other to let go.
        let before = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        let username = change.username.clone().unwrap_or_else(|| before.username.clone());
        transaction
            .changes(Change::UserChanged { user: viewer, usernames: [before.username, username] });
        let changed = user_profile_change(&transaction, viewer, change, now).await?;
        changed.ok_or_else(|| {
            ServiceError::refused("username", UserErrorCode::Taken, "this username is taken")
        })
    });
    changed.await
}

/// Deletes the viewer's account and everything that is theirs.
///
/// # Errors
///
/// The password is wrong, or a statement fails.
pub async fn delete(
    session: &Session,
    services: &Services,
    who: (Uuid, IpAddr),
    password: String,
) -> Result<(), ServiceError> {
    let credentials = verified_viewer(session, services, who, ("password", password)).await?;
    let now = services.clock.now();
    let deleted = services.write(session, |transaction| async move {
        let id = credentials.id;
        let UserRow { username, .. } = lock_viewer(&transaction, id, ViewerLock::Exclusive).await?;
        transaction.changes(Change::UserDeleted { user: id, username });
        // Again, now that nobody changes it.
        let is_now = credentials_by_id(&transaction, id).await?;
        let is_now = unlocked(services, is_now.ok_or(ServiceError::Unauthenticated)?)?;
        if is_now.password_hash != credentials.password_hash {
            return Err(bad_credentials());
        }
        let delta = counter_delta_of_user(&transaction, id).await?.reversed();
        counter_delta_insert(&transaction, delta, now).await?;
        Ok(user_delete(&transaction, id).await?)
    });
    deleted.await
}

/// The viewer of a mutation, whose row the transaction holds from now on.
///
/// # Errors
///
/// They exist no more or are deactivated, or the statement fails.
pub(super) async fn lock_viewer(
    transaction: &Transaction,
    viewer: Uuid,
    lock: ViewerLock,
) -> Result<UserRow, ServiceError> {
    viewer_locked(transaction, viewer, lock).await?.ok_or(ServiceError::Unauthenticated)
}

/// Gives a user a role, from the command line; answers whether there is such a user.
///
/// # Errors
///
/// A statement fails.
pub async fn promote(
    session: &Session,
    services: &Services,
    username: &str,
    role: Role,
) -> Result<bool, ServiceError> {
    let (username, now) = (fold_username(username), services.clock.now());
    let promoted = session.transaction(|transaction| async move {
        user_promote(&transaction, &username, role, now).await
    });
    Ok(promoted.await?)
}
