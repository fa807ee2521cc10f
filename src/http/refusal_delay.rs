//! Delay of responses with 429 to an address that goes on sending above its rate limit. Requests in flight bound what a flood can
//! cost: the connections of an address, and over HTTP/2 their streams.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::sleep;

use super::state::App;

/// Middleware: holds a 429 back until the address may get its next one, or the server stops. Around the access log, whose
/// durations are those of work.
pub(super) async fn delay_refusals(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let address = app.client_addresses.find(request.extensions(), request.headers());
    let response = next.run(request).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        let delay = app.services.refusal_pace.delay(address, Instant::now());
        if !delay.is_zero() {
            tokio::select! {
                () = sleep(delay) => {}
                () = app.stopping.cancelled() => {}
            }
        }
    }
    response
}
