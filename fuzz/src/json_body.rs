//! Target `json_body`: the JSON of a GraphQL request.

use std::sync::LazyLock;

use async_graphql::Value as Constant;
use serde_json::Value as Json;
use wasteland_tarot::config::limits::Limits;
use wasteland_tarot::domain::error_code::ErrorCode;
use wasteland_tarot::graphql::documents::DocumentSource;
use wasteland_tarot::http::graphql::error::HttpError;
use wasteland_tarot::http::graphql::request::{GraphqlRequest, read_json};

use crate::guard::assert_is_short;
use crate::input::Size;
use crate::server::settings;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A member that [`Json`], and nothing else, reads as JSON within JSON.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

static LIMITS: LazyLock<Limits> = LazyLock::new(|| settings("sqlite://unused.db").limits);

/// An accepted body is the JSON object that `serde_json` reads in the same bytes; a refusal is small, and has a
/// code and a place.
pub(crate) fn run(data: &[u8]) {
    let read = read_json(data, &LIMITS);
    let body = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(data);
    match (read, serde_json::from_slice::<Constant>(body)) {
        (Ok(request), Ok(parsed)) => {
            for variable in request.variables.values() {
                let Size { nesting, .. } = Size::of(variable);
                assert!(nesting <= LIMITS.document.nesting, "a variable nested {nesting} times");
            }
            if !has_raw_value(&parsed) {
                assert_same(request, body);
            }
        }
        (Ok(_), Err(error)) => panic!("accepted, and no JSON: {error}"),
        (Err(refusal), parsed) => assert_well_formed(&refusal, parsed.is_ok()),
    }
}

/// Members of the request and of the body are the same.
fn assert_same(request: GraphqlRequest, body: &[u8]) {
    let Ok(Json::Object(body)) = serde_json::from_slice(body) else {
        panic!("accepted, and no object")
    };
    let text = |name: &str| body.get(name).and_then(Json::as_str);
    match &request.document {
        DocumentSource::Text(query) => assert_eq!(Some(query.as_str()), text("query")),
        DocumentSource::TextToRegister(query, _) => {
            assert_eq!(Some(query.as_str()), text("query"));
            assert!(body.contains_key("extensions"), "a hash from nowhere");
        }
        DocumentSource::Hash(_) => {
            assert!(body.contains_key("extensions") || body.contains_key("documentId"));
        }
    }
    let operation_name = text("operationName").filter(|name| !name.is_empty());
    assert_eq!(request.operation_name.as_deref(), operation_name);
    let variables = request.variables.into_value().into_json().expect("constants are JSON");
    let sent = body.get("variables").filter(|variables| !variables.is_null());
    assert_eq!(variables, sent.cloned().unwrap_or_else(|| serde_json::json!({})));
}

fn has_raw_value(value: &Constant) -> bool {
    match value {
        Constant::List(items) => items.iter().any(has_raw_value),
        Constant::Object(members) => {
            members.contains_key(RAW_VALUE) || members.values().any(has_raw_value)
        }
        _ => false,
    }
}

fn assert_well_formed(refusal: &HttpError, is_json: bool) {
    let HttpError { status, code, message, details, .. } = refusal;
    assert!(status.is_client_error(), "{status}");
    assert_is_short(message);
    let expected = match code {
        ErrorCode::BadUserInput => "argument",
        ErrorCode::QueryTooLarge => "what",
        ErrorCode::PersistedQueryNotFound => return,
        _ => panic!("the code {code}"),
    };
    assert!(details.iter().any(|(name, _)| *name == expected), "no place: {refusal:?}");
    let is_syntax_error = message.starts_with("the body is not JSON");
    assert!(!(is_syntax_error && is_json), "JSON, and refused as none: {message}");
    if is_syntax_error {
        assert!(message.contains(" at line ") && message.contains(" column "), "{message}");
    }
}
