//! Settings of client connections: what one client may hold of them, and how long a response may wait for it.

use std::time::Duration;

use clap::Args;

use super::{count, milliseconds, whole_number};

/// Pause after a failed accept, when no file descriptors are left, say.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Bytes that are read at a time, and discarded, from a client of a closed connection.
pub const LINGER_BUFFER_BYTES: usize = 8 * 1024;

/// Minimum interval between two warnings of connections above the limit of an address.
pub const ADDRESS_WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Bytes of a response over HTTP/2 that are handed to the connection at a time.
pub const STREAM_CHUNK_BYTES: usize = 16 * 1024;

/// Bytes of one response over HTTP/2 that its connection queues, beside what the client's window allows.
pub const STREAM_QUEUE_BYTES: usize = 4 * STREAM_CHUNK_BYTES;

/// Bytes at the end of a response over HTTP/2 that the connection may hold after the stream's task has ended.
pub const STREAM_TAIL_BYTES: usize = 1024;

/// Streams of an HTTP/2 connection that the server may reset because of errors of the client.
pub const STREAM_ERRORS_MAXIMUM: usize = 1_024;

/// Connections of `METRICS_LISTEN`.
pub const METRICS_CONNECTIONS_MAXIMUM: usize = 64;

/// Upper bound of `MAX_CONNECTIONS`: more sockets than one process can have.
const CONNECTIONS_MAXIMUM: usize = 1_000_000;

/// Upper bound of the bytes of responses: one response is counted with 32 bits.
const RESPONSE_BYTES_MAXIMUM: usize = u32::MAX as usize;

/// Limits of client connections.
#[derive(Debug, Clone, Args)]
pub struct ConnectionSettings {
    /// Maximum connections of one client address; of IPv6 of a /64 network, and 4 times as many of a /48
    #[arg(id = "max_connections_per_address", long = "max-connections-per-address", env = "MAX_CONNECTIONS_PER_ADDRESS", value_parser = connections, default_value = "100", global = true, hide_env_values = true)]
    pub per_address: usize,

    /// Maximum requests in flight on one HTTP/2 connection
    #[arg(id = "max_streams", long = "max-streams", env = "MAX_STREAMS", value_parser = count::<u32>, default_value = "100", global = true, hide_env_values = true)]
    pub streams: u32,

    /// Maximum requests of one HTTP/2 connection that the client may reset before they are served
    #[arg(id = "max_reset_streams", long = "max-reset-streams", env = "MAX_RESET_STREAMS", value_parser = connections, default_value = "20", global = true, hide_env_values = true)]
    pub reset_streams: usize,

    /// Time within which a client must take `WRITE_MINIMUM_BYTES` of a response, in milliseconds
    #[arg(id = "write_timeout_ms", long = "write-timeout-ms", env = "WRITE_TIMEOUT_MS", value_parser = milliseconds, default_value = "30000", global = true, hide_env_values = true)]
    pub write_timeout: Duration,

    /// Bytes of a response, or all the rest, that a client must take within `WRITE_TIMEOUT_MS`
    #[arg(id = "write_minimum_bytes", long = "write-minimum-bytes", env = "WRITE_MINIMUM_BYTES", value_parser = count::<usize>, default_value = "65536", global = true, hide_env_values = true)]
    pub write_minimum: usize,

    /// Maximum bytes of responses that wait to be sent on one connection
    #[arg(id = "max_unsent_bytes_per_connection", long = "max-unsent-bytes-per-connection", env = "MAX_UNSENT_BYTES_PER_CONNECTION", value_parser = response_bytes, default_value = "16777216", global = true, hide_env_values = true)]
    pub unsent_bytes_per_connection: usize,

    /// Maximum bytes of responses that wait to be sent to one client address; of IPv6 to a /64 network, and 4 times as many to a /48
    #[arg(id = "max_unsent_bytes_per_address", long = "max-unsent-bytes-per-address", env = "MAX_UNSENT_BYTES_PER_ADDRESS", value_parser = response_bytes, default_value = "33554432", global = true, hide_env_values = true)]
    pub unsent_bytes_per_address: usize,

    /// Maximum bytes of responses that wait to be sent to all clients
    #[arg(id = "max_unsent_bytes", long = "max-unsent-bytes", env = "MAX_UNSENT_BYTES", value_parser = response_bytes, default_value = "268435456", global = true, hide_env_values = true)]
    pub unsent_bytes: usize,
}

/// A number of connections.
pub(super) fn connections(text: &str) -> Result<usize, String> {
    whole_number(text, 1, CONNECTIONS_MAXIMUM)
}

fn response_bytes(text: &str) -> Result<usize, String> {
    whole_number(text, 1, RESPONSE_BYTES_MAXIMUM)
}
