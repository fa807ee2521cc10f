//! Accounts: registration, login, passwords, profiles and deletion.
//!
//! Passwords are hashed and verified while no database connection is held, because that takes longer
//! than all statements together.

use std::net::{IpAddr, Ipv4Addr};

use chrono::SecondsFormat;
use serde::Serialize;
use unicode_security::MixedScript;
use uuid::Uuid;

use super::Services;
use super::audit::{AuditEntry, log_failed_login};
use super::common_passwords::is_common;
use super::error::ServiceError;
use super::hash_queue::HashClient;
use super::idempotency::{IdempotentRequest, KeyOwner, claim_idempotency_key};
use super::login_throttles::{LoginAttempt, PasswordCheck};
use super::logins::{self, TokenPair};
use super::passwords;
use super::token_revocations::revoke_access_tokens;
use super::validation::{Lines, Validator, is_invisible, normalized};
use super::write_transaction::WriteTransaction;
use crate::cache::invalidation::InvalidationEvent;
use crate::config::content::{BIO, DISPLAY_NAME, EMAIL, PASSWORD, USERNAME};
use crate::db::counters::{CounterDelta, counter_delta_insert, counter_delta_of_user};
use crate::db::entities::users;
use crate::db::users::{
    CredentialsRow, ProfileChange, Role, TakenNames, UserRow, ViewerLock, credentials_by_id,
    credentials_by_login, has_look_alike, taken_names, user_delete, user_insert,
    user_login_succeeded, user_password_change, user_profile_change, user_promote, viewer_locked,
};
use crate::db::{Session, Transaction};
use crate::domain::audit::{AuditAction, AuditActor, AuditTarget};
use crate::domain::counted::counted;
use crate::domain::faction::FactionKey;
use crate::domain::search::fold_case;
use crate::domain::user::fold_username;
use crate::domain::user_error::{UserError, UserErrorCode};
use crate::domain::voice::VoiceKey;

/// Karma score of a new user.
const INITIAL_KARMA: i16 = 50;
const LOOK_ALIKE: &str = "this username looks like one that is taken";
/// Characters that are not allowed in a display name, because markup and shells interpret them.
const FORBIDDEN_IN_DISPLAY_NAMES: &str = r"<>{}\|^~[]`";

/// Input of a registration. It holds a password, so it has no `Debug`.
#[expect(missing_docs, reason = "a field an input")]
pub struct Registration {
    pub email: String,
    pub username: String,
    pub password: String,
    pub display_name: Option<String>,
    pub faction: FactionKey,
    pub idempotency_key: Option<String>,
}

/// Part of a registration that its idempotency key covers. The password is verified instead.
#[derive(Serialize)]
struct RegistrationFingerprint<'a> {
    username: &'a str,
    display_name: Option<&'a str>,
    faction: FactionKey,
}

/// Creates an account and its first login. Returns the tokens and the user's id.
///
/// # Errors
///
/// `UserErrors` for invalid input or a taken e-mail address or username, `RateLimited`, `Overloaded`.
pub async fn register(
    session: &Session,
    services: &Services,
    address: IpAddr,
    registration: Registration,
) -> Result<(TokenPair, Uuid), ServiceError> {
    services.rate_limits.check_registration(address)?;
    let (user, idempotent) = match checked_registration(services, &registration) {
        Ok(checked) => checked,
        Err(error) => return Err(with_taken_username(session, &registration, error).await?),
    };
    let password = registration.password;
    let hash = services.passwords.hash(HashClient::unknown(address), password.clone()).await?;
    let user = users::Model { password_hash: hash, ..user };
    let idempotent = idempotent.as_ref();
    let made = services.write(session, |transaction| async move {
        let (id, is_new) = insert_user(&transaction, services, user, idempotent).await?;
        let login = if is_new {
            Some(logins::begin(&transaction, services, id, address).await?)
        } else {
            None
        };
        Ok((id, login))
    });
    let (id, login) = made.await?;
    if let Some(login) = login {
        return Ok((login, id));
    }
    let before = credentials_by_id(session, id).await?;
    let attempt = LoginAttempt::by_account(id, address);
    let before = verified(session, services, &attempt, before, password).await?;
    begin_login(session, services, before, address).await
}

/// Creates an account from the command line, without a login.
///
/// # Errors
///
/// `UserErrors` for invalid input or a taken e-mail address or username.
pub async fn create(
    session: &Session,
    services: &Services,
    registration: Registration,
    role: Option<Role>,
) -> Result<Uuid, ServiceError> {
    let (user, _) = checked_registration(services, &registration)?;
    let client = HashClient::known(Ipv4Addr::LOCALHOST.into());
    let password_hash = services.passwords.hash(client, registration.password).await?;
    let user = users::Model {
        password_hash,
        is_admin: role == Some(Role::Admin),
        is_premium: role == Some(Role::Premium),
        last_login_at: None,
        ..user
    };
    let made = services.write(session, |transaction| async move {
        let (id, _) = insert_user(&transaction, services, user, None).await?;
        if let Some(role) = role {
            transaction.audit(role_granted(id, role), services.clock.now()).await?;
        }
        Ok(id)
    });
    made.await
}

/// Inserts a user. Returns its id and `true`, or `false` and the id of the user that an earlier request
/// with the same idempotency key created.
async fn insert_user(
    transaction: &WriteTransaction,
    services: &Services,
    user: users::Model,
    idempotent: Option<&IdempotentRequest>,
) -> Result<(Uuid, bool), ServiceError> {
    if let Some(id) = claim_idempotency_key(transaction, services, idempotent, user.id).await? {
        return Ok((id, false));
    }
    let (id, email, username) = (user.id, user.email.clone(), user.username.clone());
    transaction.invalidate(InvalidationEvent::UserRegistered { username: username.clone() });
    if !user_insert(transaction, user).await? {
        let taken = taken_names(transaction, &email, &username).await?;
        let username_error = taken_username_error(&taken);
        let mut validator = Validator::default();
        if taken.email || username_error.is_none() {
            let message = "this e-mail address is taken";
            validator.reject(UserError::new("email", UserErrorCode::Taken, message));
        }
        if let Some(error) = username_error {
            validator.reject(error);
        }
        validator.finish()?;
    }
    let delta = CounterDelta { users: 1, ..CounterDelta::default() };
    counter_delta_insert(transaction, delta, services.clock.now()).await?;
    Ok((id, true))
}

/// Adds a taken username to the user errors of a registration, so that a form shows all of them at once.
/// Usernames are public. E-mail addresses are not: of these only an attempt tells that has no other error.
async fn with_taken_username(
    session: &Session,
    registration: &Registration,
    error: ServiceError,
) -> Result<ServiceError, ServiceError> {
    let ServiceError::UserErrors(mut errors) = error else { return Ok(error) };
    let username = normalized(&fold_username(&registration.username));
    let is_valid = errors.iter().all(|error| error.field != ["username"]);
    if is_valid {
        errors.extend(taken_username_error(&taken_names(session, "", &username).await?));
    }
    Ok(ServiceError::UserErrors(errors))
}

fn taken_username_error(taken: &TakenNames) -> Option<UserError> {
    let message = match taken {
        TakenNames { username: true, .. } => "this username is taken",
        TakenNames { look_alike: true, .. } => LOOK_ALIKE,
        _ => return None,
    };
    Some(UserError::new("username", UserErrorCode::Taken, message))
}

fn checked_registration(
    services: &Services,
    registration: &Registration,
) -> Result<(users::Model, Option<IdempotentRequest>), ServiceError> {
    let now = services.clock.now();
    let mut validator = Validator::default();
    let email = checked_email(&mut validator, &registration.email);
    let username = checked_username(&mut validator, &registration.username);
    checked_password(&mut validator, "password", &registration.password);
    let display_name = registration.display_name.as_deref();
    let display_name = checked_display_name(&mut validator, display_name);
    validator.finish()?;
    let idempotent = IdempotentRequest::new(
        KeyOwner::Unregistered { email: &email },
        "register",
        registration.idempotency_key.as_deref(),
        &RegistrationFingerprint {
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
        karma_score: INITIAL_KARMA,
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
    Ok((user, idempotent))
}

/// Canonical form of an e-mail address, in which it is stored and compared.
fn fold_email(email: &str) -> String {
    // Normalized again, because some letters compose in lower case only.
    normalized(&normalized(email).to_lowercase())
}

fn checked_email(validator: &mut Validator, email: &str) -> String {
    let email = validator.text("email", &fold_email(email), &EMAIL, Lines::Single);
    // This finds typing errors; only a message that was sent proves that an address exists.
    let is_address = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.')
    });
    if validator.is_valid("email")
        && (!is_address || email.contains(char::is_whitespace) || email.contains(is_invisible))
    {
        let message = "email must be an address such as ada@example.com";
        validator.reject(UserError::new("email", UserErrorCode::Invalid, message));
    }
    email
}

fn checked_username(validator: &mut Validator, username: &str) -> String {
    let username = validator.text("username", &fold_username(username), &USERNAME, Lines::Single);
    if !validator.is_valid("username") {
        return username;
    }
    if username.contains('@') {
        let message = "username may not have an @, which e-mail addresses have";
        validator.reject(UserError::new("username", UserErrorCode::Invalid, message));
    }
    if username.contains(is_invisible) {
        let message = "username may not have characters that show nothing";
        validator.reject(UserError::new("username", UserErrorCode::Invalid, message));
    }
    if !username.is_single_script() {
        let message = "username may not mix letters of several scripts";
        validator.reject(UserError::new("username", UserErrorCode::Invalid, message));
    }
    username
}

fn checked_password(validator: &mut Validator, field: &str, password: &str) {
    let (count, min, max) = (passwords::length(password), *PASSWORD.start(), *PASSWORD.end());
    let (code, message) = if count == 0 {
        (UserErrorCode::Required, format!("{field} is missing"))
    } else if count < min {
        (
            UserErrorCode::TooShort,
            format!("{field} has {}; it must have at least {min}", counted(count, "character")),
        )
    } else if count > max {
        (
            UserErrorCode::TooLong,
            format!("{field} has {}; it must have at most {max}", counted(count, "character")),
        )
    } else {
        if is_common(password) {
            let message = format!("{field} is one of the most common passwords");
            validator.reject(UserError::new(field, UserErrorCode::TooCommon, message));
        }
        return;
    };
    let error = UserError::new(field, code, message);
    validator.reject(error.within_count(&PASSWORD));
}

fn checked_display_name(validator: &mut Validator, name: Option<&str>) -> Option<String> {
    let name = validator.optional_text("displayName", name, &DISPLAY_NAME, Lines::Single)?;
    if name.contains(|character| FORBIDDEN_IN_DISPLAY_NAMES.contains(character)) {
        let message = format!("displayName must have none of {FORBIDDEN_IN_DISPLAY_NAMES}");
        validator.reject(UserError::new("displayName", UserErrorCode::Invalid, message));
    }
    Some(name)
}

/// Logs in the user with that e-mail address or username.
///
/// # Errors
///
/// `BAD_CREDENTIALS` for an unknown name and for a wrong password alike; `ACCOUNT_LOCKED` only with the
/// right password; `RateLimited` after too many attempts.
pub async fn log_in(
    session: &Session,
    services: &Services,
    address: IpAddr,
    login: &str,
    password: String,
) -> Result<(TokenPair, Uuid), ServiceError> {
    let login = if login.contains('@') { fold_email(login) } else { fold_username(login) };
    services.rate_limits.check_login_attempt(address)?;
    // PostgreSQL rejects texts with NUL as parameters.
    let credentials =
        if login.contains('\0') { None } else { credentials_by_login(session, &login).await? };
    // All spellings of a username that find one account are throttled as one name.
    let name = if login.contains('@') { login } else { fold_case(&login) };
    let attempt = LoginAttempt::by_name(&name, credentials.as_ref().map(|row| row.id), address);
    let credentials = verified(session, services, &attempt, credentials, password).await?;
    begin_login(session, services, credentials, address).await
}

/// Starts a login of a user whose password was verified, unless the account was locked or its password
/// changed meanwhile.
async fn begin_login(
    session: &Session,
    services: &Services,
    credentials: CredentialsRow,
    address: IpAddr,
) -> Result<(TokenPair, Uuid), ServiceError> {
    let user = credentials.id;
    let begun = services.write(session, |transaction| async move {
        let CredentialsRow { id, password_hash, .. } = &credentials;
        let now = services.clock.now();
        if !user_login_succeeded(&transaction, *id, password_hash, now).await? {
            let is_now = credentials_by_id(&transaction, *id).await?;
            return Err(locked(is_now.and_then(|is_now| is_now.locked_until)));
        }
        let actor = AuditActor::User { id: *id, address };
        let entry = AuditEntry::new(AuditAction::LoggedIn, actor, AuditTarget::user(*id));
        transaction.audit(entry, now).await?;
        Ok((logins::begin(&transaction, services, *id, address).await?, *id))
    });
    let begun = begun.await;
    if matches!(begun, Err(ServiceError::UserErrors(_))) {
        log_failed_login(Some(user), address);
    }
    begun
}

/// Error for a verified password of an account that is locked, or whose password changed meanwhile.
fn locked(locked_until: Option<chrono::DateTime<chrono::Utc>>) -> ServiceError {
    let Some(until) = locked_until else { return bad_credentials() };
    let mut error = UserError::whole_input(
        UserErrorCode::AccountLocked,
        format!("the account is locked until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true)),
    );
    error.locked_until = Some(until);
    error.into()
}

fn bad_credentials() -> ServiceError {
    UserError::whole_input(UserErrorCode::BadCredentials, "the name or the password is wrong")
        .into()
}

/// Returns the credentials if the password is right. A wrong one is counted, and for an unknown name the same
/// work is done.
async fn verified(
    session: &Session,
    services: &Services,
    attempt: &LoginAttempt,
    credentials: Option<CredentialsRow>,
    password: String,
) -> Result<CredentialsRow, ServiceError> {
    let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
    let verify = async |client| Ok(services.passwords.verify(client, password, hash).await?);
    match (attempt.check(session, services, verify).await?, credentials) {
        (PasswordCheck::Right, Some(credentials)) => Ok(credentials),
        _ => Err(bad_credentials()),
    }
}

/// Returns the viewer's credentials if the password is right. Wrong passwords count as at a login.
async fn verified_viewer(
    session: &Session,
    services: &Services,
    client: Client,
    password: PasswordInput,
) -> Result<CredentialsRow, ServiceError> {
    services.rate_limits.check_login_attempt(client.address)?;
    let credentials = credentials_by_id(session, client.viewer).await?;
    let credentials = credentials.ok_or(ServiceError::Unauthenticated)?;
    let attempt = LoginAttempt::by_account(client.viewer, client.address);
    match verified(session, services, &attempt, Some(credentials), password.value).await {
        Err(ServiceError::UserErrors(mut errors)) => {
            for error in &mut errors {
                error.field = vec![password.field.to_owned()];
                "the password is wrong".clone_into(&mut error.message);
            }
            Err(ServiceError::UserErrors(errors))
        }
        verified => unlocked(services, verified?),
    }
}

/// Rejects verified credentials while the account is locked.
fn unlocked(
    services: &Services,
    credentials: CredentialsRow,
) -> Result<CredentialsRow, ServiceError> {
    match credentials.locked_until {
        Some(until) if until > services.clock.now() => Err(locked(Some(until))),
        _ => Ok(credentials),
    }
}

/// A signed-in viewer and the address of the request.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The viewer's user id.
    pub viewer: Uuid,
    /// Client address, for rate limits.
    pub address: IpAddr,
}

impl Client {
    /// The viewer as an actor of the audit log.
    #[must_use]
    pub const fn actor(self) -> AuditActor {
        AuditActor::User { id: self.viewer, address: self.address }
    }
}

/// A password with its input field, to which a user error refers. A secret, so it has no `Debug`.
struct PasswordInput {
    field: &'static str,
    value: String,
}

/// Changes the viewer's password, revokes all their logins and starts a new one.
///
/// # Errors
///
/// `UserErrors` for a wrong current or an invalid new password, `RateLimited`, `Overloaded`.
pub async fn change_password(
    session: &Session,
    services: &Services,
    client: Client,
    current: String,
    new: String,
) -> Result<TokenPair, ServiceError> {
    let mut validator = Validator::default();
    checked_password(&mut validator, "newPassword", &new);
    validator.finish()?;
    let current = PasswordInput { field: "currentPassword", value: current };
    let credentials = verified_viewer(session, services, client, current).await?;
    let hash = services.passwords.hash(HashClient::user(client.viewer), new).await?;
    let now = services.clock.now();
    let changed = services.write(session, |transaction| async move {
        let CredentialsRow { id, password_hash, .. } = &credentials;
        if !user_password_change(&transaction, *id, password_hash, hash, now).await? {
            return Err(bad_credentials());
        }
        logins::end_all(&transaction, *id, now).await?;
        logins::begin(&transaction, services, *id, client.address).await
    });
    changed.await
}

/// Changes of a profile: `None` leaves a field unchanged, `Some(None)` clears it.
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
/// `UserErrors` for invalid input or a taken username.
pub async fn update_profile(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ProfileInput,
) -> Result<UserRow, ServiceError> {
    let mut validator = Validator::default();
    let ProfileInput { username, display_name, bio, faction, preferred_voice } = input;
    let change = ProfileChange {
        username: username.map(|name| checked_username(&mut validator, &name.unwrap_or_default())),
        display_name: display_name
            .map(|name| checked_display_name(&mut validator, name.as_deref())),
        bio: bio.map(|bio| validator.optional_text("bio", bio.as_deref(), &BIO, Lines::Multiple)),
        faction: validator.required("faction", faction),
        preferred_voice: validator.required("preferredVoice", preferred_voice),
    };
    validator.finish()?;
    let now = services.clock.now();
    let changed = services.write(session, |transaction| async move {
        // A new username changes a unique key, which needs a stronger lock: two transactions that both
        // held KEY SHARE would deadlock.
        let before = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        if let Some(username) = &change.username
            && has_look_alike(&transaction, viewer, username).await?
        {
            let code = UserErrorCode::Taken;
            return Err(ServiceError::user_error("username", code, LOOK_ALIKE));
        }
        let username = change.username.clone().unwrap_or_else(|| before.username.clone());
        transaction.invalidate(InvalidationEvent::UserChanged {
            user: viewer,
            usernames: [before.username, username],
        });
        let changed = user_profile_change(&transaction, viewer, change, now).await?;
        changed.ok_or_else(|| {
            ServiceError::user_error("username", UserErrorCode::Taken, "this username is taken")
        })
    });
    changed.await
}

/// Deletes the viewer's account and all their data.
///
/// # Errors
///
/// `UserErrors` for a wrong password, `RateLimited`, `Overloaded`.
pub async fn delete(
    session: &Session,
    services: &Services,
    client: Client,
    password: String,
) -> Result<(), ServiceError> {
    let password = PasswordInput { field: "password", value: password };
    let credentials = verified_viewer(session, services, client, password).await?;
    let now = services.clock.now();
    let deleted = services.write(session, |transaction| async move {
        let id = credentials.id;
        let UserRow { username, .. } = lock_viewer(&transaction, id, ViewerLock::Exclusive).await?;
        transaction.invalidate(InvalidationEvent::UserDeleted { user: id, username });
        // Checked again under the lock.
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

/// Locks and returns the viewer's row, before any other row of the transaction.
///
/// # Errors
///
/// `Unauthenticated` if the viewer was deleted or deactivated.
pub(super) async fn lock_viewer(
    transaction: &Transaction,
    viewer: Uuid,
    lock: ViewerLock,
) -> Result<UserRow, ServiceError> {
    viewer_locked(transaction, viewer, lock).await?.ok_or(ServiceError::Unauthenticated)
}

/// Audit entry of a role that the command line has granted.
fn role_granted(user: Uuid, role: Role) -> AuditEntry {
    let detail = match role {
        Role::Admin => "admin",
        Role::Premium => "premium",
    };
    AuditEntry::new(AuditAction::RoleGranted, AuditActor::CommandLine, AuditTarget::user(user))
        .with_detail(detail.to_owned())
}

/// Gives a user a role, from the command line, and revokes the access tokens that they have. Returns `false` if
/// there is no such user.
pub async fn promote(
    session: &Session,
    services: &Services,
    username: &str,
    role: Role,
) -> Result<bool, ServiceError> {
    let (username, now) = (fold_username(username), services.clock.now());
    let promoted = services.write(session, |transaction| async move {
        let user = user_promote(&transaction, &username, role, now).await?;
        if let Some(user) = user {
            revoke_access_tokens(&transaction, user, now).await?;
            transaction.audit(role_granted(user, role), now).await?;
        }
        Ok(user.is_some())
    });
    promoted.await
}
