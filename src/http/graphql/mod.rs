//! `/graphql`, by the GraphQL-over-HTTP specification.
//!
//! A request is read and bounded, its document passes the guard, its viewer is found, and only then
//! is it executed. What is wrong with the request itself is a 4xx in any case; what is wrong with
//! the document is a 400 for clients that understand `application/graphql-response+json` and a 200
//! with errors for older ones.

mod answer;
mod request;

use std::sync::Arc;

use async_graphql::Variables;
use async_graphql::parser::types::OperationType;
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tokio::time::timeout;

use super::App;
use super::graphiql;
use super::negotiation::{MediaType, accepted, is_json};
use super::request_log::{RequestFigures, RequestId};
use super::viewer::viewer;
use crate::db::Session;
use crate::domain::viewer::Viewer;
use crate::graphql::context::RequestContext;
use crate::graphql::guard::{CheckedDocument, CheckedOperation};
use crate::graphql::one_pass::Plans;
use crate::graphql::variables::prepare_variables;
pub use answer::{Answer, HttpError};
use request::{read_body, read_query_string};

/// `/graphql`, any method.
pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let is_bare_get = request.method() == Method::GET && request.uri().query().is_none();
    let offered: &[MediaType] = if is_bare_get && app.settings.graphiql() {
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
    if operation.asks_for_schema() && !app.settings.introspection() {
        return Err(HttpError::introspection_is_off());
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
    let is_one_pass = app.settings.server.one_pass_pages && !document.merges_objects();
    let plans = Arc::new(Plans::new(is_one_pass));
    let context = RequestContext::new(
        viewer,
        session.clone(),
        Arc::clone(&app.catalogue),
        Arc::clone(app.documents.limits()),
        Arc::clone(&plans),
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
    let mut answer = Answer::of_response(response, &app.settings.limits, media_type);
    answer.figures = figures(operation, &session, &plans);
    Ok(answer)
}

fn figures(operation: &CheckedOperation<'_>, session: &Session, plans: &Plans) -> RequestFigures {
    RequestFigures {
        operation: operation.name().map(str::to_owned),
        statements: session.count().statements(),
        rows: session.count().rows(),
        sql_time: session.count().time(),
        pages: plans.count(),
        error: None,
    }
}
