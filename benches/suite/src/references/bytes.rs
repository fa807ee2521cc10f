//! A handler that answers everything with one answer of the server's: its status, its headers, its body.

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
use crate::client::Answer;
use crate::processes::Process;

/// What every HTTP server says for itself, and how the bytes come.
const NOT_OWN: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Starts one with that answer.
pub fn start(bench: &Bench, answer: &Answer) -> Outcome<Process> {
    let headers = own_headers(answer).map(|(name, value)| (name, value.to_owned())).collect();
    let kept = Kept { status: answer.status(), headers, body: answer.body.clone() };
    start_with(bench, &Plan::Kept(kept))
}

/// The headers that the handler of an answer gave it, in lower case.
pub fn own_headers(answer: &Answer) -> impl Iterator<Item = (String, &str)> {
    let headers = answer.headers().map(|(name, value)| (name.to_ascii_lowercase(), value));
    headers.filter(|(name, _)| !NOT_OWN.contains(&name.as_str()))
}

impl Kept {
    pub(super) fn router(self) -> Outcome<Router> {
        let status = StatusCode::from_u16(self.status)?;
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let body = Bytes::from(self.body);
        // What is sent is read, as any handler does.
        let answer = move |_: Bytes| {
            let mut answer = Response::new(Body::from(body));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            ready(answer)
        };
        Ok(Router::new().route("/graphql", any(answer)))
    }
}
