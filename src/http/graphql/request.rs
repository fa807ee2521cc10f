//! Parsing of a GraphQL request from a body or a query string, within its limits.

use async_graphql::{Value, Variables};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::time::timeout;

use super::error::HttpError;
use crate::config::limits::Limits;
use crate::domain::error_code::ErrorCode;
use crate::graphql::document_hash::DocumentHash;
use crate::graphql::documents::DocumentSource;
use crate::graphql::guard::scan_json;
use crate::http::negotiation::has_content_encoding;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A well-formed GraphQL request.
pub struct GraphqlRequest {
    /// Document, or its hash.
    pub document: DocumentSource,
    /// Name of the operation to execute; never empty.
    pub operation_name: Option<String>,
    /// Variables as they were sent.
    pub variables: Variables,
}

/// Reads the bytes of a body.
///
/// # Errors
///
/// The body is compressed, larger than `limits.body_bytes`, or did not arrive within `limits.body_timeout`.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Bytes, HttpError> {
    if has_content_encoding(headers) {
        return Err(compressed_body());
    }
    let maximum = limits.body_bytes;
    let too_large = || {
        let message = format!("the body is larger than {maximum} bytes");
        HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::QueryTooLarge, message)
            .with_detail("what", "body".into())
            .with_detail("maximum", maximum.into())
            // The client would keep sending otherwise (RFC 9110, section 15.5.14).
            .with_header(header::CONNECTION, "close")
    };
    // By `content-length`, before anything is read.
    if body.size_hint().lower() > maximum as u64 {
        return Err(too_large());
    }
    let whole = Limited::new(body, maximum).collect();
    match timeout(limits.body_timeout, whole).await {
        Err(_) => {
            let error = HttpError::timeout(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
            Err(error.with_header(header::CONNECTION, "close"))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(HttpError::bad("body", "the body could not be read")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

/// Error of a compressed body. `Accept-Encoding` names the supported encoding (RFC 9110, section 15.5.16).
fn compressed_body() -> HttpError {
    let message = "the body must not be compressed; send it without `content-encoding`";
    HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadUserInput, message)
        .with_detail("argument", "content-encoding".into())
        .with_header(header::ACCEPT_ENCODING, "identity")
}

/// Parses the JSON of a body. A byte order mark before it is ignored (RFC 8259, section 8.1).
///
/// # Errors
///
/// The body is no GraphQL request, or its JSON is too deep.
pub fn read_json(body: &[u8], limits: &Limits) -> Result<GraphqlRequest, HttpError> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return Err(HttpError::bad("body", "the body is empty: send a JSON object with a `query`"));
    }
    scan_json(body, &limits.document)?;
    // Not `serde_json::Value`: with the feature `raw_value`, which axum enables, that reads a string as JSON where it is
    // the member of a private name, and so past the limit of nesting.
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| HttpError::bad("body", format!("the body is not JSON: {error}")))?;
    match body {
        Value::Object(mut members) => {
            let mut member = |name| members.swap_remove(name).filter(|value| *value != Value::Null);
            read_members(Members {
                query: member("query"),
                document_id: member("documentId"),
                operation_name: member("operationName"),
                variables: member("variables"),
                extensions: member("extensions"),
            })
        }
        Value::List(_) => {
            Err(HttpError::bad("body", "batches of requests are off; send one request"))
        }
        _ => Err(HttpError::bad("body", "the body must be a JSON object")),
    }
}

/// Parameters of the query string; `variables` and `extensions` are JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryString {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Parses a query string.
///
/// # Errors
///
/// The query string is larger than `limits.body_bytes`, or no GraphQL request.
pub(super) fn read_query_string(
    text: Option<&str>,
    limits: &Limits,
) -> Result<GraphqlRequest, HttpError> {
    let text = text.unwrap_or_default();
    if text.len() > limits.body_bytes {
        let maximum = limits.body_bytes;
        let message = format!("the query string is larger than {maximum} bytes");
        return Err(HttpError::new(StatusCode::URI_TOO_LONG, ErrorCode::QueryTooLarge, message)
            .with_detail("what", "query string".into())
            .with_detail("maximum", maximum.into()));
    }
    // The parser would read any other byte as U+FFFD. All separators are ASCII, so the parts are UTF-8 if the whole
    // is.
    if percent_decode_str(text).decode_utf8().is_err() {
        return Err(HttpError::bad("query", "the query string must be UTF-8"));
    }
    let members: QueryString = serde_urlencoded::from_str(text).map_err(|error| {
        HttpError::bad("query", format!("the query string cannot be read: {error}"))
    })?;
    // An empty optional parameter is absent (GraphQL over HTTP, section "GET").
    let optional = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Value::String);
    let json = |name: &'static str, text: Option<String>| match text.filter(|text| !text.is_empty())
    {
        None => Ok(None),
        Some(text) => {
            scan_json(text.as_bytes(), &limits.document)?;
            serde_json::from_str::<Option<Value>>(&text)
                .map_err(|error| HttpError::bad(name, format!("`{name}` is not JSON: {error}")))
        }
    };
    read_members(Members {
        query: members.query.map(Value::String),
        document_id: optional(members.document_id),
        operation_name: optional(members.operation_name),
        variables: json("variables", members.variables)?,
        extensions: json("extensions", members.extensions)?,
    })
}

/// Members of a request, from a body or a query string. A member that is null is absent.
struct Members {
    query: Option<Value>,
    document_id: Option<Value>,
    operation_name: Option<Value>,
    variables: Option<Value>,
    extensions: Option<Value>,
}

fn read_members(members: Members) -> Result<GraphqlRequest, HttpError> {
    let text = |name: &'static str, value: Option<Value>| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(HttpError::bad(name, format!("`{name}` must be a string"))),
    };
    let object = |name: &'static str, value: Option<Value>| match value {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err(HttpError::bad(name, format!("`{name}` must be an object"))),
    };
    let query = text("query", members.query)?;
    let document_id = text("documentId", members.document_id)?;
    // An empty one is absent, as in a query string: no operation has that name.
    let operation_name =
        text("operationName", members.operation_name)?.filter(|name| !name.is_empty());
    let variables = object("variables", members.variables)?.map(Value::Object);
    let extensions = object("extensions", members.extensions)?;
    let persisted_query = extensions
        .as_ref()
        .and_then(|extensions| extensions.get("persistedQuery"))
        .filter(|persisted_query| **persisted_query != Value::Null);
    Ok(GraphqlRequest {
        document: read_source(query, document_id, persisted_query)?,
        operation_name,
        variables: variables.map(Variables::from_value).unwrap_or_default(),
    })
}

/// Source of the document: its text, the identifier of a trusted document, or the hash of an automatic
/// persisted query (Apollo's protocol).
fn read_source(
    query: Option<String>,
    document_id: Option<String>,
    persisted_query: Option<&Value>,
) -> Result<DocumentSource, HttpError> {
    let hash = persisted_query.map(read_persisted_query).transpose()?;
    match (query, document_id, hash) {
        (None, Some(id), None) => read_document_id(&id),
        (_, Some(_), _) => Err(HttpError::bad(
            "documentId",
            "`documentId` names the whole document; send no `query` and no `persistedQuery` with it",
        )),
        (Some(text), None, None) => Ok(DocumentSource::Text(text)),
        (Some(text), None, Some(hash)) => Ok(DocumentSource::TextToRegister(text, hash)),
        (None, None, Some(hash)) => Ok(DocumentSource::Hash(hash)),
        (None, None, None) => {
            Err(HttpError::bad("query", "`query` is missing: there is nothing to execute"))
        }
    }
}

/// Parses `extensions.persistedQuery`. Members that the protocol does not define are ignored: clients add
/// their own.
fn read_persisted_query(value: &Value) -> Result<DocumentHash, HttpError> {
    const VERSION: u64 = 1;
    let bad =
        |what: &str| HttpError::bad("extensions", format!("`extensions.persistedQuery{what}"));
    let Value::Object(members) = value else { return Err(bad("` must be an object")) };
    match members.get("version") {
        Some(Value::Number(version)) if version.as_u64() == Some(VERSION) => {}
        _ => return Err(bad(".version` must be 1")),
    }
    let hash = match members.get("sha256Hash") {
        Some(Value::String(hash)) => read_hash(hash),
        _ => None,
    };
    hash.ok_or_else(|| bad(".sha256Hash` must be 64 hexadecimal digits in lower case"))
}

/// Parses a hash in hexadecimal digits, with or without the prefix `sha256:`. Both members accept both, because code
/// generators write either into their manifests.
fn read_hash(text: &str) -> Option<DocumentHash> {
    DocumentHash::from_hex(text.strip_prefix("sha256:").unwrap_or(text))
}

/// Parses a document identifier of GraphQL over HTTP, appendix A.
fn read_document_id(id: &str) -> Result<DocumentSource, HttpError> {
    // A hash without `sha256:`, as code generators write it, is an identifier whose meaning the
    // specification leaves to the server.
    if let Some(hash) = read_hash(id) {
        return Ok(DocumentSource::Hash(hash));
    }
    let is_name = |text: &str| {
        let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !text.is_empty() && text.bytes().all(may_be)
    };
    let is_identifier = match id.split_once(':') {
        None => is_name(id),
        Some((prefix, payload)) => {
            prefix.strip_prefix("x-").is_some_and(is_name) && is_name(payload)
        }
    };
    // Other kinds of identifiers are well formed and unknown here.
    if is_identifier {
        return Err(HttpError::persisted_query_not_found());
    }
    Err(HttpError::bad(
        "documentId",
        "`documentId` must be `sha256:` and 64 hexadecimal digits in lower case",
    ))
}
