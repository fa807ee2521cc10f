//! Settings of throttling: how much one address or account may ask for in a while.

use clap::Args;
use ipnet::IpNet;

/// How much may be asked for. Zero turns a limit off.
#[derive(Debug, Clone, Args)]
pub struct ThrottleSettings {
    /// Requests a minute, by account, or by address where nobody is signed in; 0 is off, and turns the limit of cost off as well
    #[arg(long, env = "RATE_LIMIT", value_parser = amount, default_value = "600", global = true, hide_env_values = true)]
    pub rate_limit: u32,

    /// Cost points a minute, by account or address; 0 is off
    #[arg(long, env = "RATE_LIMIT_COST", value_parser = amount, default_value = "60000", global = true, hide_env_values = true)]
    pub rate_limit_cost: u32,

    /// Logins, and unlockings of share links, a minute by address; 0 is off
    #[arg(long, env = "LOGIN_RATE", value_parser = amount, default_value = "10", global = true, hide_env_values = true)]
    pub login_rate: u32,

    /// Wrong passwords an hour by account or share link; 0 is off
    #[arg(long, env = "LOGIN_FAILURE_RATE", value_parser = amount, default_value = "100", global = true, hide_env_values = true)]
    pub login_failure_rate: u32,

    /// Registrations an hour by address; 0 is off
    #[arg(long, env = "REGISTRATION_RATE", value_parser = amount, default_value = "20", global = true, hide_env_values = true)]
    pub registration_rate: u32,

    /// Mutations of an admin's a minute; 0 is off
    #[arg(long, env = "ADMIN_RATE", value_parser = amount, default_value = "30", global = true, hide_env_values = true)]
    pub admin_rate: u32,

    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed, comma separated
    #[arg(long, env = "TRUSTED_PROXIES", value_parser = network, value_delimiter = ',', global = true, hide_env_values = true)]
    pub trusted_proxies: Vec<IpNet>,
}

/// More than anybody can send.
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
