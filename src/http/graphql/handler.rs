//! The handler of `/graphql`: media type and time limit of a request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::time::timeout;

use super::error::HttpError;
use super::pipeline::{HttpRequest, respond};
use super::response::GraphqlResponse;
use crate::config::database::RESPONSE_RESERVE;
use crate::http::graphiql;
use crate::http::negotiation::{MediaType, negotiate};
use crate::http::request_log::RequestId;
use crate::http::state::App;

/// Media types of responses.
pub(in crate::http) const MEDIA_TYPES: &[MediaType] =
    &[MediaType::GraphqlResponse, MediaType::Json];

/// `/graphql`, any method.
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::HEAD {
        // Handled as GET; the router drops the body of the response (RFC 9110, section 9.3.2).
        parts.method = Method::GET;
    }
    let is_bare_get = parts.method == Method::GET && parts.uri.query().is_none();
    let offered: &[MediaType] = if is_bare_get && app.services.settings.graphiql() {
        &[MediaType::GraphqlResponse, MediaType::Json, MediaType::Html]
    } else {
        MEDIA_TYPES
    };
    let media_type = match negotiate(&parts.headers, offered) {
        Some(MediaType::Html) => return graphiql::page(State(app), Extension(id)).await,
        Some(media_type) => media_type,
        None => return GraphqlResponse::from(HttpError::not_acceptable()).into_response(&id),
    };
    let time_limit = app.services.settings.limits.request_timeout;
    let reserve = RESPONSE_RESERVE.min(time_limit / 2);
    let deadline = Instant::now() + time_limit.saturating_sub(reserve);
    let http = HttpRequest { parts, media_type, deadline };
    let result = timeout(time_limit, respond(&app, http, body)).await.unwrap_or_else(|_| {
        let message = "the request took too long";
        Err(HttpError::timeout(StatusCode::GATEWAY_TIMEOUT, message))
    });
    result.unwrap_or_else(|error| GraphqlResponse::of_error(error, media_type)).into_response(&id)
}
