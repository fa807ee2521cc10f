//! Delay of responses with 429 to an address that goes on sending above its rate limit. Requests in flight bound what a flood can
//! cost: the connections of an address, and over HTTP/2 their streams.

use std::net::IpAddr;
use std::time::Instant;

use tokio::time::sleep;

use super::state::App;

/// Holds a 429 back until the address may get its next one, or the server stops. Outside of the access log, whose durations are
/// those of work.
pub(super) async fn delay_refusal(app: &App, client: IpAddr) {
    let delay = app.services.refusal_pace.delay(client, Instant::now());
    if !delay.is_zero() {
        tokio::select! {
            () = sleep(delay) => {}
            () = app.stopping.cancelled() => {}
        }
    }
}
