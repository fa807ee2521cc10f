//! The pipeline of `/graphql`. [`respond`] has all steps in their order, which is part of the API: a client
//! above its rate limit is refused before its request is read, and an invalid access token is reported
//! before any error of the document, except to operations that begin, renew or end a session.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use tracing::Instrument;

use super::cache_headers::if_none_match_values;
use super::cached_execution::get_or_execute;
use super::cost_report::CostReporting;
use super::error::HttpError;
use super::execution::execute;
use super::operation_request::{OperationRequest, Strategy, hints_for};
use super::request::{GraphqlRequest, read_body, read_json, read_query_string};
use super::response::GraphqlResponse;
use crate::config::limits::Limits;
use crate::domain::error_code::ErrorCode;
use crate::graphql::context::Caller;
use crate::graphql::documents::{DocumentError, DocumentSource};
use crate::graphql::errors::{ApiError, without_user_errors};
use crate::graphql::guard::{CheckedDocument, CheckedOperation};
use crate::http::client_address::ClientAddress;
use crate::http::compression::preferred_encoding;
use crate::http::consistency_token::parse_token;
use crate::http::negotiation::{MediaType, is_json_content_type};
use crate::http::rate_limit::{RATE_LIMIT, rate_limit};
use crate::http::state::App;
use crate::http::viewer::{access_token, caller, check_revocation};
use crate::services::admission::Work;
use crate::services::rate_limits::ClientKey;
use crate::services::tokens::AccessClaims;

/// Mutations for which an invalid access token is ignored.
const SESSION_MUTATIONS: [&str; 5] =
    ["login", "register", "refreshSession", "logout", "__typename"];

/// An HTTP request of `/graphql`, but for its body.
pub(super) struct HttpRequest {
    /// Method, address, headers and extensions.
    pub(super) parts: Parts,
    /// Negotiated media type of the response.
    pub(super) media_type: MediaType,
    /// Time after which a database connection is of no use any more.
    pub(super) deadline: Instant,
}

/// Sender of a request. An invalid access token is an error only once the document is known.
struct Sender {
    caller: Caller,
    access: Result<Option<AccessClaims>, HttpError>,
    client: ClientKey,
}

/// Sender of a request that may be executed.
struct AuthenticatedSender {
    caller: Caller,
    client: ClientKey,
}

/// Runs a request.
///
/// # Errors
///
/// The request is refused before its execution. The rate limit is in the headers of errors as well.
pub(super) async fn respond(
    app: &Arc<App>,
    http: HttpRequest,
    body: Body,
) -> Result<GraphqlResponse, HttpError> {
    let sender = identify(app, &http.parts);
    let rate_limit = limit_rate(app, &sender.client)?;
    let if_none_match = conditions(&http.parts);
    let steps = async {
        shed_load(app, &sender)?;
        let request = parse(&http.parts, body, &app.services.settings.limits).await?;
        let document = find_document(app, &request.document, sender.client).await?;
        let sender =
            authenticate(app, sender, &request, document.as_deref(), http.deadline).await?;
        let operation = plan(app, http, sender, request, document?)?;
        match operation.strategy {
            Strategy::ResponseCache(hints) => get_or_execute(app, hints, operation).await,
            Strategy::Execute => execute(app, operation).await,
            Strategy::ExecuteDetached => execute_detached(app, operation).await,
        }
    };
    finish(steps.await, if_none_match, rate_limit)
}

/// Reads address, cookie and access token, which are in the headers alone.
fn identify(app: &App, parts: &Parts) -> Sender {
    let address = ClientAddress::of(&parts.extensions);
    let caller = caller(parts, address, &app.services.settings);
    let access = access_token(&parts.headers, &app.services);
    let client = match &access {
        Ok(Some(access)) => ClientKey::account(access.user, caller.address),
        Ok(None) | Err(_) => ClientKey::anonymous(caller.address),
    };
    Sender { caller, access, client }
}

/// Refuses a request that would not be admitted, before its body is read. A request without an account may be served from
/// the response cache, so it is refused when it would be executed.
fn shed_load(app: &App, sender: &Sender) -> Result<(), ApiError> {
    match sender.access {
        Ok(Some(_)) => {
            let checked = app.services.admission.check(Some(&sender.client));
            checked.map_err(|_| ApiError::Busy)
        }
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Counts the request before anything of it is read: a refusal must cost nothing. Returns the value of the
/// `ratelimit` header, if there is a limit.
fn limit_rate(app: &App, client: &ClientKey) -> Result<Option<HeaderValue>, ApiError> {
    let remaining = without_user_errors(app.services.rate_limits.check_request(client))?;
    Ok(remaining.and_then(|remaining| rate_limit(&remaining)))
}

/// Values of `If-None-Match` of a GET. A POST has no conditional form.
fn conditions(parts: &Parts) -> Vec<HeaderValue> {
    if parts.method == Method::GET { if_none_match_values(&parts.headers) } else { Vec::new() }
}

/// Reads the GraphQL request from the query string or the body.
async fn parse(parts: &Parts, body: Body, limits: &Limits) -> Result<GraphqlRequest, HttpError> {
    match parts.method {
        Method::GET => read_query_string(parts.uri.query(), limits),
        Method::POST if parts.headers.get_all(header::CONTENT_TYPE).iter().count() > 1 => {
            Err(HttpError::bad("content-type", "there may be one `content-type` header"))
        }
        Method::POST if is_json_content_type(&parts.headers) => {
            read_json(&read_body(&parts.headers, body, limits).await?, limits)
        }
        Method::POST => {
            let error = HttpError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ErrorCode::BadUserInput,
                "the body must be application/json in UTF-8",
            );
            Err(error.with_detail("argument", "content-type".into()))
        }
        _ => {
            let message = "the method must be GET, HEAD or POST";
            Err(HttpError::method_not_allowed("GET, HEAD, POST", message))
        }
    }
}

/// Finds the document, and parses one that is not in the cache. Parsing is work, which is admitted like an execution: new
/// documents of one client delay its own requests only.
///
/// # Errors
///
/// Refused admission. The result within is that of the document.
async fn find_document(
    app: &App,
    source: &DocumentSource,
    client: ClientKey,
) -> Result<Result<Arc<CheckedDocument>, DocumentError>, ApiError> {
    if let Some(result) = app.documents.find_parsed(source) {
        return Ok(result);
    }
    let admission = app.services.admission.admit(client, Work::Parsing);
    let _permit = admission.await.map_err(|_| ApiError::Busy)?;
    Ok(app.documents.find(source))
}

/// Applies the access token. An invalid one is ignored by mutations that issue a new one or end the session.
async fn authenticate(
    app: &App,
    sender: Sender,
    request: &GraphqlRequest,
    document: Result<&CheckedDocument, &DocumentError>,
    deadline: Instant,
) -> Result<AuthenticatedSender, HttpError> {
    let Sender { mut caller, access, client } = sender;
    let name = request.operation_name.as_deref();
    let access = match access {
        Ok(Some(access)) => check_revocation(app, &access, deadline).await.map(|()| Some(access)),
        access => access,
    };
    let ignores_access_token = || match document {
        Ok(document) => {
            document.operation(name).is_ok_and(|operation| ignores_access_token(&operation))
        }
        // An unknown hash may be that of a login: the client sends the text next.
        Err(error) => matches!(error, DocumentError::NotFound),
    };
    caller.access = match access {
        Err(_) if ignores_access_token() => None,
        access => access?,
    };
    Ok(AuthenticatedSender { caller, client })
}

fn ignores_access_token(operation: &CheckedOperation<'_>) -> bool {
    operation.kind() == OperationType::Mutation
        && operation
            .root_fields()
            .iter()
            .all(|field| SESSION_MUTATIONS.contains(&field.name.node.as_str()))
}

/// Finds the operation in the document, checks that the request may execute it, and chooses how.
fn plan(
    app: &App,
    http: HttpRequest,
    sender: AuthenticatedSender,
    request: GraphqlRequest,
    document: Arc<CheckedDocument>,
) -> Result<OperationRequest, HttpError> {
    let HttpRequest { parts, media_type, deadline } = http;
    let settings = &app.services.settings;
    let operation = document.operation(request.operation_name.as_deref())?;
    if parts.method == Method::GET && operation.kind() != OperationType::Query {
        return Err(HttpError::method_not_allowed("POST", "only queries are executed over GET"));
    }
    if operation.selects_schema() && !settings.introspection() {
        return Err(HttpError::introspection_disabled());
    }
    document.check_variables(&request.variables, app.documents.limits())?;
    let cost_reporting = CostReporting::of(&parts.headers)?;
    let consistency_token = parse_token(&parts.headers);
    let staleness = settings.cache.coherence.staleness;
    let bypass_cache =
        consistency_token.is_some_and(|token| !app.database.primary_reached(token, staleness));
    let may_use_cache = app.services.cache.responses().is_available() && !bypass_cache;
    // The points that remain are those of one client.
    let is_shareable = may_use_cache && cost_reporting == CostReporting::Off;
    let hints = hints_for(&operation, sender.caller.viewer()).filter(|_| is_shareable);
    let strategy = match (hints, operation.kind()) {
        (Some(hints), _) => Strategy::ResponseCache(hints.into()),
        (None, OperationType::Mutation) => Strategy::ExecuteDetached,
        (None, OperationType::Query | OperationType::Subscription) => Strategy::Execute,
    };
    Ok(OperationRequest {
        strategy,
        caller: sender.caller,
        client: sender.client,
        connection: parts.extensions.get().cloned(),
        registers_document: matches!(request.document, DocumentSource::TextToRegister(..)),
        operation_name: request.operation_name,
        variables: request.variables,
        deadline,
        consistency_token,
        bypass_cache,
        media_type,
        encoding: preferred_encoding(&parts.headers),
        cost_reporting,
        document,
    })
}

/// Executes a mutation in a task of its own: it ends even if the client disconnects.
async fn execute_detached(
    app: &Arc<App>,
    request: OperationRequest,
) -> Result<GraphqlResponse, HttpError> {
    let state = Arc::clone(app);
    let execution = async move { execute(&state, request).await };
    let task = app.writes.spawn(execution.instrument(tracing::Span::current()));
    task.await.unwrap_or_else(|_| Err(HttpError::internal()))
}

/// Applies the conditions of the request, and adds the rate limit to the headers.
fn finish(
    result: Result<GraphqlResponse, HttpError>,
    if_none_match: Vec<HeaderValue>,
    rate_limit: Option<HeaderValue>,
) -> Result<GraphqlResponse, HttpError> {
    let result = result.map(|response| response.if_none_match(if_none_match));
    let Some(rate_limit) = rate_limit else { return result };
    match result {
        Ok(response) => Ok(response.with_header(RATE_LIMIT, rate_limit)),
        Err(error) => Err(error.with_header_value(RATE_LIMIT, rate_limit)),
    }
}
