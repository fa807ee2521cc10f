//! GraphiQL, embedded in the binary: it loads nothing from other hosts.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::graphql::error::HttpError;
use super::graphql::response::GraphqlResponse;
use super::negotiation::MediaType;
use super::request_log::RequestId;
use super::state::App;

#[derive(RustEmbed)]
#[folder = "src/http/graphiql/dist/"]
struct Dist;

/// Files of this server and nothing else. `data:` is for the editor, which draws the line under an error as
/// an image in the style sheet.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`, and `GET /graphql` for a browser: the page.
pub async fn page(State(app): State<Arc<App>>, Extension(id): Extension<RequestId>) -> Response {
    let Some(page) = Dist::get("index.html").filter(|_| app.services.settings.graphiql()) else {
        return GraphqlResponse::from(HttpError::not_found()).into_response(&id);
    };
    let headers = [
        (header::CONTENT_TYPE, MediaType::Html.content_type()),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept"),
    ];
    (headers, page.data).into_response()
}

/// `GET /graphiql/assets/{file}`: scripts, styles and workers. Their names change with their content, so
/// browsers may cache them for ever.
pub async fn asset(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    file: Result<Path<String>, PathRejection>,
) -> Response {
    let not_found = || GraphqlResponse::from(HttpError::not_found()).into_response(&id);
    // No path traversal.
    let is_name = |file: &str| !file.contains(['/', '\\']) && file != "..";
    let Some(file) = file.ok().map(|Path(file)| file).filter(|file| is_name(file)) else {
        return not_found();
    };
    let asset = Dist::get(&format!("assets/{file}")).filter(|_| app.services.settings.graphiql());
    let Some(asset) = asset else { return not_found() };
    let content_type = match file.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        // A worker runs under the policy of its own response.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    (headers, asset.data).into_response()
}
