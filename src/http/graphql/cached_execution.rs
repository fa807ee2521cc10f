//! Execution through the response cache: a cached public response is sent as its bytes, without execution and
//! without a statement.

use std::fmt::Write as _;
use std::sync::Arc;

use async_graphql::{Value, Variables};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::cache_headers::CacheHeaders;
use super::error::HttpError;
use super::execution::execute;
use super::operation_request::{OperationRequest, PublicHints};
use super::request_memo::CacheHit;
use super::response::{CachedBody, GraphqlResponse};
use crate::cache::response_cache::{
    CachedResponse, ComputedOrCached, OperationKey, ResponseCacheKey,
};
use crate::domain::viewer::ReaderId;
use crate::graphql::cache_hints::{Audience, Revalidation};
use crate::http::compression::compress;
use crate::http::negotiation::MediaType;
use crate::http::state::App;

/// Cached response to a query whose fields are all public; executes the query and caches its response if there
/// is none.
///
/// A cached response counts against the limit of requests and not against the limit of cost, because it loads
/// no object.
///
/// # Errors
///
/// The errors of the execution.
pub(super) async fn get_or_execute(
    app: &App,
    hints: PublicHints,
    request: OperationRequest,
) -> Result<GraphqlResponse, HttpError> {
    let (cache, now) = (&app.services.cache, app.services.clock.now());
    let delivery = Delivery::new(app, hints, &request, now);
    let encoding = request.encoding;
    let mut key = response_key(hints, &request)?;
    if let Some(cached) = cache.responses().get(&key, now).await {
        cache.responses().count_hit();
        return Ok(delivery.respond(cached, key));
    }
    key.encoding = None;
    let plain = match encoding {
        Some(_) => cache.responses().get(&key, now).await,
        None => None,
    };
    let plain = if let Some(plain) = plain {
        cache.responses().count_hit();
        plain
    } else {
        let compute = async {
            match execute(app, request).await.map(|response| response.into_computed(cache, now)) {
                Ok(computed) => (Ok(computed.response), computed.cached),
                Err(error) => (Err(error), None),
            }
        };
        match cache.responses().get_or_compute(&key, now, Box::pin(compute)).await {
            ComputedOrCached::Computed(response) => return response,
            ComputedOrCached::Cached(plain) => plain,
        }
    };
    let Some(encoding) = encoding else {
        return Ok(delivery.respond(plain, key));
    };
    let Some(body) = compress(plain.body.clone(), encoding).await else {
        return Ok(delivery.respond(plain, key));
    };
    let compressed = CachedResponse { body, ..plain };
    key.encoding = Some(encoding);
    cache.responses().insert(key.clone(), compressed.clone()).await;
    Ok(delivery.respond(compressed, key))
}

fn response_key(
    hints: PublicHints,
    request: &OperationRequest,
) -> Result<ResponseCacheKey, HttpError> {
    let operation = request.operation()?;
    let operation_key = OperationKey {
        document: request.document.hash(),
        operation: operation.name().map(Box::from),
        variables: Sha256::digest(canonical_json(&request.variables)).into(),
        signed_out_only: hints.audience == Audience::SignedOut,
    };
    Ok(ResponseCacheKey {
        operation_key: Arc::new(operation_key),
        media_type: request.media_type.content_type(),
        encoding: request.encoding,
    })
}

/// Parts of a request that its response from the cache depends on.
struct Delivery<'a> {
    app: &'a App,
    now: DateTime<Utc>,
    reader: ReaderId,
    revalidation: Revalidation,
    media_type: MediaType,
    registers_document: bool,
}

impl<'a> Delivery<'a> {
    fn new(
        app: &'a App,
        hints: PublicHints,
        request: &OperationRequest,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            app,
            now,
            reader: request.reader(),
            revalidation: hints.revalidation,
            media_type: request.media_type,
            registers_document: request.registers_document,
        }
    }

    fn respond(self, cached: CachedResponse, key: ResponseCacheKey) -> GraphqlResponse {
        let Self { app, now, reader, revalidation, media_type, registers_document } = self;
        app.database.record_cached_read(reader, cached.metadata.computed_at);
        let cache_headers = CacheHeaders {
            revalidation,
            remaining: cached.metadata.remaining(now),
            keys: cached.metadata.surrogate_keys.clone(),
        };
        let operation = key.operation_key.operation.as_deref().map(str::to_owned);
        let encoding = key.encoding;
        // A request that registers a document must reach the pipeline each time: the document may have
        // been evicted.
        let cache_hit = (!registers_document).then_some(CacheHit { key, revalidation });
        GraphqlResponse::of_cached(CachedBody {
            cached,
            media_type,
            encoding,
            cache_headers,
            operation,
            cache_hit,
        })
    }
}

/// Canonical text of variables, with names in their order: equal variables have equal texts. Each value is
/// delimited, so that different variables have different texts. The text is hashed and never parsed; lengths
/// replace the quotes and escapes of JSON.
fn canonical_json(variables: &Variables) -> String {
    let mut text = String::new();
    for (name, value) in variables.iter() {
        write_name(name, &mut text);
        write_value(value, &mut text);
    }
    text
}

// Writing to a string cannot fail.
fn write_name(name: &str, text: &mut String) {
    let _ = write!(text, "{}:{name}", name.len());
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push('n'),
        Value::Boolean(true) => text.push('t'),
        Value::Boolean(false) => text.push('f'),
        Value::Number(number) => drop(write!(text, "{number},")),
        Value::String(string) => drop(write!(text, "s{}:{string}", string.len())),
        Value::Enum(name) => drop(write!(text, "e{}:{name}", name.len())),
        Value::Binary(bytes) => drop(write!(text, "b{bytes:?}")),
        Value::List(items) => {
            text.push('[');
            for item in items {
                write_value(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                write_name(name, text);
                write_value(value, text);
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: serde_json::Value) -> String {
        canonical_json(&Variables::from_json(json))
    }

    #[test]
    fn equal_variables_have_equal_texts_and_others_do_not() {
        use serde_json::json;
        let one = json!({ "filter": { "suits": ["A"], "min": 1 }, "first": 2 });
        let other = json!({ "first": 2, "filter": { "min": 1, "suits": ["A"] } });
        assert_eq!(canonical(one), canonical(other));
        let different = [
            json!({}),
            json!({ "a": null }),
            json!({ "a": "" }),
            json!({ "a": 1 }),
            json!({ "a": 12 }),
            json!({ "a": 1.0 }),
            json!({ "a": "1" }),
            json!({ "a": true }),
            json!({ "a": [1, 2] }),
            json!({ "a": [12] }),
            json!({ "a": [[1], 2] }),
            json!({ "a": ["1", "2"] }),
            json!({ "a": ["1,s1:2"] }),
            json!({ "a": {} }),
            json!({ "a": { "b": 1 } }),
            json!({ "a": 1, "b": 1 }),
            json!({ "a1": "b" }),
        ];
        let texts: std::collections::BTreeSet<_> =
            different.iter().cloned().map(canonical).collect();
        assert_eq!(texts.len(), different.len(), "{texts:?}");
    }
}
