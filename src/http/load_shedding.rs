//! Load shedding before anything of a request is read. Within the layer of CORS, so that scripts of other origins can
//! read the refusal.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use super::graphql::error::HttpError;
use super::graphql::handler::MEDIA_TYPES;
use super::graphql::response::GraphqlResponse;
use super::negotiation::{MediaType, negotiate};
use super::request_log::RequestId;
use super::state::{App, GRAPHQL_PATHS};
use crate::graphql::errors::ApiError;

/// Refuses a GraphQL request with an access token where no client would be admitted. Others may be served from the
/// response cache.
pub(super) async fn shed_load(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let is_private = request.headers().contains_key(header::AUTHORIZATION)
        && GRAPHQL_PATHS.contains(&request.uri().path());
    if !is_private || app.services.admission.check(None).is_ok() {
        return next.run(request).await;
    }
    let media_type = negotiate(request.headers(), MEDIA_TYPES).unwrap_or(MediaType::Json);
    let error = HttpError::from(ApiError::Busy);
    GraphqlResponse::of_error(error, media_type).into_response(&id)
}
