//! Public answers that are kept as bytes, and given again before the schema is entered: nothing is
//! executed and nothing is read from the database.

use std::fmt::Write as _;
use std::future::ready;
use std::sync::Arc;

use async_graphql::{Value, Variables};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256};
use tower::{Layer, ServiceExt, service_fn};

use super::request_memo::CacheHit;
use super::response::{GraphqlResponse, HttpError};
use super::{App, OperationRequest, execute, reader_of};
use crate::cache::answers::{AnswerKey, Given, KeptAnswer, Question};
use crate::graphql::cache_hints::{Audience, Hints};
use crate::http::compression;
use crate::http::negotiation::MediaType;

/// The encodings of bodies that are kept, the best first, as the layer of compression ranks them.
const ENCODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// The encoding that a client gets whose header names encodings and says nothing else. What has weights
/// or wildcards is left to the layer of compression.
pub(super) fn encoding_for(headers: &HeaderMap) -> Option<&'static str> {
    let mut best = None;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let value = value.to_str().ok()?;
        if value.contains([';', '*']) {
            return None;
        }
        for name in value.split(',').map(str::trim) {
            let place = ENCODINGS.iter().position(|encoding| encoding.eq_ignore_ascii_case(name));
            best = match (best, place) {
                (Some(best), Some(place)) => Some(usize::min(best, place)),
                (best, place) => best.or(place),
            };
        }
    }
    best.map(|place| ENCODINGS[place])
}

/// The answer to a query of which every field is public: a kept one, or one that is made now and kept.
///
/// A kept answer counts as a request, and costs nothing beside: the limit on cost is for the objects
/// that are loaded, and none is.
///
/// # Errors
///
/// Those of the execution.
pub(super) async fn answer(
    app: &App,
    asked: OperationRequest,
    (hints, operation): (&Hints, Option<&str>),
    (media_type, encoding): (MediaType, Option<&'static str>),
) -> Result<GraphqlResponse, HttpError> {
    let (cache, now) = (&app.services.cache, app.services.clock.now());
    let conditions = asked.conditions.clone();
    let question = Question {
        document: asked.document.hash(),
        operation: operation.map(Box::from),
        variables: Sha256::digest(canonical_json(&asked.variables)).into(),
        is_for_signed_out: hints.audience == Audience::SignedOut,
    };
    let mut key =
        AnswerKey { question: Arc::new(question), media_type: media_type.content_type(), encoding };
    let (outside, registers) = (hints.outside, asked.registers);
    let reader = reader_of(&asked.caller);
    let given = |kept: KeptAnswer, key: AnswerKey| {
        app.database.note_kept(reader, kept.head.made_by);
        let remaining = kept.head.remaining(now);
        let answer = GraphqlResponse::of_cached(kept, (media_type, &key), (outside, remaining))
            .on_conditions(conditions.clone());
        // Who registers a document is to register it each time: it may have been forgotten.
        Ok(if registers { answer } else { answer.cache_hit(CacheHit { key, outside }) })
    };
    if let Some(kept) = cache.kept_answer(&key, now).await {
        cache.count_answer();
        return given(kept, key);
    }
    key.encoding = None;
    let kept = match encoding {
        Some(_) => cache.kept_answer(&key, now).await,
        None => None,
    };
    let kept = if let Some(kept) = kept {
        cache.count_answer();
        kept
    } else {
        let work = async {
            match execute(app, asked, media_type).await {
                Ok(answer) => answer.into_kept(cache, now),
                Err(error) => (Err(error), None),
            }
        };
        match cache.answer_once(&key, now, Box::pin(work)).await {
            Given::Own(answer) => return answer,
            Given::Kept(kept) => kept,
        }
    };
    let Some(encoding) = encoding else {
        return given(kept, key);
    };
    let Some(body) = compressed(kept.body.clone(), encoding).await else {
        return given(kept, key);
    };
    let kept = KeptAnswer { body, ..kept };
    key.encoding = Some(encoding);
    cache.keep_answer(key.clone(), kept.clone()).await;
    given(kept, key)
}

/// A body as the layer of compression makes it; nothing where it does not compress it.
async fn compressed(body: Bytes, encoding: &'static str) -> Option<Bytes> {
    let answer = service_fn(move |_: Request<Body>| {
        ready(Ok::<_, std::convert::Infallible>(Response::new(Full::new(body.clone()))))
    });
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    let answer = compression().layer(answer).oneshot(request).await.ok()?;
    let is_encoded = answer.headers().get(header::CONTENT_ENCODING)? == encoding;
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    is_encoded.then_some(body)
}

/// Variables as one text, in which the names are in order: the same variables are the same text.
fn canonical_json(variables: &Variables) -> String {
    let mut text = String::new();
    for (name, value) in variables.iter() {
        write_name(name, &mut text);
        write_canonical(value, &mut text);
    }
    text
}

fn write_name(name: &str, text: &mut String) {
    let _ = write!(text, "{}:{name}", name.len());
}

/// Every value tells where it ends, so that no two spell the same. Writing to a string cannot fail.
fn write_canonical(value: &Value, text: &mut String) {
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
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                write_name(name, text);
                write_canonical(value, text);
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled_json(json: serde_json::Value) -> String {
        canonical_json(&Variables::from_json(json))
    }

    #[test]
    fn the_same_variables_are_spelled_alike_and_others_are_not() {
        use serde_json::json;
        let one = json!({ "filter": { "suits": ["A"], "min": 1 }, "first": 2 });
        let other = json!({ "first": 2, "filter": { "min": 1, "suits": ["A"] } });
        assert_eq!(spelled_json(one), spelled_json(other));
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
        let spelled: std::collections::BTreeSet<_> =
            different.iter().cloned().map(spelled_json).collect();
        assert_eq!(spelled.len(), different.len(), "{spelled:?}");
    }

    #[test]
    fn encodings_are_those_of_headers_that_only_name_them() {
        let encoding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            encoding_for(&headers)
        };
        assert_eq!(encoding(&[]), None);
        assert_eq!(encoding(&["gzip, deflate, br, zstd"]), Some("zstd"));
        assert_eq!(encoding(&["GZIP", "br"]), Some("br"));
        assert_eq!(encoding(&["deflate, identity"]), None);
        assert_eq!(encoding(&["gzip;q=0"]), None);
        assert_eq!(encoding(&["gzip", "br;q=0.5"]), None);
        assert_eq!(encoding(&["*"]), None);
    }
}
