//! Client of a request: its access token and refresh token cookie.
//!
//! Bearer tokens and cookies are read here and not by crates: `headers` ignores a second `Authorization`
//! header, which is an error here, and `cookie` writes the attributes of `Set-Cookie` in an order of its own;
//! both are a few lines.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};

use super::graphql::error::HttpError;
use super::state::GRAPHQL_PATH;
use crate::config::Settings;
use crate::graphql::context::{Caller, CookieChange};
use crate::services::tokens::{AccessClaims, TokenIssuer};

/// Name of the cookie that holds a refresh token, for clients that request one.
const COOKIE: &str = "refresh_token";
/// The only path to which browsers send the cookie.
const COOKIE_PATH: &str = GRAPHQL_PATH;

/// Client of a request, without its access token.
#[must_use]
pub fn caller(parts: &Parts, address: IpAddr, settings: &Settings) -> Caller {
    Caller {
        address,
        access: None,
        cookie: cookie(&parts.headers),
        may_use_cookie: may_use_cookie(&parts.headers, settings),
    }
}

/// The verified access token of a request; `None` without an `Authorization` header, or with an empty one, which
/// names no scheme (RFC 9110, section 11.4): clients send it while nobody is signed in. An invalid header is an
/// error and never an anonymous viewer: a client that means to be signed in must learn that it is not.
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

/// True for requests of our own origins, and for clients without an `Origin`: those are no browsers, and no
/// page can make them send the cookie.
fn may_use_cookie(headers: &HeaderMap, settings: &Settings) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    origin == origin_of(&settings.public_url())
        || settings.server.cors_origins.iter().any(|allowed| allowed == origin)
}

/// A URL without its path.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}

/// The `Set-Cookie` header of a change.
#[must_use]
pub fn set_cookie(change: &CookieChange, now: DateTime<Utc>) -> Option<HeaderValue> {
    let (token, seconds) = match change {
        CookieChange::Set { token, expires_at } => {
            (token.as_str(), (*expires_at - now).num_seconds().max(0))
        }
        CookieChange::Clear => ("", 0),
    };
    let text = format!(
        "{COOKIE}={token}; Path={COOKIE_PATH}; Max-Age={seconds}; HttpOnly; Secure; SameSite=Strict"
    );
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_url_without_its_path() {
        assert_eq!(origin_of("https://tarot.example/base"), "https://tarot.example");
        assert_eq!(origin_of("http://127.0.0.1:8000"), "http://127.0.0.1:8000");
    }
}
