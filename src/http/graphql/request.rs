//! Reading a request, from a body or from a query string, within its limits.

use async_graphql::Variables;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::answer::HttpError;
use crate::config::limits::Limits;
use crate::graphql::guard::scan_json;

/// A request of the API, well formed.
pub(super) struct GraphqlRequest {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
}

/// Reads a body.
///
/// # Errors
///
/// It is too large, too slow, or no request.
pub(super) async fn read_body(body: Body, limits: &Limits) -> Result<GraphqlRequest, HttpError> {
    let maximum = limits.body_bytes;
    let too_large = || {
        let message = format!("the body is larger than {maximum} bytes");
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "QUERY_TOO_LARGE", message)
            .with_detail("what", "body".into())
            .with_detail("maximum", maximum.into())
    };
    // Said by `content-length`: nothing of it need be read.
    if body.size_hint().lower() > maximum as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(body, maximum).collect();
    let bytes: Bytes = match timeout(limits.body_timeout, whole).await {
        Err(_) => {
            let error = HttpError::timeout(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
            return Err(error.with_header(header::CONNECTION, "close"));
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(HttpError::bad("body", "the body could not be read")),
        Ok(Ok(body)) => body.to_bytes(),
    };
    scan_json(&bytes, &limits.document)?;
    let body: Json = serde_json::from_slice(&bytes)
        .map_err(|error| HttpError::bad("body", format!("the body is not JSON: {error}")))?;
    match body {
        Json::Object(mut members) => {
            let mut member = |name| members.remove(name).filter(|value| !value.is_null());
            let (query, operation_name) = (member("query"), member("operationName"));
            read_members(query, operation_name, member("variables"), member("extensions"))
        }
        Json::Array(_) => {
            Err(HttpError::bad("body", "batches of requests are off; send one request"))
        }
        _ => Err(HttpError::bad("body", "the body must be a JSON object")),
    }
}

/// The members of a request in the query string, `variables` and `extensions` as JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryString {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Reads a query string.
///
/// # Errors
///
/// It is too large, or no request.
pub(super) fn read_query_string(
    text: Option<&str>,
    limits: &Limits,
) -> Result<GraphqlRequest, HttpError> {
    let text = text.unwrap_or_default();
    if text.len() > limits.body_bytes {
        let maximum = limits.body_bytes;
        let message = format!("the query string is larger than {maximum} bytes");
        return Err(HttpError::new(StatusCode::URI_TOO_LONG, "QUERY_TOO_LARGE", message)
            .with_detail("what", "query string".into())
            .with_detail("maximum", maximum.into()));
    }
    let members: QueryString = serde_urlencoded::from_str(text).map_err(|error| {
        HttpError::bad("query", format!("the query string cannot be read: {error}"))
    })?;
    let json = |name: &'static str, text: Option<String>| match text.filter(|text| !text.is_empty())
    {
        None => Ok(None),
        Some(text) => {
            scan_json(text.as_bytes(), &limits.document)?;
            serde_json::from_str::<Option<Json>>(&text)
                .map_err(|error| HttpError::bad(name, format!("`{name}` is not JSON: {error}")))
        }
    };
    read_members(
        members.query.map(Json::String),
        members.operation_name.filter(|name| !name.is_empty()).map(Json::String),
        json("variables", members.variables)?,
        json("extensions", members.extensions)?,
    )
}

fn read_members(
    query: Option<Json>,
    operation_name: Option<Json>,
    variables: Option<Json>,
    extensions: Option<Json>,
) -> Result<GraphqlRequest, HttpError> {
    let text = |name: &'static str, value: Option<Json>| match value {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(HttpError::bad(name, format!("`{name}` must be a string"))),
    };
    let object = |name: &'static str, value: Option<Json>| match value {
        None => Ok(None),
        Some(value @ Json::Object(_)) => Ok(Some(value)),
        Some(_) => Err(HttpError::bad(name, format!("`{name}` must be an object"))),
    };
    let query = text("query", query)?.ok_or_else(|| {
        HttpError::bad("query", "`query` is missing: there is nothing to execute")
    })?;
    let operation_name = text("operationName", operation_name)?;
    let variables = object("variables", variables)?;
    object("extensions", extensions)?;
    Ok(GraphqlRequest {
        query,
        operation_name,
        variables: variables.map(Variables::from_json).unwrap_or_default(),
    })
}
