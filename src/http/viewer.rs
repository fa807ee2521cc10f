//! Who asks: the bearer token of a request.

use axum::http::{HeaderMap, header};

use super::graphql::HttpError;
use crate::domain::viewer::Viewer;
use crate::services::tokens::Tokens;

/// The viewer of a request. No `Authorization` header is an anonymous viewer; a header that is not
/// good is an error and never an anonymous viewer, because a client that means to be signed in must
/// hear that it is not.
///
/// # Errors
///
/// The header is no bearer token, or the token has expired or is not ours.
pub fn viewer(headers: &HeaderMap, tokens: &Tokens) -> Result<Viewer, HttpError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(authorization) = all.next() else { return Ok(Viewer::Anonymous) };
    if all.next().is_some() {
        return Err(HttpError::unauthenticated("there may be one `authorization` header"));
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
    let user =
        tokens.check(token).map_err(|error| HttpError::unauthenticated(error.to_string()))?;
    Ok(Viewer::User(user))
}
