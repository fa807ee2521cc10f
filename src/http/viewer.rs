//! Client of a request: its access token and refresh token cookie.
//!
//! Bearer tokens are read without the crate `headers`, which ignores a second `Authorization` header: here it is
//! an error.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::graphql::error::HttpError;
use super::session_cookie::{initiator, refresh_token};
use super::state::App;
use crate::config::Settings;
use crate::db::token_revocations::token_epoch;
use crate::domain::viewer::ReaderId;
use crate::graphql::context::Caller;
use crate::graphql::errors::ApiError;
use crate::services::Services;
use crate::services::tokens::AccessClaims;

/// Client of a request, without its access token.
#[must_use]
pub fn caller(parts: &Parts, address: IpAddr, settings: &Settings) -> Caller {
    Caller {
        address,
        access: None,
        cookie: refresh_token(&parts.headers, settings),
        initiator: initiator(parts),
    }
}

/// The verified access token of a request, as far as this server knows its revocation ([`check_revocation`] does the
/// rest); `None` without an `Authorization` header, or with an empty one, which
/// names no scheme (RFC 9110, section 11.4): some clients send it before a login. An invalid header is an error and
/// never an anonymous viewer: a client that means to be signed in must learn that it is not.
///
/// # Errors
///
/// The header is no bearer token, there are several, or the token has expired or is not ours.
pub fn access_token(
    headers: &HeaderMap,
    services: &Services,
) -> Result<Option<AccessClaims>, HttpError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(authorization) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(HttpError::unauthenticated("there may be one `authorization` header"));
    }
    if authorization.as_bytes().trim_ascii().is_empty() {
        return Ok(None);
    }
    let token = authorization
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            HttpError::unauthenticated("the `authorization` header must be `Bearer` and a token")
        })?;
    let access = services
        .tokens
        .verify_access_token(token, services.clock.now())
        .map_err(|error| HttpError::unauthenticated(error.to_string()))?;
    if services.token_revocations.is_revoked(&access) {
        return Err(revoked());
    }
    Ok(Some(access))
}

/// Checks that a token is not revoked on another server. That is known here without a statement, unless the
/// freshness gate is closed.
///
/// # Errors
///
/// The token is revoked, or the database cannot be reached while the gate is closed.
pub async fn check_revocation(
    app: &App,
    access: &AccessClaims,
    until: Instant,
) -> Result<(), HttpError> {
    if app.services.cache.freshness_gate().is_open() {
        return Ok(());
    }
    let session = app.database.session_for_reader(ReaderId::Account(access.user), None, until);
    let epoch = token_epoch(&session, access.user).await.map_err(ApiError::from)?;
    session.release().await;
    if access.epoch < epoch { Err(revoked()) } else { Ok(()) }
}

fn revoked() -> HttpError {
    HttpError::unauthenticated("the access token was revoked")
}
