//! Cookie of a refresh token, and the headers that identify the page that sent a request.
//!
//! Cookies are read and written without the crate `cookie`: both are a few lines.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use chrono::{DateTime, Utc};

use crate::config::Settings;
use crate::graphql::context::CookieChange;
use crate::services::session_cookie::{FetchSite, RequestInitiator};

/// Fetch Metadata: the relation of the page to this server, as the browser sees it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Web page that sent a request.
pub(super) fn initiator(parts: &Parts) -> RequestInitiator {
    // An unreadable value becomes an empty text, which is not an allowed origin.
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = || parts.uri.authority().map(ToString::to_string);
    RequestInitiator {
        origin: parts.headers.get(header::ORIGIN).map(text),
        fetch_site: parts.headers.get(FETCH_SITE).and_then(fetch_site),
        host: parts.headers.get(header::HOST).map(text).or_else(host),
    }
}

fn fetch_site(value: &HeaderValue) -> Option<FetchSite> {
    match value.as_bytes() {
        b"same-origin" => Some(FetchSite::SameOrigin),
        b"same-site" => Some(FetchSite::SameSite),
        b"cross-site" => Some(FetchSite::CrossSite),
        // `none`: a request that no page has sent.
        _ => None,
    }
}

/// Refresh token of a request. Cookies are bytes: other programs of the same host may set any (RFC 6265, section
/// 5.2), and HTTP/2 sends each in a header of its own (RFC 9113, section 8.2.3).
pub(super) fn refresh_token(headers: &HeaderMap, settings: &Settings) -> Option<String> {
    let own = settings.session_cookie.name(settings.server.public_url.as_deref());
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(own.as_bytes()))
        .filter_map(|rest| std::str::from_utf8(rest.strip_prefix(b"=")?).ok())
        .find(|value| !value.is_empty())
        .map(str::to_owned)
}

/// `Set-Cookie` header of a change.
pub(super) fn set_cookie(
    change: &CookieChange,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Option<HeaderValue> {
    let (token, seconds) = match change {
        CookieChange::Set { token, expires_at } => {
            (token.as_str(), (*expires_at - now).num_seconds().max(0))
        }
        CookieChange::Clear => ("", 0),
    };
    let cookie = &settings.session_cookie;
    let public_url = settings.server.public_url.as_deref();
    let (name, same_site) = (cookie.name(public_url), cookie.same_site.as_str());
    let path = cookie.path(public_url);
    let domain = cookie.domain.as_ref().map_or_else(String::new, |name| format!("; Domain={name}"));
    let secure = if cookie.secure { "; Secure" } else { "" };
    let text = format!(
        "{name}={token}; Path={path}{domain}; Max-Age={seconds}; HttpOnly{secure}; SameSite={same_site}"
    );
    HeaderValue::try_from(text).ok()
}
