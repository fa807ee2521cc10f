//! Mutations of accounts and sessions.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use std::sync::Arc;

use crate::db::users::UserRow;
use crate::graphql::context::{CookieChange, RequestContext, begin_mutation};
use crate::graphql::enums::{FactionKey, VoiceKey};
use crate::graphql::errors::{ApiError, split_user_errors, without_user_errors};
use crate::graphql::id::GlobalId;
use crate::graphql::scalars::DateTime;
use crate::graphql::user::User;
use crate::graphql::user_error::UserError;
use crate::services::accounts::{self, Client, ProfileInput, Registration};
use crate::services::logins::{self, LogoutScope, LogoutTarget, TokenPair};
use crate::services::session_cookie::{check_login, check_use};

/// Mutations of accounts and sessions.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Create an account and log in. An `Authorization` header is ignored.
    async fn register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Account to create.")] input: RegisterInput,
    ) -> Option<Result<RegisterPayload, ApiError>> {
        Some(register(begin_mutation(context), input).await)
    }

    /// Log in by e-mail address or username. A wrong name and a wrong password give the same
    /// response after the same work. After five wrong passwords the client's network waits before it
    /// may try this account again, from a minute to an hour (`RATE_LIMITED` with `retryAfterMs`). One
    /// password per request. An `Authorization` header is ignored.
    async fn login(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Credentials.")] input: LoginInput,
    ) -> Option<Result<LoginPayload, ApiError>> {
        Some(login(begin_mutation(context), input).await)
    }

    /// Exchange a refresh token for a new pair of tokens. A token can be exchanged again for 30
    /// seconds after its first use, by other tabs or after a lost response; later reuse ends the
    /// session. Of several new tokens, the first that is used after these 30 seconds ends the others.
    /// An `Authorization` header is ignored.
    async fn refresh_session(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Session to refresh.")] input: RefreshSessionInput,
    ) -> Option<Result<RefreshSessionPayload, ApiError>> {
        Some(refresh_session(begin_mutation(context), input).await)
    }

    /// End a session: that of the refresh token, of the cookie, or of the access token; or all
    /// sessions of that user. Its access token stays valid until it expires; with `everywhere` all access
    /// tokens of the user end at once. An invalid `Authorization` header is ignored.
    async fn logout(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Session to end.")] input: LogoutInput,
    ) -> Option<Result<LogoutPayload, ApiError>> {
        Some(logout(begin_mutation(context), input).await)
    }

    /// Change the viewer's password, end all of their sessions and access tokens, and start a new session.
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Current and new password.")] input: ChangePasswordInput,
    ) -> Option<Result<ChangePasswordPayload, ApiError>> {
        Some(change_password(begin_mutation(context), input).await)
    }

    /// Change the viewer's profile. Absent fields are unchanged; null clears a field where that is
    /// allowed.
    async fn update_profile(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Fields to change.")] input: UpdateProfileInput,
    ) -> Option<Result<UpdateProfilePayload, ApiError>> {
        Some(update_profile(begin_mutation(context), input).await)
    }

    /// Delete the viewer's account with their readings and all other data.
    async fn delete_account(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Password of the account.")] input: DeleteAccountInput,
    ) -> Option<Result<DeleteAccountPayload, ApiError>> {
        Some(delete_account(begin_mutation(context), input).await)
    }
}

/// Transport of the refresh token.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDelivery {
    /// In the response body.
    Body,
    /// In a cookie that scripts cannot read (`HttpOnly`; by default `Secure`, `SameSite=Strict`), not
    /// in the response body. `FORBIDDEN` for a page from which the cookie would be lost.
    Cookie,
}

/// Tokens of a session.
#[derive(SimpleObject)]
pub struct Session {
    /// Access token, for the header `Authorization: Bearer …`.
    access_token: String,
    /// Expiry of the access token.
    access_token_expires_at: DateTime,
    /// Refresh token, for one use by `refreshSession`; null if it is in the cookie.
    refresh_token: Option<String>,
    /// Expiry of the refresh token.
    refresh_token_expires_at: DateTime,
}

impl TokenDelivery {
    /// Checks that the browser of the request will store the cookie and send it back.
    ///
    /// # Errors
    ///
    /// `Forbidden`.
    fn check(self, request: &RequestContext) -> Result<(), ApiError> {
        match self {
            Self::Body => Ok(()),
            Self::Cookie => Ok(check_login(&request.services.settings, &request.caller.initiator)?),
        }
    }
}

impl Session {
    fn deliver(request: &RequestContext, login: TokenPair, delivery: TokenDelivery) -> Self {
        let expires_at = login.refresh_token_expires_at;
        let refresh_token = match delivery {
            TokenDelivery::Body => Some(login.refresh_token),
            TokenDelivery::Cookie => {
                let token = login.refresh_token;
                request.change_cookie(CookieChange::Set { token, expires_at });
                None
            }
        };
        Self {
            access_token: login.access_token,
            access_token_expires_at: DateTime(login.access_token_expires_at),
            refresh_token,
            refresh_token_expires_at: DateTime(expires_at),
        }
    }
}

/// Input of register.
#[derive(InputObject)]
struct RegisterInput {
    /// E-mail address, at most 255 characters, case-insensitive.
    email: String,
    /// Username, 1 to 50 characters without `@`, case-insensitive.
    username: String,
    /// New password, 8 to 128 characters of any kind.
    #[graphql(secret)]
    password: String,
    /// Display name, 1 to 100 characters, none of `<>{}\|^~[]` or a backtick.
    display_name: Option<String>,
    /// Faction of the user.
    #[graphql(default_with = "FactionKey::Independent")]
    faction: FactionKey,
    /// Transport of the refresh token.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
    /// Idempotency key, 1 to 255 characters chosen by the client: a retry with the same key creates
    /// no second account. Valid for a day.
    idempotency_key: Option<String>,
}

/// Result of register.
#[derive(SimpleObject, Default)]
struct RegisterPayload {
    /// The first session of the user.
    session: Option<Session>,
    /// The new user.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn register(
    request: &RequestContext,
    input: RegisterInput,
) -> Result<RegisterPayload, ApiError> {
    input.token_delivery.check(request)?;
    request.take_password_check()?;
    let registration = Registration {
        email: input.email,
        username: input.username,
        password: input.password,
        display_name: input.display_name,
        faction: input.faction.into(),
        idempotency_key: input.idempotency_key,
    };
    let address = request.caller.address;
    let done = accounts::register(&request.session, &request.services, address, registration).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => RegisterPayload { user_errors, ..RegisterPayload::default() },
        Ok((login, user)) => {
            request.sign_in(user);
            RegisterPayload {
                session: Some(Session::deliver(request, login, input.token_delivery)),
                viewer: request.viewer_row().await?.map(User),
                user_errors: Vec::new(),
            }
        }
    })
}

/// Input of login.
#[derive(InputObject)]
struct LoginInput {
    /// E-mail address or username.
    login: String,
    /// Password.
    #[graphql(secret)]
    password: String,
    /// Transport of the refresh token.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
}

/// Result of login.
#[derive(SimpleObject, Default)]
struct LoginPayload {
    /// The new session.
    session: Option<Session>,
    /// The signed-in user.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn login(request: &RequestContext, input: LoginInput) -> Result<LoginPayload, ApiError> {
    let LoginInput { login, password, token_delivery } = input;
    token_delivery.check(request)?;
    request.take_password_check()?;
    let address = request.caller.address;
    let done =
        accounts::log_in(&request.session, &request.services, address, &login, password).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => LoginPayload { user_errors, ..LoginPayload::default() },
        Ok((login, user)) => {
            request.sign_in(user);
            LoginPayload {
                session: Some(Session::deliver(request, login, token_delivery)),
                viewer: request.viewer_row().await?.map(User),
                user_errors: Vec::new(),
            }
        }
    })
}

/// Input of refreshSession.
#[derive(InputObject)]
struct RefreshSessionInput {
    /// Refresh token (default: that of the cookie). The new one is returned in the same way.
    #[graphql(secret)]
    refresh_token: Option<String>,
}

/// Result of refreshSession.
#[derive(SimpleObject, Default)]
struct RefreshSessionPayload {
    /// The session with its new tokens.
    session: Option<Session>,
    /// The signed-in user.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Refresh token of a request with its transport.
fn refresh_token(
    request: &RequestContext,
    given: Option<String>,
) -> Result<Option<(String, TokenDelivery)>, ApiError> {
    if let Some(token) = given {
        return Ok(Some((token, TokenDelivery::Body)));
    }
    let Some(token) = request.caller.cookie.clone() else { return Ok(None) };
    check_use(&request.services.settings, &request.caller.initiator)?;
    Ok(Some((token, TokenDelivery::Cookie)))
}

async fn refresh_session(
    request: &RequestContext,
    input: RefreshSessionInput,
) -> Result<RefreshSessionPayload, ApiError> {
    let Some((token, delivery)) = refresh_token(request, input.refresh_token)? else {
        // The response to a page that checks for a session when it opens.
        let user_errors = vec![logins::no_session().into()];
        return Ok(RefreshSessionPayload { user_errors, ..RefreshSessionPayload::default() });
    };
    let (services, address) = (&request.services, request.caller.address);
    let done = logins::refresh(&request.session, services, address, &token).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => {
            if delivery == TokenDelivery::Cookie {
                request.change_cookie(CookieChange::Clear);
            }
            RefreshSessionPayload { user_errors, ..RefreshSessionPayload::default() }
        }
        Ok((login, user)) => {
            request.sign_in(user.id);
            RefreshSessionPayload {
                session: Some(Session::deliver(request, login, delivery)),
                viewer: Some(user_of(user)),
                user_errors: Vec::new(),
            }
        }
    })
}

fn user_of(row: UserRow) -> User {
    User(Arc::new(row))
}

/// Input of logout.
#[derive(InputObject)]
struct LogoutInput {
    /// Refresh token (default: that of the cookie, then the session of the access token).
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// End all sessions of the user.
    #[graphql(default = false)]
    everywhere: bool,
}

/// Result of logout.
#[derive(SimpleObject, Default)]
struct LogoutPayload {
    /// True if an active session was ended; false if there was none.
    logged_out: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn logout(request: &RequestContext, input: LogoutInput) -> Result<LogoutPayload, ApiError> {
    let token = refresh_token(request, input.refresh_token)?;
    let target = match (&token, request.caller.access) {
        (Some((token, _)), _) => LogoutTarget::RefreshToken(token),
        (None, Some(access)) => LogoutTarget::AccessToken(access),
        // A tab whose session was ended in another tab: it has nothing left to end.
        (None, None) => return Ok(LogoutPayload::default()),
    };
    let (session, services) = (&request.session, &request.services);
    let scope = if input.everywhere { LogoutScope::AllLogins } else { LogoutScope::ThisLogin };
    let logged_out = without_user_errors(logins::log_out(session, services, target, scope).await)?;
    let caller = &request.caller;
    if caller.cookie.is_some() && check_use(&services.settings, &caller.initiator).is_ok() {
        request.change_cookie(CookieChange::Clear);
    }
    Ok(LogoutPayload { logged_out, user_errors: Vec::new() })
}

/// Input of changePassword.
#[derive(InputObject)]
struct ChangePasswordInput {
    /// Current password.
    #[graphql(secret)]
    current_password: String,
    /// New password, 8 to 128 characters of any kind.
    #[graphql(secret)]
    new_password: String,
    /// Transport of the refresh token of the new session.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
}

/// Result of changePassword.
#[derive(SimpleObject, Default)]
struct ChangePasswordPayload {
    /// The new session. All others have ended.
    session: Option<Session>,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn change_password(
    request: &RequestContext,
    input: ChangePasswordInput,
) -> Result<ChangePasswordPayload, ApiError> {
    let client = Client { viewer: request.viewer_id()?, address: request.caller.address };
    let ChangePasswordInput { current_password, new_password, token_delivery } = input;
    token_delivery.check(request)?;
    request.take_password_check()?;
    let (session, services) = (&request.session, &request.services);
    let done =
        accounts::change_password(session, services, client, current_password, new_password).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => ChangePasswordPayload { user_errors, ..Default::default() },
        Ok(login) => ChangePasswordPayload {
            session: Some(Session::deliver(request, login, token_delivery)),
            viewer: request.viewer_row().await?.map(User),
            user_errors: Vec::new(),
        },
    })
}

/// Input of updateProfile. Absent fields are unchanged; null clears a field where that is allowed.
#[derive(InputObject)]
struct UpdateProfileInput {
    /// Username, 1 to 50 characters without `@`, case-insensitive.
    username: MaybeUndefined<String>,
    /// Display name, 1 to 100 characters, none of `<>{}\|^~[]` or a backtick.
    display_name: MaybeUndefined<String>,
    /// Self-description, at most 500 characters.
    bio: MaybeUndefined<String>,
    /// Faction of the user.
    faction: MaybeUndefined<FactionKey>,
    /// Default voice of new readings.
    preferred_voice: MaybeUndefined<VoiceKey>,
}

/// Result of updateProfile.
#[derive(SimpleObject, Default)]
struct UpdateProfilePayload {
    /// The updated viewer.
    user: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn update_profile(
    request: &RequestContext,
    input: UpdateProfileInput,
) -> Result<UpdateProfilePayload, ApiError> {
    let viewer = request.viewer_id()?;
    let profile = ProfileInput {
        username: input.username.into(),
        display_name: input.display_name.into(),
        bio: input.bio.into(),
        faction: Option::<Option<FactionKey>>::from(input.faction).map(|key| key.map(Into::into)),
        preferred_voice: Option::<Option<VoiceKey>>::from(input.preferred_voice)
            .map(|key| key.map(Into::into)),
    };
    let (session, services) = (&request.session, &request.services);
    let done = accounts::update_profile(session, services, viewer, profile).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => UpdateProfilePayload { user: None, user_errors },
        Ok(row) => UpdateProfilePayload { user: Some(user_of(row)), user_errors: Vec::new() },
    })
}

/// Input of deleteAccount.
#[derive(InputObject)]
struct DeleteAccountInput {
    /// Password, as protection against an unattended browser.
    #[graphql(secret)]
    password: String,
}

/// Result of deleteAccount.
#[derive(SimpleObject, Default)]
struct DeleteAccountPayload {
    /// Id of the deleted user.
    deleted_user_id: Option<ID>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn delete_account(
    request: &RequestContext,
    input: DeleteAccountInput,
) -> Result<DeleteAccountPayload, ApiError> {
    let viewer = request.viewer_id()?;
    request.take_password_check()?;
    let client = Client { viewer, address: request.caller.address };
    let done = accounts::delete(&request.session, &request.services, client, input.password).await;
    if let Err(user_errors) = split_user_errors(done)? {
        return Ok(DeleteAccountPayload { deleted_user_id: None, user_errors });
    }
    request.sign_out();
    if request.caller.cookie.is_some() {
        request.change_cookie(CookieChange::Clear);
    }
    Ok(DeleteAccountPayload {
        deleted_user_id: Some(GlobalId::User(viewer).encode()),
        user_errors: Vec::new(),
    })
}
