//! Settings of the HTTP server.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{milliseconds, milliseconds_or_none, yes_or_no};
use crate::domain::web_origin::WebOrigin;

/// Path of the API.
pub const GRAPHQL_PATH: &str = "/graphql";
/// Connections that wait to be accepted; further ones are refused.
pub const ACCEPT_BACKLOG: u32 = 1024;
/// Minimum bytes of a compressed body; shorter ones would grow.
pub const COMPRESSED_FROM: u64 = 128;
/// `Access-Control-Max-Age` of preflight responses: the maximum that Chrome honours.
pub const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// Addresses and features of the HTTP server.
#[derive(Debug, Clone, Args)]
pub struct ServerSettings {
    /// Address and port to listen on
    #[arg(long, env = "LISTEN", value_parser = listen, default_value = "127.0.0.1:8000", global = true, hide_env_values = true)]
    pub listen: SocketAddr,

    /// Address and port of a second listener, for health checks alone
    #[arg(long, env = "METRICS_LISTEN", value_parser = listen, global = true, hide_env_values = true)]
    pub metrics_listen: Option<SocketAddr>,

    /// Public URL of the server (default: http:// and LISTEN; localhost and its port if that is 0.0.0.0 or [::])
    #[arg(long, env = "PUBLIC_URL", value_parser = public_url, global = true, hide_env_values = true)]
    pub public_url: Option<String>,

    /// Hosts that requests may name, comma separated; `*` for any, `*.app.example` for any one label (default: any; in production that of `PUBLIC_URL`)
    #[arg(long, env = "ALLOWED_HOSTS", value_parser = allowed_host, value_delimiter = ',', global = true, hide_env_values = true)]
    pub allowed_hosts: Vec<String>,

    /// Maximum time of a readiness probe, in milliseconds
    #[arg(id = "readiness_timeout_ms", long = "readiness-timeout-ms", env = "READINESS_TIMEOUT_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub readiness_timeout: Duration,

    /// Time for which a server that was told to stop still serves while it is not ready, in milliseconds (default: 0; 5000 in production)
    #[arg(id = "shutdown_delay_ms", long = "shutdown-delay-ms", env = "SHUTDOWN_DELAY_MS", value_parser = milliseconds_or_none, global = true, hide_env_values = true)]
    pub shutdown_delay: Option<Duration>,

    /// Allowed CORS origins, comma separated; `*` for any, `https://*.app.example` for any one label
    #[arg(long, env = "CORS_ORIGINS", value_parser = origin, value_delimiter = ',', global = true, hide_env_values = true)]
    pub cors_origins: Vec<String>,

    /// Serve GraphiQL (default: on; off in production)
    #[arg(long, env = "GRAPHIQL", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub graphiql: Option<bool>,

    /// Allow introspection (default: on; off in production)
    #[arg(long, env = "INTROSPECTION", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub introspection: Option<bool>,

    /// Write objects that are in memory directly as JSON; if off, fields are resolved one by one, with the same responses
    #[arg(long, env = "FAST_JSON", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub fast_json: bool,

    /// Path of a JSON file of trusted documents, keyed by SHA-256
    #[arg(long, env = "TRUSTED_DOCUMENTS", value_parser = file, global = true, hide_env_values = true)]
    pub trusted_documents: Option<PathBuf>,

    /// Execute trusted documents only
    #[arg(long, env = "TRUSTED_DOCUMENTS_ONLY", value_parser = yes_or_no, default_value = "false", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub trusted_documents_only: bool,
}

impl ServerSettings {
    /// True if `CORS_ORIGINS` names this origin, as it is or with a wildcard for its first label. A lone `*`
    /// names none.
    #[must_use]
    pub fn names_origin(&self, origin: &str) -> bool {
        self.cors_origins.iter().any(|pattern| matches_origin(pattern, origin))
    }
}

fn matches_origin(pattern: &str, origin: &str) -> bool {
    let Some((scheme, domain)) = pattern.split_once("*.") else { return pattern == origin };
    let is_label = |text: &str| !text.is_empty() && text.bytes().all(is_label_byte);
    origin
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_suffix(domain)?.strip_suffix('.'))
        .is_some_and(is_label)
}

/// True if a pattern of `ALLOWED_HOSTS` matches a host in lower case without brackets.
#[must_use]
pub fn matches_host(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim_matches(['[', ']']);
    let Some(domain) = pattern.strip_prefix("*.") else { return pattern == host };
    host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain)
}

const fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() {
        return Ok(path);
    }
    Err("the path of an existing file".to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:8000".to_owned())
}

fn public_url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    if WebOrigin::of_url(text).is_some() {
        return Ok(text.to_owned());
    }
    Err("an address in ASCII that begins with http:// or https://".to_owned())
}

/// An origin as browsers send it: scheme and host in lower case, without the scheme's default port. A trailing
/// slash, which address bars show, is removed.
fn origin(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
    let default_port = if text.starts_with("https:") { ":443" } else { ":80" };
    let text = text.strip_suffix(default_port).unwrap_or(&text);
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if text == "*" || authority.is_some_and(is_authority) {
        return Ok(text.to_owned());
    }
    Err("origins such as https://app.example or https://*.app.example, comma separated, or *"
        .to_owned())
}

/// A host without a port: a name, whose first label may be `*`, an address, or `*` alone.
fn allowed_host(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let is_bracketed = text.starts_with('[') && is_authority(&text) && text.ends_with(']');
    if text == "*" || is_host(&text) || is_bracketed {
        return Ok(text);
    }
    Err("hosts without ports, such as app.example or *.app.example, comma separated, or *"
        .to_owned())
}

/// A host, and a port if there is one.
fn is_authority(text: &str) -> bool {
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if let Some((address, port)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(text),
    }
}

/// A name of labels, the first of which may be `*`. A wildcard directly below a top-level domain would match the sites
/// of everybody; `localhost` is the exception.
fn is_host(text: &str) -> bool {
    let is_name = |name: &str| {
        name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_label_byte))
    };
    match text.strip_prefix("*.") {
        Some(domain) => is_name(domain) && (domain.contains('.') || domain == "localhost"),
        None => is_name(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_send_them() {
        for (given, read) in [
            ("*", "*"),
            ("https://app.example", "https://app.example"),
            (" https://App.Example/ ", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://app.example:80", "https://app.example:80"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://*.app.example", "https://*.app.example"),
            ("http://*.localhost:5173", "http://*.localhost:5173"),
        ] {
            assert_eq!(origin(given), Ok(read.to_owned()), "{given}");
        }
        for given in [
            "",
            "app.example",
            "ftp://app.example",
            "https://",
            "https://*",
            "https://*.",
            "https://*.example",
            "https://*.*.app.example",
            "https://a.*.example",
            "https://a*.app.example",
            "https://*a.app.example",
            "*.app.example",
            "https://app.example/path",
            "https://app.example?query",
            "https://user@app.example",
            "https://app..example",
            "https://app.example:port",
            "https://app.example:65536",
            "https://app.example:+80",
            "https://app.example:",
            "https://bücher.example",
            "http://[::1",
            "http://[::1]8000",
            "null",
        ] {
            assert!(origin(given).is_err(), "{given}");
        }
    }

    #[test]
    fn allowed_hosts_are_names_and_addresses_without_ports() {
        for (given, read) in [
            ("*", "*"),
            ("app.example", "app.example"),
            (" App.Example ", "app.example"),
            ("*.app.example", "*.app.example"),
            ("localhost", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(allowed_host(given), Ok(read.to_owned()), "{given}");
        }
        for given in [
            "",
            "app.example:443",
            "https://app.example",
            "*.example",
            "a*.example",
            "[::1]:80",
            "[x]",
        ] {
            assert!(allowed_host(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_wildcard_is_one_label() {
        for (pattern, origin, matches) in [
            ("https://app.example", "https://app.example", true),
            ("https://app.example", "https://b.app.example", false),
            ("https://*.app.example", "https://b.app.example", true),
            ("https://*.app.example", "https://b-1_c.app.example", true),
            ("https://*.app.example", "https://app.example", false),
            ("https://*.app.example", "https://.app.example", false),
            ("https://*.app.example", "https://a.b.app.example", false),
            ("https://*.app.example", "https://a.app.example:8443", false),
            ("https://*.app.example", "https://a.example/.app.example", false),
            ("https://*.app.example", "https://a@b.app.example", false),
            ("https://*.app.example", "http://b.app.example", false),
            ("https://*.app.example:8443", "https://b.app.example:8443", true),
            ("*", "https://app.example", false),
            ("*", "null", false),
        ] {
            assert_eq!(matches_origin(pattern, origin), matches, "{pattern} {origin}");
        }
    }
}
