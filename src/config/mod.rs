//! Settings: every number, duration and address that an operator may change, a file a concern.
//!
//! A setting has one name. As a flag it is `--database-pool-size`, in the environment and in the
//! settings file `DATABASE_POOL_SIZE`; a flag beats the environment, which beats the file. Bounds
//! are checked here, so that the rest of the program can rely on them.

pub mod admission;
pub mod auth;
pub mod cache;
pub mod connections;
pub mod content;
pub mod database;
pub mod export;
pub mod limits;
pub mod log;
pub mod monitor;
pub mod rate_limits;
pub mod server;
pub mod session_cookie;

mod sources;

use std::time::Duration;

use clap::{Args, ValueEnum};

pub use sources::{SettingsError, parse_command_line};

use crate::domain::web_origin::WebOrigin;

/// Default of `SHUTDOWN_DELAY_MS` in production: balancers find out within this time that a server is not ready.
const PRODUCTION_SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// Deployment environment; several defaults depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// A developer's machine: GraphiQL and introspection on, secrets generated.
    Development,
    /// Production: secrets required, GraphiQL and introspection off.
    Production,
    /// Automated tests: one database connection.
    Testing,
}

/// All settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Deployment environment
    #[arg(
        long,
        env = "APP_ENV",
        value_enum,
        default_value = "development",
        global = true,
        hide_env_values = true
    )]
    pub app_env: Environment,

    /// The database.
    #[command(flatten)]
    pub database: database::DatabaseSettings,

    /// The slow-query monitor.
    #[command(flatten)]
    pub monitor: monitor::MonitorSettings,

    /// The cache.
    #[command(flatten)]
    pub cache: cache::CacheSettings,

    /// Addresses and features of the HTTP server.
    #[command(flatten)]
    pub server: server::ServerSettings,

    /// Tokens and logins.
    #[command(flatten)]
    pub auth: auth::AuthSettings,

    /// The cookie of a refresh token.
    #[command(flatten)]
    pub session_cookie: session_cookie::SessionCookieSettings,

    /// Rate limits.
    #[command(flatten)]
    pub rate_limits: rate_limits::RateLimitSettings,

    /// Quotas and retention of content.
    #[command(flatten)]
    pub content: content::ContentSettings,

    /// Limits and timeouts.
    #[command(flatten)]
    pub limits: limits::Limits,

    /// Admission of requests.
    #[command(flatten)]
    pub admission: admission::AdmissionSettings,

    /// Client connections.
    #[command(flatten)]
    pub connections: connections::ConnectionSettings,

    /// Exports.
    #[command(flatten)]
    pub export: export::ExportSettings,

    /// Logs.
    #[command(flatten)]
    pub log: log::LogSettings,
}

impl Settings {
    /// `true` in production, where GraphiQL, introspection and suggestions in messages are off by default.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.app_env == Environment::Production
    }

    /// Validates combinations of settings, and the settings that production requires.
    ///
    /// # Errors
    ///
    /// `Invalid` with the name of one setting of an inconsistent combination.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let limits::DocumentLimits { default_page_size, max_page_size, .. } = self.limits.document;
        if default_page_size > max_page_size {
            return Err(SettingsError::Invalid {
                name: "DEFAULT_PAGE_SIZE".to_owned(),
                value: default_page_size.to_string(),
                source_name: "beside MAX_PAGE_SIZE".to_owned(),
                expected: format!("at most {max_page_size}"),
            });
        }
        if self.database.url.is_embedded() && !self.database.replicas.urls.is_empty() {
            return Err(SettingsError::Invalid {
                name: "DATABASE_REPLICA_URLS".to_owned(),
                value: "…".to_owned(),
                source_name: "beside an embedded DATABASE_URL".to_owned(),
                expected: "replicas of a PostgreSQL database".to_owned(),
            });
        }
        if self.server.trusted_documents_only && self.server.trusted_documents.is_none() {
            return Err(SettingsError::Invalid {
                name: "TRUSTED_DOCUMENTS_ONLY".to_owned(),
                value: "true".to_owned(),
                source_name: "without TRUSTED_DOCUMENTS".to_owned(),
                expected: "requires TRUSTED_DOCUMENTS, because no other document is executed"
                    .to_owned(),
            });
        }
        let coherence = &self.cache.coherence;
        if coherence.staleness <= coherence.outbox_poll {
            return Err(SettingsError::Invalid {
                name: "CACHE_STALENESS_MS".to_owned(),
                value: coherence.staleness.as_millis().to_string(),
                source_name: "beside OUTBOX_POLL_MS".to_owned(),
                expected: format!(
                    "more than {}, otherwise no cached value is served",
                    coherence.outbox_poll.as_millis()
                ),
            });
        }
        self.validate_unsent_bytes()?;
        let shutdown_timeout = self.limits.shutdown_timeout;
        if self.shutdown_delay() >= shutdown_timeout {
            return Err(SettingsError::Invalid {
                name: "SHUTDOWN_DELAY_MS".to_owned(),
                value: self.shutdown_delay().as_millis().to_string(),
                source_name: "beside SHUTDOWN_TIMEOUT".to_owned(),
                expected: format!("less than {}", shutdown_timeout.as_millis()),
            });
        }
        if self.is_production() {
            self.auth.validate_keys()?;
        }
        self.session_cookie.validate(self.server.public_url.as_deref())
    }

    /// A whole response fits into each bound of the bytes of responses.
    fn validate_unsent_bytes(&self) -> Result<(), SettingsError> {
        let settings = &self.connections;
        let bounds = [
            ("MAX_RESPONSE_BYTES", self.limits.response_bytes),
            ("MAX_UNSENT_BYTES_PER_CONNECTION", settings.unsent_bytes_per_connection),
            ("MAX_UNSENT_BYTES_PER_ADDRESS", settings.unsent_bytes_per_address),
            ("MAX_UNSENT_BYTES", settings.unsent_bytes),
        ];
        for pair in bounds.windows(2) {
            let [(name, value), (wider, maximum)] = pair else { continue };
            if value > maximum {
                return Err(SettingsError::Invalid {
                    name: (*name).to_owned(),
                    value: value.to_string(),
                    source_name: format!("beside {wider}"),
                    expected: format!("at most {maximum}"),
                });
            }
        }
        Ok(())
    }

    /// Public URL of the server, without a trailing slash.
    #[must_use]
    pub fn public_url(&self) -> String {
        let listen = self.server.listen;
        match &self.server.public_url {
            Some(url) => url.clone(),
            // No browser can open 0.0.0.0 everywhere.
            None if listen.ip().is_unspecified() => format!("http://localhost:{}", listen.port()),
            None => format!("http://{listen}"),
        }
    }

    /// Effective value of `GRAPHIQL`.
    #[must_use]
    pub fn graphiql(&self) -> bool {
        self.server.graphiql.unwrap_or(!self.is_production())
    }

    /// Effective value of `INTROSPECTION`.
    #[must_use]
    pub fn introspection(&self) -> bool {
        self.server.introspection.unwrap_or(!self.is_production())
    }

    /// Effective value of `SHUTDOWN_DELAY_MS`.
    #[must_use]
    pub fn shutdown_delay(&self) -> Duration {
        let default = if self.is_production() { PRODUCTION_SHUTDOWN_DELAY } else { Duration::ZERO };
        self.server.shutdown_delay.unwrap_or(default)
    }

    /// Effective value of `ALLOWED_HOSTS`; empty if every host is allowed.
    #[must_use]
    pub fn allowed_hosts(&self) -> Vec<String> {
        let hosts = &self.server.allowed_hosts;
        if hosts.iter().any(|host| host == "*") {
            return Vec::new();
        }
        let public_url = self.server.public_url.as_deref().filter(|_| self.is_production());
        match public_url.and_then(WebOrigin::of_url) {
            Some(origin) if hosts.is_empty() => vec![origin.host().to_owned()],
            _ => hosts.clone(),
        }
    }

    /// Effective value of `DATABASE_POOL_SIZE`.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.database.pool_size.unwrap_or(match self.app_env {
            Environment::Production => 20,
            Environment::Development => 5,
            Environment::Testing => 1,
        })
    }

    /// Effective value of `DATABASE_MAX_OVERFLOW`.
    #[must_use]
    pub fn max_overflow(&self) -> u32 {
        self.database.max_overflow.unwrap_or(match self.app_env {
            Environment::Production => 10,
            Environment::Development => 2,
            Environment::Testing => 0,
        })
    }
}

/// Writes a URL without its credentials, for logs and messages. Not with a URL parser, because it also has
/// to redact text that is no valid URL.
fn write_redacted_url(url: &str, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => write!(formatter, "{scheme}://…@{place}"),
        _ => formatter.write_str(url),
    }
}

/// A whole number of seconds, at least one.
fn seconds(text: &str) -> Result<std::time::Duration, String> {
    duration(text, "seconds", std::time::Duration::from_secs)
}

/// A lifetime in whole seconds, from 1 to ten years.
fn lifetime(text: &str) -> Result<std::time::Duration, String> {
    const MAXIMUM_SECONDS: u64 = 10 * 365 * 86_400;
    whole_number(text, 1, MAXIMUM_SECONDS)
        .map(std::time::Duration::from_secs)
        .map_err(|_| "a whole number of seconds, from 1 to ten years".to_owned())
}

/// A retention in whole days, from 1 to ten years.
fn days(text: &str) -> Result<std::time::Duration, String> {
    const SECONDS: u64 = 86_400;
    const MAXIMUM: u64 = 10 * 365;
    whole_number(text, 1, MAXIMUM)
        .map(|days| std::time::Duration::from_secs(days * SECONDS))
        .map_err(|_| "a whole number of days, from 1 to ten years".to_owned())
}

/// A whole number of milliseconds, at least one.
fn milliseconds(text: &str) -> Result<std::time::Duration, String> {
    duration(text, "milliseconds", std::time::Duration::from_millis)
}

/// A whole number of milliseconds, 0 included.
fn milliseconds_or_none(text: &str) -> Result<std::time::Duration, String> {
    const MAXIMUM: u64 = 86_400_000;
    whole_number(text, 0, MAXIMUM)
        .map(std::time::Duration::from_millis)
        .map_err(|_| "a whole number of milliseconds, from 0 to a day".to_owned())
}

fn duration(
    text: &str,
    unit: &str,
    make: fn(u64) -> std::time::Duration,
) -> Result<std::time::Duration, String> {
    // A day is longer than any sensible timeout, and sums of a few days cannot overflow.
    const MAXIMUM_SECONDS: u64 = 86_400;
    let refusal = || format!("a whole number of {unit}, from 1 to a day");
    let value = make(text.parse().map_err(|_| refusal())?);
    if value.is_zero() || value > std::time::Duration::from_secs(MAXIMUM_SECONDS) {
        return Err(refusal());
    }
    Ok(value)
}

/// A whole number of at least one.
fn count<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse()
        .ok()
        .filter(|value| *value >= T::from(1))
        .ok_or_else(|| "a whole number of at least 1".to_owned())
}

/// A whole number from `minimum` to `maximum`, both included.
fn whole_number<T>(text: &str, minimum: T, maximum: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    text.parse()
        .ok()
        .filter(|value| (minimum..=maximum).contains(value))
        .ok_or_else(|| format!("a whole number of at least {minimum} and at most {maximum}"))
}

/// A boolean in its usual spellings.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("true or false (or yes, no, on, off, 1, 0)".to_owned()),
    }
}
