//! Accounts and sessions.

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

/// Fields of the mutation type on accounts.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Makes an account and logs in. An `authorization` header is ignored.
    async fn register(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who.")] input: RegisterInput,
    ) -> Option<Result<RegisterPayload, ApiError>> {
        Some(register(begin_mutation(context), input).await)
    }

    /// Logs in with the e-mail address or the username. A wrong name and a wrong password get the same
    /// answer after the same work; five wrong passwords lock the account for an hour. A request may
    /// give one password. An `authorization` header is ignored.
    async fn login(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who.")] input: LoginInput,
    ) -> Option<Result<LoginPayload, ApiError>> {
        Some(login(begin_mutation(context), input).await)
    }

    /// Exchanges a refresh token for a new pair. A token is exchanged once: one that is presented
    /// again ends the session, unless that is within 30 seconds and its successor was not used. An
    /// `authorization` header is ignored.
    async fn refresh_session(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which session.")] input: RefreshSessionInput,
    ) -> Option<Result<RefreshSessionPayload, ApiError>> {
        Some(refresh_session(begin_mutation(context), input).await)
    }

    /// Ends a session: that of the refresh token, or of the cookie, or of the access token; or all
    /// sessions of that user. Access tokens that were given out stay good until they expire.
    async fn logout(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which session.")] input: LogoutInput,
    ) -> Option<Result<LogoutPayload, ApiError>> {
        Some(logout(begin_mutation(context), input).await)
    }

    /// Changes the viewer's password, ends all their sessions and begins a new one.
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The old and the new password.")] input: ChangePasswordInput,
    ) -> Option<Result<ChangePasswordPayload, ApiError>> {
        Some(change_password(begin_mutation(context), input).await)
    }

    /// Changes the viewer's profile. What is absent stays; null clears.
    async fn update_profile(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateProfileInput,
    ) -> Option<Result<UpdateProfilePayload, ApiError>> {
        Some(update_profile(begin_mutation(context), input).await)
    }

    /// Deletes the viewer's account, with their readings and everything else that is theirs.
    async fn delete_account(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The password.")] input: DeleteAccountInput,
    ) -> Option<Result<DeleteAccountPayload, ApiError>> {
        Some(delete_account(begin_mutation(context), input).await)
    }
}

/// How the refresh token comes and goes.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenDelivery {
    /// In the answer's body.
    Body,
    /// In a cookie that scripts cannot read (`HttpOnly`, `Secure`, `SameSite=Strict`), and not in the
    /// body.
    Cookie,
}

/// What a client keeps of a login.
#[derive(SimpleObject)]
pub struct Session {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// When the access token ends.
    access_token_expires_at: DateTime,
    /// For `refreshSession`, once. Null where it is in the cookie.
    refresh_token: Option<String>,
    /// When the refresh token ends.
    refresh_token_expires_at: DateTime,
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

/// Somebody who wants an account.
#[derive(InputObject)]
struct RegisterInput {
    /// At most 255 characters; capitals do not matter.
    email: String,
    /// 1 to 50 characters without `@`; capitals do not matter.
    username: String,
    /// 8 to 128 characters, any.
    #[graphql(secret)]
    password: String,
    /// The name that is shown: 1 to 100 characters, none of them `<>{}\|^~[]` or a backtick.
    display_name: Option<String>,
    /// The allegiance.
    #[graphql(default_with = "FactionKey::Independent")]
    faction: FactionKey,
    /// How the refresh token comes.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
    /// 1 to 255 characters that the client makes up, so that it can ask again when it lost the answer
    /// and no second account is made. Remembered for a day.
    idempotency_key: Option<String>,
}

/// What became of a registration.
#[derive(SimpleObject, Default)]
struct RegisterPayload {
    /// The first session.
    session: Option<Session>,
    /// The new user.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn register(
    request: &RequestContext,
    input: RegisterInput,
) -> Result<RegisterPayload, ApiError> {
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

/// Who logs in.
#[derive(InputObject)]
struct LoginInput {
    /// The e-mail address or the username.
    login: String,
    /// The password.
    #[graphql(secret)]
    password: String,
    /// How the refresh token comes.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
}

/// What became of a login.
#[derive(SimpleObject, Default)]
struct LoginPayload {
    /// The session.
    session: Option<Session>,
    /// The user.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn login(request: &RequestContext, input: LoginInput) -> Result<LoginPayload, ApiError> {
    request.take_password_check()?;
    let LoginInput { login, password, token_delivery } = input;
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

/// Which session goes on.
#[derive(InputObject)]
struct RefreshSessionInput {
    /// The refresh token; absent, the one in the cookie. The new one comes the same way.
    #[graphql(secret)]
    refresh_token: Option<String>,
}

/// A session that goes on.
#[derive(SimpleObject, Default)]
struct RefreshSessionPayload {
    /// The new tokens.
    session: Option<Session>,
    /// The user.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

/// The refresh token of a request, and how it came.
fn refresh_token(
    request: &RequestContext,
    given: Option<String>,
) -> Result<Option<(String, TokenDelivery)>, ApiError> {
    if let Some(token) = given {
        return Ok(Some((token, TokenDelivery::Body)));
    }
    let Some(token) = request.caller.cookie.clone() else { return Ok(None) };
    if !request.caller.may_use_cookie {
        return Err(ApiError::Forbidden("pages of this origin may not use the cookie"));
    }
    Ok(Some((token, TokenDelivery::Cookie)))
}

async fn refresh_session(
    request: &RequestContext,
    input: RefreshSessionInput,
) -> Result<RefreshSessionPayload, ApiError> {
    let Some((token, delivery)) = refresh_token(request, input.refresh_token)? else {
        // What a page hears that asks, when it is opened, whether somebody is logged in.
        let user_errors = vec![logins::no_session().into()];
        return Ok(RefreshSessionPayload { user_errors, ..RefreshSessionPayload::default() });
    };
    let done = logins::refresh(&request.session, &request.services, &token).await;
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
                viewer: Some(shown(user)),
                user_errors: Vec::new(),
            }
        }
    })
}

fn shown(row: UserRow) -> User {
    User(Arc::new(row))
}

/// Which session ends.
#[derive(InputObject)]
struct LogoutInput {
    /// Its refresh token; absent, the one in the cookie, or the session of the access token. Leave an
    /// `authorization` header that has expired away: it is refused before this is looked at.
    #[graphql(secret)]
    refresh_token: Option<String>,
    /// Ends all sessions of that user.
    #[graphql(default = false)]
    everywhere: bool,
}

/// What became of a session.
#[derive(SimpleObject, Default)]
struct LogoutPayload {
    /// Whether a session was ended that was not over yet.
    logged_out: bool,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn logout(request: &RequestContext, input: LogoutInput) -> Result<LogoutPayload, ApiError> {
    let token = refresh_token(request, input.refresh_token)?;
    let target = match (&token, request.caller.access) {
        (Some((token, _)), _) => LogoutTarget::RefreshToken(token),
        (None, Some(access)) => LogoutTarget::AccessToken(access),
        (None, None) => return Err(ApiError::SignInRequired),
    };
    let (session, services) = (&request.session, &request.services);
    let scope = if input.everywhere { LogoutScope::AllLogins } else { LogoutScope::ThisLogin };
    let logged_out = without_user_errors(logins::log_out(session, services, target, scope).await)?;
    if request.caller.cookie.is_some() && request.caller.may_use_cookie {
        request.change_cookie(CookieChange::Clear);
    }
    Ok(LogoutPayload { logged_out, user_errors: Vec::new() })
}

/// A new password.
#[derive(InputObject)]
struct ChangePasswordInput {
    /// The one so far.
    #[graphql(secret)]
    current_password: String,
    /// 8 to 128 characters, any.
    #[graphql(secret)]
    new_password: String,
    /// How the refresh token of the new session comes.
    #[graphql(default_with = "TokenDelivery::Body")]
    token_delivery: TokenDelivery,
}

/// What became of a change of the password.
#[derive(SimpleObject, Default)]
struct ChangePasswordPayload {
    /// The new session. All others are over.
    session: Option<Session>,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn change_password(
    request: &RequestContext,
    input: ChangePasswordInput,
) -> Result<ChangePasswordPayload, ApiError> {
    let client = Client { viewer: request.viewer_id()?, address: request.caller.address };
    request.take_password_check()?;
    let ChangePasswordInput { current_password, new_password, token_delivery } = input;
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

/// What to change of the viewer's profile. What is absent stays; null clears, where that is possible.
#[derive(InputObject)]
struct UpdateProfileInput {
    /// 1 to 50 characters without `@`; capitals do not matter.
    username: MaybeUndefined<String>,
    /// The name that is shown: 1 to 100 characters, none of them `<>{}\|^~[]` or a backtick.
    display_name: MaybeUndefined<String>,
    /// What the user says of themself, at most 500 characters.
    bio: MaybeUndefined<String>,
    /// The allegiance.
    faction: MaybeUndefined<FactionKey>,
    /// The voice that new readings speak in.
    preferred_voice: MaybeUndefined<VoiceKey>,
}

/// What became of a change of the profile.
#[derive(SimpleObject, Default)]
struct UpdateProfilePayload {
    /// The viewer, as they are now.
    user: Option<User>,
    /// What to put right.
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
        Ok(row) => UpdateProfilePayload { user: Some(shown(row)), user_errors: Vec::new() },
    })
}

/// The end of an account.
#[derive(InputObject)]
struct DeleteAccountInput {
    /// The password, so that nobody does it who found an open browser.
    #[graphql(secret)]
    password: String,
}

/// What became of an account.
#[derive(SimpleObject, Default)]
struct DeleteAccountPayload {
    /// The id of the user who is there no more.
    deleted_user_id: Option<ID>,
    /// What to put right.
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
