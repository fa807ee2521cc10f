//! Mutations with one input: requests, payloads and expected errors.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, TestResponse, data_of};

/// All fields of a user error.
pub const USER_ERRORS: &str = "userErrors { field message code min max resetsAt lockedUntil }";

fn document(mutation: &str, fields: &str) -> String {
    let (first, rest) = mutation.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    format!("mutation ($input: {input}!) {{ {mutation}(input: $input) {{ {fields} }} }}")
}

/// Runs that mutation as that user, or as nobody.
pub async fn mutate(
    app: &TestApp,
    viewer: Option<Uuid>,
    mutation: &str,
    input: &Value,
    fields: &str,
) -> TestResponse {
    let token = viewer.map(|user| app.token_of(user));
    let body = json!({ "query": document(mutation, fields), "variables": { "input": input } });
    app.send(token.as_deref(), &body).await
}

/// The payload of a mutation that must have no errors at the top.
pub async fn payload(
    app: &TestApp,
    viewer: Uuid,
    mutation: &str,
    input: Value,
    fields: &str,
) -> Value {
    data_of(mutate(app, Some(viewer), mutation, &input, fields).await)[mutation].take()
}

/// The user errors of a mutation.
pub async fn refusals(app: &TestApp, viewer: Uuid, mutation: &str, input: Value) -> Value {
    payload(app, viewer, mutation, input, USER_ERRORS).await["userErrors"].take()
}

/// A user error, in a list of its own. An empty path is the whole input.
pub fn refusal(path: &[&str], code: &str, message: &str, bounds: [Option<i32>; 2]) -> Value {
    let field: Vec<&str> = std::iter::once("input").chain(path.iter().copied()).collect();
    json!([{
        "field": if path.is_empty() { Value::Null } else { json!(field) },
        "message": message,
        "code": code,
        "min": bounds[0],
        "max": bounds[1],
        "resetsAt": null,
        "lockedUntil": null,
    }])
}

/// The whole body of a mutation that failed at the top.
pub fn failure(mutation: &str, message: &str, extensions: &Value) -> Value {
    let start = document(mutation, "").find(" { ").expect("a selection") + 4;
    let mut error = json!({
        "message": message,
        "locations": [{ "line": 1, "column": start }],
        "path": [mutation],
        "extensions": extensions,
    });
    error["extensions"]["requestId"] = "ID".into();
    json!({ "data": { mutation: null }, "errors": [error] })
}

/// The body where nobody is signed in.
pub fn unauthenticated(mutation: &str) -> Value {
    let message = "this needs an access token; log in first";
    failure(mutation, message, &json!({ "code": "UNAUTHENTICATED" }))
}

/// The body where the viewer has no such object.
pub fn not_found(mutation: &str, what: &str) -> Value {
    failure(mutation, &format!("there is no such {what}"), &json!({ "code": "NOT_FOUND" }))
}
