//! Settings of the cookie that holds a refresh token. Browsers silently drop or withhold a cookie whose attributes
//! contradict each other or the server's address, so they are validated together at startup.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use http::Uri;

use super::server::GRAPHQL_PATH;
use super::{SettingsError, yes_or_no};
use crate::domain::web_origin::WebOrigin;

/// Pages from which a browser sends the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SameSite {
    /// Pages of the server's site only.
    Strict,
    /// Also on navigation from links of other sites.
    Lax,
    /// Pages of any site, if the browser allows third-party cookies.
    None,
}

impl SameSite {
    /// Value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// Attributes of the cookie.
#[derive(Debug, Clone, Args)]
pub struct SessionCookieSettings {
    /// Name of the refresh token's cookie (default: `refresh_token`, with `__Host-` or `__Secure-` before it if `PUBLIC_URL` is https)
    #[arg(long = "refresh-cookie-name", env = "REFRESH_COOKIE_NAME", id = "refresh_cookie_name", value_parser = name, global = true, hide_env_values = true)]
    pub name: Option<String>,

    /// Pages from which browsers send the cookie
    #[arg(
        long = "refresh-cookie-same-site",
        env = "REFRESH_COOKIE_SAME_SITE",
        id = "refresh_cookie_same_site",
        value_enum,
        default_value = "strict",
        global = true,
        hide_env_values = true
    )]
    pub same_site: SameSite,

    /// Path to which browsers send the cookie (default: the path of `PUBLIC_URL` and /graphql)
    #[arg(long = "refresh-cookie-path", env = "REFRESH_COOKIE_PATH", id = "refresh_cookie_path", value_parser = path, global = true, hide_env_values = true)]
    pub path: Option<String>,

    /// Domain to whose hosts browsers send the cookie (default: the server's host only)
    #[arg(long = "refresh-cookie-domain", env = "REFRESH_COOKIE_DOMAIN", id = "refresh_cookie_domain", value_parser = domain, global = true, hide_env_values = true)]
    pub domain: Option<String>,

    /// Restrict the cookie to https and to loopback addresses
    #[arg(long = "refresh-cookie-secure", env = "REFRESH_COOKIE_SECURE", id = "refresh_cookie_secure", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub secure: bool,
}

impl SessionCookieSettings {
    /// Validates the attributes together, and against the address at which browsers reach the server.
    ///
    /// # Errors
    ///
    /// `Invalid` with the attribute because of which browsers would drop or withhold the cookie.
    pub fn validate(&self, public_url: Option<&str>) -> Result<(), SettingsError> {
        let public = public_url.and_then(WebOrigin::of_url);
        let stores_secure = |public: &WebOrigin| public.is_secure() || public.is_loopback();
        if self.same_site == SameSite::None && !self.secure {
            return Err(invalid(
                Attribute { name: "REFRESH_COOKIE_SAME_SITE", value: "none" },
                "beside REFRESH_COOKIE_SECURE=false",
                "strict or lax, because browsers drop such a cookie without Secure",
            ));
        }
        if self.secure && !public.as_ref().is_none_or(stores_secure) {
            return Err(invalid(
                Attribute { name: "REFRESH_COOKIE_SECURE", value: "true" },
                "beside a PUBLIC_URL with http://",
                "false, because browsers store a Secure cookie from https:// and loopback addresses only",
            ));
        }
        self.validate_prefix()?;
        self.validate_domain(public.as_ref())?;
        self.validate_path(public_url)
    }

    /// Validates the conditions of the prefixes `__Secure-` and `__Host-`.
    fn validate_prefix(&self) -> Result<(), SettingsError> {
        let Some(name) = &self.name else { return Ok(()) };
        let has_prefix = |prefix: &str| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let name = Attribute { name: "REFRESH_COOKIE_NAME", value: name };
        if has_prefix("__Secure-") && !self.secure {
            return Err(invalid(
                name,
                "beside REFRESH_COOKIE_SECURE=false",
                "a name without __Secure-, because browsers drop such a cookie without Secure",
            ));
        }
        if has_prefix("__Host-") && !self.is_of_host() {
            return Err(invalid(
                name,
                "beside the other attributes",
                "a name without __Host-, which requires REFRESH_COOKIE_PATH=/, REFRESH_COOKIE_SECURE=true and no REFRESH_COOKIE_DOMAIN",
            ));
        }
        Ok(())
    }

    /// True if browsers accept the prefix `__Host-`.
    fn is_of_host(&self) -> bool {
        self.secure && self.domain.is_none() && self.path.as_deref() == Some("/")
    }

    /// Validates that the server's host is in the domain.
    fn validate_domain(&self, public: Option<&WebOrigin>) -> Result<(), SettingsError> {
        let Some(domain) = &self.domain else { return Ok(()) };
        let is_within = |host: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if public.is_some_and(|public| is_within(public.host())) {
            return Ok(());
        }
        Err(invalid(
            Attribute { name: "REFRESH_COOKIE_DOMAIN", value: domain },
            "beside PUBLIC_URL",
            "requires a PUBLIC_URL whose host is that domain or within it",
        ))
    }

    /// Validates that browsers send the cookie to the API.
    fn validate_path(&self, public_url: Option<&str>) -> Result<(), SettingsError> {
        let (Some(path), Some(public_url)) = (&self.path, public_url) else { return Ok(()) };
        let api = api_path(Some(public_url));
        // RFC 6265, section 5.1.4.
        let rest = api.strip_prefix(path.as_str());
        if rest.is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
        {
            return Ok(());
        }
        Err(invalid(
            Attribute { name: "REFRESH_COOKIE_PATH", value: path },
            "beside PUBLIC_URL",
            &format!(
                "{api} or the beginning of it, because browsers send the cookie to this path only"
            ),
        ))
    }

    /// Effective value of `REFRESH_COOKIE_NAME`. A prefix has browsers accept the cookie only from https, and with
    /// `__Host-` from no other host of the domain.
    #[must_use]
    pub fn name(&self, public_url: Option<&str>) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let is_https = public_url.and_then(WebOrigin::of_url).is_some_and(|url| url.is_secure());
        let prefix = match (is_https && self.secure, self.is_of_host()) {
            (false, _) => "",
            (true, false) => "__Secure-",
            (true, true) => "__Host-",
        };
        format!("{prefix}refresh_token")
    }

    /// Effective value of `REFRESH_COOKIE_PATH`.
    #[must_use]
    pub fn path(&self, public_url: Option<&str>) -> String {
        self.path.clone().unwrap_or_else(|| api_path(public_url))
    }
}

/// Path of the API as browsers know it.
fn api_path(public_url: Option<&str>) -> String {
    let url: Option<Uri> = public_url.and_then(|url| url.parse().ok());
    let base = url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
    format!("{base}{GRAPHQL_PATH}")
}

/// A setting with its value, for a message.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
}

fn invalid(attribute: Attribute<'_>, source_name: &str, expected: &str) -> SettingsError {
    SettingsError::Invalid {
        name: attribute.name.to_owned(),
        value: attribute.value.to_owned(),
        source_name: source_name.to_owned(),
        expected: expected.to_owned(),
    }
}

fn name(text: &str) -> Result<String, String> {
    // A token of RFC 9110, section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return Ok(text.to_owned());
    }
    Err("the name of a cookie: letters, digits and !#$%&'*+-.^_`|~".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if text.starts_with('/') && text.bytes().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err("a path that begins with /, such as /api".to_owned())
}

fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = text.contains('.') && text.split('.').all(is_label);
    if is_name && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a domain name such as tarot.example, no IP address".to_owned())
}
