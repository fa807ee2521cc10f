//! Settings of the HTTP server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::yes_or_no;

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

    /// Public URL of the server (default: http:// and LISTEN)
    #[arg(long, env = "PUBLIC_URL", value_parser = public_url, global = true, hide_env_values = true)]
    pub public_url: Option<String>,

    /// Allowed CORS origins, comma separated; `*` for any
    #[arg(long, env = "CORS_ORIGINS", value_parser = origin, value_delimiter = ',', global = true, hide_env_values = true)]
    pub cors_origins: Vec<String>,

    /// Serve GraphiQL (default: on; off in production)
    #[arg(long, env = "GRAPHIQL", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub graphiql: Option<bool>,

    /// Allow introspection (default: on; off in production)
    #[arg(long, env = "INTROSPECTION", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub introspection: Option<bool>,

    /// Serialize pages of readings directly to JSON (fast path); if off, fields are resolved one by one, with the same responses
    #[arg(long, env = "FAST_JSON_PAGES", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub fast_json_pages: bool,

    /// Path of a JSON file of trusted documents, keyed by SHA-256
    #[arg(long, env = "TRUSTED_DOCUMENTS", value_parser = file, global = true, hide_env_values = true)]
    pub trusted_documents: Option<PathBuf>,

    /// Execute trusted documents only
    #[arg(long, env = "TRUSTED_DOCUMENTS_ONLY", value_parser = yes_or_no, default_value = "false", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub trusted_documents_only: bool,
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
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err("an address that begins with http:// or https://".to_owned())
}

fn origin(text: &str) -> Result<String, String> {
    // As a browser's address bar has it; an `Origin` header has no slash.
    let text = text.trim().trim_end_matches('/');
    let is_origin = |rest: &str| !rest.is_empty() && !rest.contains('/');
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if text == "*" || host.is_some_and(is_origin) {
        return Ok(text.to_owned());
    }
    Err("origins such as https://app.example, comma separated, or *".to_owned())
}
