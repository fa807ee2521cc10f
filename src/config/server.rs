//! Settings of the HTTP side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::yes_or_no;

/// Bytes of a body from which it is compressed. The shortest only grow by it.
pub const COMPRESSED_FROM: u64 = 128;
/// For how long browsers may keep what a page of another origin may send. Chrome keeps it no longer.
pub const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// Where the server listens and what it offers.
#[derive(Debug, Clone, Args)]
pub struct ServerSettings {
    /// Address and port to listen on
    #[arg(long, env = "LISTEN", value_parser = listen, default_value = "127.0.0.1:8000", global = true, hide_env_values = true)]
    pub listen: SocketAddr,

    /// The server's address as clients know it (default: http:// and LISTEN)
    #[arg(long, env = "PUBLIC_URL", value_parser = public_url, global = true, hide_env_values = true)]
    pub public_url: Option<String>,

    /// Origins whose pages may call the server, comma separated; `*` for any
    #[arg(long, env = "CORS_ORIGINS", value_parser = origin, value_delimiter = ',', global = true, hide_env_values = true)]
    pub cors_origins: Vec<String>,

    /// Whether GraphiQL is served (on, and off in production)
    #[arg(long, env = "GRAPHIQL", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub graphiql: Option<bool>,

    /// Whether the schema may be asked for (on, and off in production)
    #[arg(long, env = "INTROSPECTION", value_parser = yes_or_no, global = true, hide_env_values = true)]
    pub introspection: Option<bool>,

    /// Whether pages of readings are written in one pass; if not, each field is resolved by itself, with the same answers
    #[arg(long, env = "ONE_PASS_PAGES", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub one_pass_pages: bool,

    /// A JSON file with the trusted documents, by the SHA-256 of each
    #[arg(long, env = "TRUSTED_DOCUMENTS", value_parser = file, global = true, hide_env_values = true)]
    pub trusted_documents: Option<PathBuf>,

    /// Whether nothing but the trusted documents is executed
    #[arg(long, env = "TRUSTED_DOCUMENTS_ONLY", value_parser = yes_or_no, default_value = "false", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub trusted_documents_only: bool,
}

fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_file() {
        return Ok(path);
    }
    Err("the path of a file that is there".to_owned())
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
