//! Use of the refresh token's cookie by web pages: the pages that may use it, and the logins whose cookie the
//! browser would store and send back. A browser drops or withholds a cookie silently, so a login whose cookie
//! would be lost is refused.

use crate::config::Settings;
use crate::config::session_cookie::SameSite;
use crate::domain::web_origin::WebOrigin;

/// Web page that sent a request, by the headers that its scripts cannot set (Fetch Metadata).
#[derive(Debug, Clone, Default)]
pub struct RequestInitiator {
    /// `Origin`; `None` from clients other than browsers.
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`; `None` from old browsers, and over http from other machines.
    pub fetch_site: Option<FetchSite>,
    /// `Host`.
    pub host: Option<String>,
}

/// Relation between the page and the address of its request, as its browser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchSite {
    /// Same scheme, host and port.
    SameOrigin,
    /// Same scheme and registrable domain.
    SameSite,
    /// Another site.
    CrossSite,
}

/// Reason to refuse the cookie to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieRefusal {
    /// The page's origin is neither the server's own nor a listed one.
    Origin,
    /// The browser would not store the cookie.
    Insecure,
    /// The browser would not send the cookie from this page.
    CrossSite,
    /// The browser might not send the cookie to the path through which a proxy reaches the server.
    Proxied,
}

impl CookieRefusal {
    /// Message with the setting that permits the cookie.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Origin => {
                "pages of this origin may not use the cookie: add the origin to CORS_ORIGINS, or set PUBLIC_URL to the server's address"
            }
            Self::Insecure => {
                "browsers store the cookie from https only: set PUBLIC_URL to the server's https address, or REFRESH_COOKIE_SECURE=false"
            }
            Self::CrossSite => {
                "page and server are two sites (as localhost and 127.0.0.1 are), so the cookie would be lost: use one host name for both, or set REFRESH_COOKIE_SAME_SITE=none"
            }
            Self::Proxied => {
                "the page reaches the server through a proxy: set PUBLIC_URL to the server's address there, such as http://localhost:5173/api, or set REFRESH_COOKIE_PATH"
            }
        }
    }
}

/// Checks that a page may use the cookie. Clients without an `Origin` may: they are not browsers, so no page can
/// make them send it.
///
/// # Errors
///
/// [`CookieRefusal::Origin`].
pub fn check_use(settings: &Settings, initiator: &RequestInitiator) -> Result<(), CookieRefusal> {
    let Some(text) = &initiator.origin else { return Ok(()) };
    if settings.server.names_origin(text) {
        return Ok(());
    }
    let origin = WebOrigin::of_header(text).ok_or(CookieRefusal::Origin)?;
    let own = WebOrigin::of_url(&settings.public_url()).ok_or(CookieRefusal::Origin)?;
    let is_local = own.is_loopback() || own.is_unspecified();
    if origin == own || (is_local && origin.is_loopback()) {
        Ok(())
    } else {
        Err(CookieRefusal::Origin)
    }
}

/// Checks that a page may use the cookie, and that its browser would store it and send it back.
///
/// # Errors
///
/// The reason for which the cookie would be lost.
pub fn check_login(settings: &Settings, initiator: &RequestInitiator) -> Result<(), CookieRefusal> {
    check_use(settings, initiator)?;
    let origin = initiator.origin.as_deref().and_then(WebOrigin::of_header);
    let (Some(origin), Some(server)) = (origin, server_address(settings, initiator)) else {
        return Ok(());
    };
    let cookie = &settings.session_cookie;
    // Browsers send `Sec-Fetch-Site` to addresses from which they store a Secure cookie.
    let is_trusted = initiator.fetch_site.is_some() || server.is_secure() || server.is_loopback();
    if cookie.secure && !is_trusted {
        return Err(CookieRefusal::Insecure);
    }
    let is_cross_site = match initiator.fetch_site {
        Some(site) => site == FetchSite::CrossSite,
        None => !origin.may_be_same_site(&server),
    };
    if is_cross_site && cookie.same_site != SameSite::None {
        return Err(CookieRefusal::CrossSite);
    }
    let has_known_path = cookie.path.is_some() || settings.server.public_url.is_some();
    let is_same_origin = initiator.fetch_site == Some(FetchSite::SameOrigin);
    if !has_known_path && is_same_origin && origin.port() != settings.server.listen.port() {
        return Err(CookieRefusal::Proxied);
    }
    Ok(())
}

/// Address of the server as the page's browser knows it: `PUBLIC_URL`, or the host of the request if `PUBLIC_URL` is
/// absent or a loopback address, which has several names.
fn server_address(settings: &Settings, initiator: &RequestInitiator) -> Option<WebOrigin> {
    let public_url = settings.public_url();
    let public = WebOrigin::of_url(&public_url)?;
    if settings.server.public_url.is_some() && !public.is_loopback() {
        return Some(public);
    }
    let scheme = if public.is_secure() { "https" } else { "http" };
    let host = initiator.host.as_deref()?;
    WebOrigin::of_url(&format!("{scheme}://{host}"))
}
