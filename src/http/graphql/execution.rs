//! Execution of one operation: variables, database session, cost, the schema, and the metadata of the
//! response.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, Response, Value, Variables};
use axum::http::{HeaderValue, header};

use super::cache_headers::CacheHeaders;
use super::cost_report::{CostReport, CostReporting};
use super::error::HttpError;
use super::operation_request::{OperationRequest, hints_for, reader_of};
use super::response::{CacheMetadata, GraphqlResponse};
use crate::cache::ReadSource;
use crate::cache::cache_tag::{key_prefixes, surrogate_keys};
use crate::config::limits::{FREE_RESPONSE_BYTES, RESPONSE_ROOM_FACTOR, VALIDATION_COST};
use crate::domain::lock::lock;
use crate::domain::viewer::ReaderId;
use crate::graphql::cache_hints::{Hints, Revalidation};
use crate::graphql::context::{RequestContext, source_of};
use crate::graphql::errors::{ApiError, without_user_errors};
use crate::graphql::fast_json::FastJsonPlans;
use crate::graphql::guard::{CheckedOperation, Cost};
use crate::graphql::introspection::{introspect, merge, remove_introspection, selects_data};
use crate::http::consistency_token::{CONSISTENCY_TOKEN, token_header};
use crate::http::request_log::RequestMetrics;
use crate::http::response_budget::ConnectionBudget;
use crate::http::session_cookie::set_cookie;
use crate::http::state::App;
use crate::services::admission::Work;
use crate::services::rate_limits::ClientKey;

/// Executes an operation.
///
/// # Errors
///
/// The operation is refused before its execution: by its variables, its cost, or a limit.
pub(super) async fn execute(
    app: &App,
    request: OperationRequest,
) -> Result<GraphqlResponse, HttpError> {
    let admission = app.services.admission.admit(request.client, Work::Execution);
    let permit = admission.await.map_err(|_| ApiError::Busy)?;
    let document = request.document;
    let operation = document.operation(request.operation_name.as_deref())?;
    let hints = hints_for(&operation, request.caller.viewer());
    let variables = operation.coerce_variables(request.variables, app.documents.types())?;

    let reader = reader_of(&request.caller);
    let session = if operation.kind() == OperationType::Mutation {
        app.database.session_until(request.deadline)
    } else {
        app.database.session_for_reader(reader, request.consistency_token, request.deadline)
    };
    let session = session.for_operation(operation.name());
    let use_fast_json = app.services.settings.server.fast_json;
    let mut context = RequestContext::new(
        request.caller,
        app.database.clone(),
        session,
        Arc::clone(&app.services),
        Arc::clone(app.documents.limits()),
    );
    context.bypass_cache = request.bypass_cache;
    context.permit = Mutex::new(Some(permit));
    let plans = if use_fast_json {
        FastJsonPlans::new(operation.plans())
    } else {
        FastJsonPlans::disabled()
    };

    let (context, plans) = (Arc::new(context), Arc::new(plans));
    let connection = request.connection;
    let execution = Execution { app, operation, reader, connection, context, plans };
    let Charge { limit, report } =
        execution.charge(&variables, &request.client, request.cost_reporting).await?;
    if request.cost_reporting == CostReporting::Validate {
        let response = GraphqlResponse::of_cost(report, request.media_type);
        return Ok(response.with_metrics(execution.metrics()));
    }
    let response = execution.run(&variables).await?;
    execution.complete();
    let limits = &app.services.settings.limits;
    let response = GraphqlResponse::of_execution(response, limits, request.media_type);
    let response = match (request.cost_reporting, hints) {
        (CostReporting::Report, _) => response.with_cost(report),
        (_, Some(hints)) => execution.publish(response, hints, limit),
        (_, None) => response,
    };
    let response = response.with_metrics(execution.metrics());
    let response = execution.record(response).await;
    Ok(execution.set_cookie(response))
}

/// An operation that is executed. Its context is shared with the schema, and read again afterwards.
struct Execution<'a> {
    app: &'a App,
    operation: CheckedOperation<'a>,
    reader: ReaderId,
    connection: Option<ConnectionBudget>,
    context: Arc<RequestContext>,
    plans: Arc<FastJsonPlans>,
}

/// Limit that the cost of an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CostLimit {
    /// `limits.cost`, for everybody.
    Everybody,
    /// `limits.admin_cost`: everybody but admins is refused.
    Admins,
}

/// Cost of an operation that the client's limit has paid.
struct Charge {
    limit: CostLimit,
    report: CostReport,
}

impl Execution<'_> {
    /// Compares the cost with the limit of one operation, and takes it from the limit of the client. An
    /// operation that is not executed costs [`VALIDATION_COST`], whatever its own cost.
    async fn charge(
        &self,
        variables: &Variables,
        client: &ClientKey,
        reporting: CostReporting,
    ) -> Result<Charge, HttpError> {
        let documents = &self.app.documents;
        let limits = documents.limits();
        let cost = self.operation.cost(documents.costs(), variables, limits);
        let limit = self.limit_for(&cost).await?;
        let maximum = match limit {
            CostLimit::Everybody => limits.cost,
            CostLimit::Admins => limits.admin_cost,
        };
        let points = match reporting {
            CostReporting::Validate => VALIDATION_COST,
            CostReporting::Off | CostReporting::Report => {
                let points = cost.allowed(maximum, limits)?;
                self.require_room(cost.bytes)?;
                points
            }
        };
        let status = without_user_errors(self.app.services.rate_limits.check_cost(client, points))?;
        let report = CostReport {
            cost: cost.points,
            limit: maximum,
            remaining: status.map(|status| status.remaining),
            statements: (self.operation.kind() == OperationType::Query).then_some(cost.statements),
        };
        Ok(Charge { limit, report })
    }

    /// Refuses an operation with a large response that could not be held until the client takes it.
    fn require_room(&self, bytes: u64) -> Result<(), ApiError> {
        if bytes <= FREE_RESPONSE_BYTES {
            return Ok(());
        }
        let Some(connection) = &self.connection else { return Ok(()) };
        let maximum = self.app.services.settings.limits.response_bytes;
        let bytes = bytes.saturating_mul(RESPONSE_ROOM_FACTOR);
        let bytes = usize::try_from(bytes).unwrap_or(maximum).min(maximum);
        let address = self.context.caller.address;
        if self.app.response_budget.has_room(connection, address, bytes) {
            Ok(())
        } else {
            Err(ApiError::Busy)
        }
    }

    /// Limit of an operation with this cost. Loading the viewer's role costs a statement, so only an operation
    /// that needs it pays.
    async fn limit_for(&self, cost: &Cost) -> Result<CostLimit, HttpError> {
        let limits = self.app.documents.limits();
        if cost.allowed(limits.cost, limits).is_ok() {
            return Ok(CostLimit::Everybody);
        }
        let viewer = self.context.loaders.batch_queue.drive(self.context.viewer_row()).await?;
        let is_admin = viewer.is_some_and(|viewer| viewer.is_admin);
        Ok(if is_admin { CostLimit::Admins } else { CostLimit::Everybody })
    }

    /// Executes the operation. Its introspection is executed separately.
    async fn run(&self, variables: &Variables) -> Result<Response, HttpError> {
        let types = self.app.documents.types();
        let mut document = self.operation.executable(variables, types);
        let introspection = self.operation.introspection();
        let introspection = introspection.filter(|_| self.operation.selects_schema());
        let Some(typed_document) = introspection else {
            return Ok(self.resolve(document).await);
        };
        let introspected = introspect(types, typed_document, self.operation.name(), variables)
            .map_err(|error| {
                tracing::error!(%error, "introspection failed");
                HttpError::internal()
            })?;
        let root_fields = self.operation.root_fields();
        if !selects_data(&root_fields) {
            return Ok(Response::new(Value::Object(introspected)));
        }
        remove_introspection(&mut document);
        let mut response = self.resolve(document).await;
        if let Value::Object(data) = response.data {
            response.data = Value::Object(merge(&root_fields, introspected, data));
        }
        Ok(response)
    }

    /// Resolves the fields of a document by the schema.
    async fn resolve(&self, document: ExecutableDocument) -> Response {
        let mut request = Request::new(String::new())
            .data(Arc::clone(&self.context))
            .data(Arc::clone(&self.plans));
        request.set_parsed_query(document);
        let execution = self.app.schema.execute(request);
        self.context.loaders.batch_queue.drive(execution).await
    }

    /// Adds the headers for caches outside, and the metadata with which the response cache stores it.
    fn publish(
        &self,
        response: GraphqlResponse,
        hints: &Hints,
        cost_limit: CostLimit,
    ) -> GraphqlResponse {
        let mut tags = self.context.cache_tags.snapshot();
        tags.extend(hints.cache_tags.iter().cloned());
        let is_sent = self.app.services.settings.cache.surrogate_keys;
        // Letters, digits, `-`, `_` and spaces only, so the conversion cannot fail.
        let keys = is_sent.then(|| HeaderValue::try_from(surrogate_keys(&tags)).ok()).flatten();
        let keys = keys.unwrap_or(HeaderValue::from_static(""));
        // While invalidations of other servers do not arrive, the cards in memory may be stale.
        let is_fresh = self.app.services.cache.freshness_gate().is_open();
        let revalidation = if is_fresh { hints.revalidation } else { Revalidation::Always };
        let cache_headers = CacheHeaders { revalidation, remaining: hints.ttl, keys };
        // A response from a replica may be stale, and one for admins must not reach anybody else.
        let is_cacheable = source_of(&self.context.session) == ReadSource::Primary
            && cost_limit == CostLimit::Everybody;
        let cache_metadata = is_cacheable.then(|| CacheMetadata {
            prefixes: key_prefixes(&tags),
            epoch: self.context.purge_epoch(),
            ttl: hints.ttl,
        });
        response.into_public(cache_headers, cache_metadata)
    }

    /// Ends the work that was admitted.
    fn complete(&self) {
        let permit = lock(&self.context.permit).take();
        if let Some(permit) = permit {
            permit.complete(self.context.session.counters().time());
        }
    }

    fn metrics(&self) -> RequestMetrics {
        let statements = self.context.session.counters();
        RequestMetrics {
            operation: self.operation.name().map(str::to_owned),
            statements: statements.statements(),
            rows: statements.rows(),
            sql_time: statements.time(),
            pool_wait: statements.pool_wait(),
            lookups: self.context.lookups.snapshot(),
            direct: self.plans.counts(),
            // Metrics would reveal whether the account exists.
            redacted: self.context.has_checked_password.load(Ordering::Relaxed),
            error_code: None,
        }
    }

    /// Records what the client has read or written, so that no replica sends it back in time.
    async fn record(&self, response: GraphqlResponse) -> GraphqlResponse {
        let Self { app, reader, context, .. } = self;
        if self.operation.kind() != OperationType::Mutation {
            app.database.record_read(*reader, &context.session);
            return response;
        }
        // A client that has logged in with this request is that account from now on.
        let account = context.viewer().user_id().map(ReaderId::Account);
        let writers: Vec<ReaderId> = account.into_iter().chain([*reader]).collect();
        let Some(position) = app.database.record_write(&writers, &context.session).await else {
            return response;
        };
        if let Some(redis) = app.services.cache.redis_tier() {
            // Without Redis the token alone still leads the client to its writes.
            let _ = Box::pin(redis.publish_writers(writers)).await;
        }
        response.with_header(CONSISTENCY_TOKEN, token_header(position))
    }

    /// Sets or clears the cookie of the refresh token.
    fn set_cookie(&self, response: GraphqlResponse) -> GraphqlResponse {
        let change = lock(&self.context.cookie).take();
        let services = &self.app.services;
        let now = services.clock.now();
        match change.and_then(|change| set_cookie(&change, &services.settings, now)) {
            Some(cookie) => response.with_header(header::SET_COOKIE, cookie),
            None => response,
        }
    }
}
