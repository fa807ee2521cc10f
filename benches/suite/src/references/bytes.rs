//! A handler that sends one response of the server to every request: its status, headers and body.

use std::future::ready;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde::{Deserialize, Serialize};

use super::{Plan, start_with};
use crate::Outcome;
use crate::bench::Bench;
use crate::client::HttpResponse;
use crate::processes::Process;

/// Headers that every HTTP server adds itself, and headers of the transfer.
const NOT_OWN: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

/// The response to send.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Starts a reference with that response.
pub fn start(bench: &Bench, response: &HttpResponse) -> Outcome<Process> {
    let headers = own_headers(response).map(|(name, value)| (name, value.to_owned())).collect();
    let stored = StoredResponse { status: response.status(), headers, body: response.body.clone() };
    start_with(bench, &Plan::Bytes(stored))
}

/// Headers that the handler of a response set, in lower case.
pub fn own_headers(response: &HttpResponse) -> impl Iterator<Item = (String, &str)> {
    let headers = response.headers().map(|(name, value)| (name.to_ascii_lowercase(), value));
    headers.filter(|(name, _)| !NOT_OWN.contains(&name.as_str()))
}

impl StoredResponse {
    pub(super) fn router(self) -> Outcome<Router> {
        let status = StatusCode::from_u16(self.status)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let body = Bytes::from(self.body);
        // The request body is read, as any handler does.
        let response = move |_: Bytes| {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            ready(response)
        };
        Ok(Router::new().route("/graphql", any(response)))
    }
}
