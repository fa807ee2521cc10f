//! `/graphql`, by the GraphQL-over-HTTP specification.
//!
//! A request is read and bounded, its document passes the guard, its viewer is found, and only then
//! is it executed. What is wrong with the request itself is a 4xx in any case; what is wrong with
//! the document is a 400 for clients that understand `application/graphql-response+json` and a 200
//! with errors for older ones.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{ErrorExtensionValues, ServerError, Value, Variables};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::time::timeout;

use super::App;
use super::graphiql;
use super::negotiation::{MediaType, accepted, is_json};
use super::request_log::{RequestFigures, RequestId};
use super::viewer::viewer;
use crate::config::limits::{Limits, MESSAGE_CHARACTERS};
use crate::db::{DbError, Session};
use crate::domain::viewer::Viewer;
use crate::graphql::context::RequestContext;
use crate::graphql::errors::{ApiError, INTERNAL};
use crate::graphql::guard::{CheckedDocument, CheckedOperation, Refusal, scan_json};
use crate::graphql::variables::prepare_variables;

/// A failed request, before anything was executed.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Vec<(&'static str, Value)>,
    location: Option<async_graphql::Pos>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the request was well formed and only its document is at fault.
    is_of_document: bool,
}

impl HttpError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: bounded(&message.into()),
            details: Vec::new(),
            location: None,
            headers: Vec::new(),
            is_of_document: false,
        }
    }

    fn bad(argument: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", message)
            .with_detail("argument", argument.into())
    }

    fn with_detail(mut self, name: &'static str, value: Value) -> Self {
        self.details.push((name, value));
        self
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// There is nothing at this address.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address")
    }

    /// Something failed that should not.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "something went wrong on our side")
    }

    /// The `Authorization` header is not good.
    #[must_use]
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    fn of_document(mut self) -> Self {
        self.is_of_document = true;
        self
    }

    fn method_not_allowed(allow: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "BAD_USER_INPUT", message)
            .with_detail("argument", "method".into())
            .with_header(header::ALLOW, allow)
    }

    fn timeout(status: StatusCode, message: &'static str) -> Self {
        Self::new(status, "TIMEOUT", message)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Self {
            details: refusal.details(),
            location: refusal.location(),
            ..Self::new(StatusCode::BAD_REQUEST, refusal.code(), refusal.to_string()).of_document()
        }
    }
}

impl From<ApiError> for HttpError {
    fn from(error: ApiError) -> Self {
        if error.is_internal() {
            tracing::error!(error = %WithSources(&error), "a request failed before its execution");
        }
        let mut extensions = ErrorExtensionValues::default();
        error.add_details(&mut extensions);
        let with_details = |http_error: Self| {
            ["argument", "retryAfterMs"].into_iter().fold(http_error, |http_error, name| {
                match extensions.get(name).cloned() {
                    Some(value) => http_error.with_detail(name, value),
                    None => http_error,
                }
            })
        };
        let with_status =
            |status| with_details(Self::new(status, error.code(), error.public_message()));
        match &error {
            ApiError::Unauthenticated => Self::unauthenticated(error.public_message()),
            ApiError::Database(DbError::Unavailable(_) | DbError::Deadline { .. }) => {
                with_status(StatusCode::SERVICE_UNAVAILABLE)
            }
            ApiError::Database(_) => with_status(StatusCode::INTERNAL_SERVER_ERROR),
            ApiError::BadInput { .. }
            | ApiError::PageSizeExceeded { .. }
            | ApiError::InvalidCursor { .. } => with_status(StatusCode::BAD_REQUEST).of_document(),
        }
    }
}

/// What is sent back.
pub struct Answer {
    status: StatusCode,
    media_type: MediaType,
    headers: Vec<(HeaderName, HeaderValue)>,
    figures: RequestFigures,
    data: Option<Value>,
    errors: Vec<ServerError>,
}

impl From<HttpError> for Answer {
    fn from(error: HttpError) -> Self {
        let mut server_error = ServerError::new(error.message, error.location);
        let extensions = server_error.extensions.get_or_insert_default();
        extensions.set("code", error.code);
        for (name, value) in error.details {
            extensions.set(name, value);
        }
        Self {
            status: error.status,
            media_type: MediaType::Json,
            headers: error.headers,
            figures: RequestFigures::default(),
            data: None,
            errors: vec![server_error],
        }
    }
}

impl Answer {
    fn of_error(error: HttpError, media_type: MediaType) -> Self {
        // Clients of `application/json` look at the status only to see whether they reached a
        // GraphQL server.
        let is_old_style = media_type == MediaType::Json && error.is_of_document;
        let mut answer = Self::from(error);
        if is_old_style {
            answer.status = StatusCode::OK;
        }
        answer.media_type = media_type;
        answer
    }

    /// As it is sent, with the request's id in every error.
    pub fn into_response(mut self, RequestId(id): &RequestId) -> Response {
        for error in &mut self.errors {
            error.message = in_house_style(&error.message);
            error.extensions.get_or_insert_default().set("requestId", id.as_str());
        }
        self.figures.error = self.errors.first().and_then(code_of);
        let body = AnswerBody { data: self.data.as_ref(), errors: &self.errors };
        let Ok(body) = serde_json::to_vec(&body) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type.content_type()));
        headers.append(header::VARY, HeaderValue::from_static("accept, authorization"));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value))
                .filter_map(|(name, value)| name.map(|name| (name, value))),
        );
        response.extensions_mut().insert(self.figures);
        response
    }
}

/// The answer as clients read it: `data` is absent when nothing was executed, `errors` when there
/// are none.
#[derive(Serialize)]
struct AnswerBody<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

fn code_of(error: &ServerError) -> Option<String> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code.clone()),
        _ => None,
    }
}

/// A request of the API, well formed.
struct GraphqlRequest {
    query: String,
    operation_name: Option<String>,
    variables: Variables,
}

/// `/graphql`, any method.
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let headers = request.headers();
    let is_get = request.method() == Method::GET;
    let offered: &[MediaType] = if is_get && app.settings.graphiql() {
        &[MediaType::GraphqlResponse, MediaType::Json, MediaType::Html]
    } else {
        &[MediaType::GraphqlResponse, MediaType::Json]
    };
    // `*/*` and nothing at all both mean an older client, so JSON stands first for them.
    let accepts_anything = accepted(headers, &[MediaType::Json, MediaType::GraphqlResponse]);
    let media_type = match accepted(headers, offered) {
        Some(MediaType::Html) if request.uri().query().is_none() => {
            return graphiql::page(State(app), Extension(id)).await;
        }
        Some(MediaType::GraphqlResponse) if names_graphql_response(headers) => {
            MediaType::GraphqlResponse
        }
        Some(_) if accepts_anything.is_some() => accepts_anything.unwrap_or(MediaType::Json),
        _ => {
            let error = HttpError::new(
                StatusCode::NOT_ACCEPTABLE,
                "BAD_USER_INPUT",
                "answers are application/graphql-response+json or application/json",
            )
            .with_detail("argument", "accept".into());
            return Answer::from(error).into_response(&id);
        }
    };
    let whole = app.settings.limits.request_timeout;
    let answer = match timeout(whole, answer(&app, request, media_type)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::of_error(error, media_type),
        Err(_) => Answer::of_error(
            HttpError::timeout(StatusCode::GATEWAY_TIMEOUT, "the request took too long"),
            media_type,
        ),
    };
    answer.into_response(&id)
}

fn names_graphql_response(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("application/graphql-response+json"))
}

async fn answer(app: &App, request: Request, media_type: MediaType) -> Result<Answer, HttpError> {
    let (parts, body) = request.into_parts();
    let is_get = parts.method == Method::GET;
    let request = match parts.method {
        Method::GET => read_query_string(parts.uri.query(), &app.settings.limits)?,
        Method::POST => {
            if !is_json(&parts.headers) {
                let error = HttpError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "BAD_USER_INPUT",
                    "the body must be application/json in UTF-8",
                );
                return Err(error.with_detail("argument", "content-type".into()));
            }
            read_body(body, &app.settings.limits).await?
        }
        _ => {
            return Err(HttpError::method_not_allowed(
                "GET, POST",
                "the method must be GET or POST",
            ));
        }
    };
    let viewer = viewer(&parts.headers, &app.tokens)?;
    let document = app.documents.check(&request.query)?;
    let operation = document.operation(request.operation_name.as_deref())?;
    if is_get && operation.kind() != OperationType::Query {
        return Err(HttpError::method_not_allowed("POST", "only queries are executed over GET"));
    }
    document.check_variables(&request.variables, app.documents.limits())?;
    execute(app, viewer, &document, &operation, request.variables, media_type).await
}

async fn execute(
    app: &App,
    viewer: Viewer,
    document: &CheckedDocument,
    operation: &CheckedOperation<'_>,
    variables: Variables,
    media_type: MediaType,
) -> Result<Answer, HttpError> {
    let mut runnable = document.document().clone();
    let variables = prepare_variables(&mut runnable, operation.name(), variables)?;
    let session = app.database.session();
    let context = RequestContext::new(
        viewer,
        session.clone(),
        Arc::clone(&app.catalogue),
        Arc::clone(app.documents.limits()),
    );
    let batches = context.loaders.batches.clone();
    let limits = app.documents.limits();
    let cost = operation.cost(app.documents.costs(), &variables, limits);
    // Whether the viewer is an admin costs a statement, so it is asked only where it matters.
    if cost.allowed(limits.cost, limits).is_err() {
        let viewer = batches.run_beside(context.viewer_row()).await?;
        let is_admin = viewer.is_some_and(|viewer| viewer.is_admin);
        cost.allowed(if is_admin { limits.admin_cost } else { limits.cost }, limits)?;
    }

    let mut request = async_graphql::Request::new(String::new()).variables(variables).data(context);
    if let Some(name) = operation.name() {
        request = request.operation_name(name);
    }
    request.set_parsed_query(runnable);
    let response = batches.run_beside(app.schema.execute(request)).await;
    let mut answer = finish(response, &app.settings.limits, media_type);
    answer.figures = figures(operation, &session);
    Ok(answer)
}

fn figures(operation: &CheckedOperation<'_>, session: &Session) -> RequestFigures {
    RequestFigures {
        operation: operation.name().map(str::to_owned),
        statements: session.count().statements(),
        rows: session.count().rows(),
        sql_time: session.count().time(),
        error: None,
    }
}

/// Turns what the library answered into what clients are promised.
fn finish(response: async_graphql::Response, limits: &Limits, media_type: MediaType) -> Answer {
    // Nothing was executed if no error stands at a field: the document is not valid.
    let is_refused = response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    let errors: Vec<ServerError> = response
        .errors
        .into_iter()
        .take(limits.errors)
        .map(|error| present(error, is_refused))
        .collect();
    let status = if is_refused && media_type == MediaType::GraphqlResponse {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Answer {
        status,
        media_type,
        headers: Vec::new(),
        figures: RequestFigures::default(),
        data: (!is_refused).then_some(response.data),
        errors,
    }
}

/// Gives an error its code and a message that may leave the house.
fn present(mut error: ServerError, is_refused: bool) -> ServerError {
    let mut extensions = error.extensions.take().unwrap_or_default();
    if let Some(cause) = error.source::<ApiError>().cloned() {
        if cause.is_internal() {
            let path = path_of(&error);
            tracing::error!(error = %WithSources(&cause), path, "a field failed");
        }
        extensions.set("code", cause.code());
        cause.add_details(&mut extensions);
        error.message = bounded(&cause.public_message());
    } else {
        // What the library itself refuses: a document that is not valid, or an argument's value.
        let code = if is_refused { "GRAPHQL_VALIDATION_FAILED" } else { "BAD_USER_INPUT" };
        extensions.set("code", code);
    }
    error.source = None;
    error.extensions = Some(extensions);
    error
}

/// An error with everything that caused it, for the log.
struct WithSources<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for WithSources<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn path_of(error: &ServerError) -> String {
    error
        .path
        .iter()
        .map(|segment| match segment {
            async_graphql::PathSegment::Field(name) => name.clone(),
            async_graphql::PathSegment::Index(index) => index.to_string(),
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Messages start in lower case, are of one line and bounded.
fn in_house_style(message: &str) -> String {
    let mut characters = message.lines().next().unwrap_or_default().chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    bounded(&first.chain(characters).collect::<String>())
}

/// What a client sent is quoted in messages, however long it was.
fn bounded(message: &str) -> String {
    if message.chars().count() <= MESSAGE_CHARACTERS {
        return message.to_owned();
    }
    message.chars().take(MESSAGE_CHARACTERS - 1).chain(['…']).collect()
}

async fn read_body(body: Body, limits: &Limits) -> Result<GraphqlRequest, HttpError> {
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

fn read_query_string(text: Option<&str>, limits: &Limits) -> Result<GraphqlRequest, HttpError> {
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
