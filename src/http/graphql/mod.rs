//! `/graphql`, by the GraphQL-over-HTTP specification.
//!
//! A request is read and bounded, its document passes the guard, its viewer is found, and only then
//! is it executed. What is wrong with the request itself is a 4xx in any case; what is wrong with
//! the document is a 400 for clients that understand `application/graphql-response+json` and a 200
//! with errors for older ones.

mod cache_headers;
mod request;
mod request_memo;
mod response;
mod response_cache;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_graphql::Variables;
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::time::timeout;
use tracing::Instrument;

use super::App;
use super::graphiql;
use super::negotiation::{MediaType, accepted, is_json};
use super::request_log::{RequestId, RequestMetrics};
use super::viewer::{access_token, caller, set_cookie};
use crate::cache::Source;
use crate::cache::scope::{beginnings, surrogate_keys};
use crate::cache::statistics::Lookups;
use crate::config::database::ANSWER_RESERVE;
use crate::db::{Position, Session};
use crate::domain::error_code::ErrorCode;
use crate::domain::lock::lock;
use crate::domain::viewer::{Reader, Viewer};
use crate::graphql::cache_hints::{Audience, Hints, Outside};
use crate::graphql::context::{Caller, RequestContext, source_of};
use crate::graphql::documents::{DocumentError, DocumentSource};
use crate::graphql::errors::settled;
use crate::graphql::guard::{CheckedDocument, CheckedOperation};
use crate::graphql::one_pass::Plans;
use crate::graphql::variables::prepare_variables;
use crate::services::throttle::{Key, Remaining};
use crate::services::tokens::AccessToken;
use cache_headers::CacheHeaders;
use request::{read_body, read_json, read_query_string};
pub use request_memo::{FastPath, RequestMemo};
use response::CacheMetadata;
pub(super) use response::ErrorChain;
pub use response::{GraphqlResponse, HttpError};

/// `/graphql`, any method.
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let is_bare_get = request.method() == Method::GET && request.uri().query().is_none();
    let offered: &[MediaType] = if is_bare_get && app.services.settings.graphiql() {
        &[MediaType::GraphqlResponse, MediaType::Json, MediaType::Html]
    } else {
        &[MediaType::GraphqlResponse, MediaType::Json]
    };
    let media_type = match accepted(request.headers(), offered) {
        Some(MediaType::Html) => return graphiql::page(State(app), Extension(id)).await,
        Some(media_type) => media_type,
        None => {
            let error = HttpError::new(
                StatusCode::NOT_ACCEPTABLE,
                ErrorCode::BadUserInput,
                "answers are application/graphql-response+json or application/json",
            )
            .with_detail("argument", "accept".into());
            return GraphqlResponse::from(error).into_response(&id);
        }
    };
    let whole = app.services.settings.limits.request_timeout;
    let until = Instant::now() + whole.saturating_sub(ANSWER_RESERVE.min(whole / 2));
    let answer = match timeout(whole, answer(&app, request, media_type, until)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => GraphqlResponse::of_error(error, media_type),
        Err(_) => GraphqlResponse::of_error(
            HttpError::timeout(StatusCode::GATEWAY_TIMEOUT, "the request took too long"),
            media_type,
        ),
    };
    answer.into_response(&id)
}

async fn answer(
    app: &Arc<App>,
    request: Request,
    media_type: MediaType,
    until: Instant,
) -> Result<GraphqlResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let caller = caller(&parts, &app.services.settings);
    let access = access_token(&parts.headers, &app.services.tokens);
    let key = match &access {
        Ok(Some(access)) => Key::Account(access.user),
        Ok(None) | Err(_) => Key::address(caller.address),
    };
    // Before anything is read of it: a refusal is to cost nothing.
    let remaining = settled(app.services.throttle.request(key))?;
    let asked_by = (caller, access, key);
    let answer = answer_counted(app, (parts, body), asked_by, (media_type, until)).await;
    let Some(remaining) = remaining.and_then(|remaining| rate_limit(&remaining)) else {
        return answer;
    };
    match answer {
        Ok(answer) => Ok(answer.with_header(RATE_LIMIT, remaining)),
        Err(error) => Err(error.with_header_value(RATE_LIMIT, remaining)),
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is left of the limit, as the header says it: so many requests at once, and in so many seconds
/// all of them.
fn rate_limit(remaining: &Remaining) -> Option<HeaderValue> {
    let seconds = remaining.whole_after.as_millis().div_ceil(1_000);
    HeaderValue::try_from(format!("\"requests\";r={};t={seconds}", remaining.amount)).ok()
}

async fn answer_counted(
    app: &Arc<App>,
    (parts, body): (Parts, Body),
    (mut caller, access, key): (Caller, Result<Option<AccessToken>, HttpError>, Key),
    (media_type, until): (MediaType, Instant),
) -> Result<GraphqlResponse, HttpError> {
    let settings = &app.services.settings;
    let is_get = parts.method == Method::GET;
    let request = match parts.method {
        Method::GET => read_query_string(parts.uri.query(), &settings.limits)?,
        Method::POST => {
            if !is_json(&parts.headers) {
                let error = HttpError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    ErrorCode::BadUserInput,
                    "the body must be application/json in UTF-8",
                );
                return Err(error.with_detail("argument", "content-type".into()));
            }
            read_json(&read_body(body, &settings.limits).await?, &settings.limits)?
        }
        _ => {
            return Err(HttpError::method_not_allowed(
                "GET, POST",
                "the method must be GET or POST",
            ));
        }
    };
    let registers = matches!(request.document, DocumentSource::TextToKeep(..));
    let name = request.operation_name.as_deref();
    let found = app.documents.find(&request.document);
    // Who has no good token may still get one. All others hear of the token before anything else.
    let is_ignored = access.is_err()
        && match &found {
            Ok(document) => {
                document.operation(name).is_ok_and(|operation| begins_session(&operation))
            }
            // It may be a login: that shows when the client has sent its text.
            Err(error) => matches!(error, DocumentError::NotFound),
        };
    if !is_ignored {
        caller.access = access?;
    }
    let document = found?;
    let operation = document.operation(name)?;
    let kind = operation.kind();
    if is_get && kind != OperationType::Query {
        return Err(HttpError::method_not_allowed("POST", "only queries are executed over GET"));
    }
    if operation.asks_for_schema() && !settings.introspection() {
        return Err(HttpError::introspection_is_off());
    }
    document.check_variables(&request.variables, app.documents.limits())?;
    let token = token_of(&parts.headers);
    let staleness = settings.cache.peers.staleness;
    let asked = OperationRequest {
        caller,
        key,
        document: Arc::clone(&document),
        name: request.operation_name,
        variables: request.variables,
        until,
        token,
        bypass_cache: token.is_some_and(|token| !app.database.has_long_had(token, staleness)),
        conditions: if is_get { conditions(&parts.headers) } else { Vec::new() },
        registers,
    };
    let hints = hints_for(&operation, asked.caller.viewer());
    let may_be_kept = app.services.cache.keeps_answers() && !asked.bypass_cache;
    if let Some(hints) = hints.filter(|_| may_be_kept) {
        let form = (media_type, response_cache::encoding_for(&parts.headers));
        return response_cache::answer(app, asked, (hints, operation.name()), form).await;
    }
    if kind != OperationType::Mutation {
        return execute(app, asked, media_type).await;
    }
    // What writes is finished whether or not the client still listens.
    let app = Arc::clone(app);
    let writes = app.writes.clone();
    let execution = async move { execute(&app, asked, media_type).await };
    let written = writes.spawn(execution.instrument(tracing::Span::current()));
    written.await.unwrap_or_else(|_| Err(HttpError::internal()))
}

fn begins_session(operation: &CheckedOperation<'_>) -> bool {
    operation.kind() == OperationType::Mutation
        && operation.root_fields().iter().all(|field| BEGIN_SESSIONS.contains(field))
}

/// Mutations that are for people without a good access token.
const BEGIN_SESSIONS: [&str; 4] = ["login", "register", "refreshSession", "__typename"];

/// What a client asks for, found good.
struct OperationRequest {
    caller: Caller,
    key: Key,
    document: Arc<CheckedDocument>,
    name: Option<String>,
    variables: Variables,
    /// After which a connection is of no use any more.
    until: Instant,
    /// What the client has written.
    token: Option<Position>,
    /// Whether that may not have been purged here yet.
    bypass_cache: bool,
    /// Of which entity tags the client has the answer. A query that is sent by POST is answered whole.
    conditions: Vec<HeaderValue>,
    /// Whether it is to be found by its hash from now on.
    registers: bool,
}

fn conditions(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()
}

/// What the table says of an operation, if its answer to that viewer is what it says.
fn hints_for<'a>(operation: &CheckedOperation<'a>, viewer: Viewer) -> Option<&'a Hints> {
    operation.hints().filter(|hints| match hints.audience {
        Audience::Everybody => true,
        Audience::SignedOut => viewer == Viewer::Anonymous,
    })
}

async fn execute(
    app: &App,
    asked: OperationRequest,
    media_type: MediaType,
) -> Result<GraphqlResponse, HttpError> {
    let OperationRequest {
        caller, key, document, name, variables, until, token, bypass_cache, ..
    } = asked;
    let conditions = asked.conditions;
    let operation = document.operation(name.as_deref())?;
    let hints = hints_for(&operation, caller.viewer());
    let mut runnable = document.document().clone();
    let variables = prepare_variables(&mut runnable, operation.name(), variables)?;
    let reader = reader_of(&caller);
    let writes = operation.kind() == OperationType::Mutation;
    let session = if writes {
        app.database.session_until(until)
    } else {
        app.database.session_of_reader(reader, token, until)
    };
    let session = session.of_operation(operation.name());
    let settings = &app.services.settings;
    let is_one_pass = settings.server.one_pass_pages && !document.merges_objects();
    let plans = Arc::new(Plans::new(is_one_pass));
    let mut context = RequestContext::new(
        caller,
        (app.database.clone(), session.clone()),
        Arc::clone(&app.services),
        Arc::clone(app.documents.limits()),
        Arc::clone(&plans),
    );
    context.bypass_cache = bypass_cache;
    let batches = context.loaders.batches.clone();
    let viewer = context.current_viewer();
    let cookie = Arc::clone(&context.cookie);
    let has_checked_password = Arc::clone(&context.has_checked_password);
    let lookups = Arc::clone(&context.lookups);
    let (made_with, as_of) = (context.made_with.clone(), context.as_of());
    let limits = app.documents.limits();
    let cost = operation.cost(app.documents.costs(), &variables, limits);
    // Whether the viewer is an admin costs a statement, so it is asked only where it matters.
    let is_for_admins = cost.allowed(limits.cost, limits).is_err();
    if is_for_admins {
        let viewer = batches.run_beside(context.viewer_row()).await?;
        let is_admin = viewer.is_some_and(|viewer| viewer.is_admin);
        cost.allowed(if is_admin { limits.admin_cost } else { limits.cost }, limits)?;
    }
    settled(app.services.throttle.cost(key, cost.objects))?;

    let mut request = async_graphql::Request::new(String::new()).variables(variables).data(context);
    if let Some(name) = operation.name() {
        request = request.operation_name(name);
    }
    request.set_parsed_query(runnable);
    let response = batches.run_beside(app.schema.execute(request)).await;
    let mut answer = GraphqlResponse::of_response(response, &settings.limits, media_type);
    if let Some(hints) = hints {
        let mut scopes = made_with.so_far();
        scopes.extend(hints.made_with.iter().cloned());
        // Letters, digits, `-` and `_`, and blanks between them.
        let keys = HeaderValue::try_from(surrogate_keys(&scopes));
        let keys = keys.unwrap_or(HeaderValue::from_static(""));
        // What others have changed is not known then, and the cards in memory may be old.
        let is_known = app.services.cache.peers().is_open();
        let outside = if is_known { hints.outside } else { Outside::Ask };
        let publication = CacheHeaders { outside, remaining: hints.ttl, keys };
        answer = answer.published(publication, conditions);
        // Whoever is no admin is refused an operation of that cost.
        if source_of(&session) == Source::Primary && !is_for_admins {
            let scopes = beginnings(&scopes);
            answer = answer.keepable(CacheMetadata { scopes, as_of, ttl: hints.ttl });
        }
    }
    answer.figures = figures(&operation, &session, (&plans, lookups.so_far()));
    // They would tell whether there is such a user.
    answer.figures.redacted = has_checked_password.load(Ordering::Relaxed);
    if writes {
        // Whoever has logged in with it asks under another name from now on.
        let account = viewer.get().user_id().map(Reader::Account);
        let names: Vec<Reader> = account.into_iter().chain([reader]).collect();
        if let Some(position) = app.database.note_write(&names, &session).await {
            answer = answer.with_header(CONSISTENCY_TOKEN, token_header(position));
            if let Some(shared) = app.services.cache.shared() {
                // Where it cannot be told, the token still does it.
                let _ = Box::pin(shared.tell_of_writers(names)).await;
            }
        }
    } else {
        app.database.note_read(reader, &session);
    }
    let cookie = lock(&cookie).take();
    let now = app.services.clock.now();
    if let Some(header) = cookie.and_then(|change| set_cookie(&change, now)) {
        answer = answer.with_header(header::SET_COOKIE, header);
    }
    Ok(answer)
}

/// What a mutation answers and clients may send back, so that they find there what they have written.
pub const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("x-consistency-token");

fn token_header(position: Position) -> HeaderValue {
    // Letters and digits.
    HeaderValue::try_from(position.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// A token that is none of ours says nothing.
fn token_of(headers: &HeaderMap) -> Option<Position> {
    Position::read_token(headers.get(CONSISTENCY_TOKEN)?.to_str().ok()?)
}

fn reader_of(caller: &Caller) -> Reader {
    match caller.viewer().user_id() {
        Some(user) => Reader::Account(user),
        None => Reader::Address(caller.address),
    }
}

fn figures(
    operation: &CheckedOperation<'_>,
    session: &Session,
    (plans, lookups): (&Plans, Lookups),
) -> RequestMetrics {
    RequestMetrics {
        operation: operation.name().map(str::to_owned),
        statements: session.count().statements(),
        rows: session.count().rows(),
        sql_time: session.count().time(),
        pool_wait: session.count().waited(),
        lookups,
        pages: plans.count(),
        redacted: false,
        error: None,
    }
}
