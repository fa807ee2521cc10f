//! Settings of rate limits by address and account.

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use std::time::Duration;

/// Period of the login failure limit, and therefore the longest time for which a key is blocked.
pub const FAILURES_PERIOD: Duration = Duration::from_hours(1);

/// Period of the pace of refusals.
pub const REFUSAL_PERIOD: Duration = Duration::from_secs(1);

/// Maximum delay of a refusal.
pub const REFUSAL_DELAY_MAXIMUM: Duration = Duration::from_secs(10);

/// Rate limits; 0 turns a limit off.
#[derive(Debug, Clone, Args)]
pub struct RateLimitSettings {
    /// Requests per minute, by account, or by address of anonymous requests; 0 turns this limit and that of the cost off
    #[arg(long, env = "RATE_LIMIT", value_parser = amount, default_value = "600", global = true, hide_env_values = true)]
    pub rate_limit: u32,

    /// Cost points per minute, by account or address; 0 turns it off
    #[arg(long, env = "RATE_LIMIT_COST", value_parser = amount, default_value = "60000", global = true, hide_env_values = true)]
    pub rate_limit_cost: u32,

    /// Attempts to log in or to unlock a share link, per minute and address; 0 turns it off
    #[arg(long, env = "LOGIN_RATE", value_parser = amount, default_value = "10", global = true, hide_env_values = true)]
    pub login_rate: u32,

    /// Wrong passwords per hour, by login name over all unknown client networks, or by share link; 0 turns it off
    #[arg(long, env = "LOGIN_FAILURE_RATE", value_parser = amount, default_value = "100", global = true, hide_env_values = true)]
    pub login_failure_rate: u32,

    /// Registrations per hour and address; 0 turns it off
    #[arg(long, env = "REGISTRATION_RATE", value_parser = amount, default_value = "20", global = true, hide_env_values = true)]
    pub registration_rate: u32,

    /// Mutations per minute of an admin; 0 turns it off
    #[arg(long, env = "ADMIN_RATE", value_parser = amount, default_value = "30", global = true, hide_env_values = true)]
    pub admin_rate: u32,

    /// Responses with 429 per second to one address; later ones are delayed, by at most 10 s; 0 turns the delay off
    #[arg(long, env = "REFUSAL_RATE", value_parser = amount, default_value = "50", global = true, hide_env_values = true)]
    pub refusal_rate: u32,

    /// Addresses or networks of proxies that are trusted to report client addresses, comma separated
    #[arg(long, env = "TRUSTED_PROXIES", value_parser = network, value_delimiter = ',', global = true, hide_env_values = true)]
    pub trusted_proxies: Vec<IpNet>,

    /// Headers in which trusted proxies report client addresses, comma separated
    #[arg(
        long,
        env = "TRUSTED_PROXY_HEADERS",
        value_enum,
        ignore_case = true,
        value_delimiter = ',',
        default_value = "x-forwarded-for,forwarded",
        global = true,
        hide_env_values = true
    )]
    pub trusted_proxy_headers: Vec<ProxyHeader>,
}

/// Header in which a proxy reports the address of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, a list of addresses.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with the address in `for=`.
    Forwarded,
}

/// Upper bound of every rate limit: more than a client can send.
const AMOUNT_MAXIMUM: u32 = 100_000_000;

fn amount(text: &str) -> Result<u32, String> {
    super::whole_number(text, 0, AMOUNT_MAXIMUM)
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| "addresses or networks such as 10.0.0.0/8, comma separated".to_owned())
}
