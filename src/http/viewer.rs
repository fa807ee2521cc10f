//! Client of a request: its access token and refresh token cookie.
//!
//! Bearer tokens are read without the crate `headers`, which ignores a second `Authorization` header: here it is
//! an error.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::graphql::error::HttpError;
use super::session_cookie::{initiator, refresh_token};
use crate::config::Settings;
use crate::graphql::context::Caller;
use crate::services::tokens::{AccessClaims, TokenIssuer};

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

/// The verified access token of a request; `None` without an `Authorization` header, or with an empty one, which
/// names no scheme (RFC 9110, section 11.4): some clients send it before a login. An invalid header is an error and
/// never an anonymous viewer: a client that means to be signed in must learn that it is not.
///
/// # Errors
///
/// The header is no bearer token, there are several, or the token has expired or is not ours.
pub fn access_token(
    headers: &HeaderMap,
    tokens: &TokenIssuer,
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
    let access = tokens.verify_access_token(token);
    access.map(Some).map_err(|error| HttpError::unauthenticated(error.to_string()))
}
