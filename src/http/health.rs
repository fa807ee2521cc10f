//! Liveness and readiness probes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::state::App;
use crate::db::{DbError, PrimaryStatus};

/// Paths of the probes.
pub(super) const HEALTH_PATHS: [&str; 3] = ["/health", "/health/live", "/health/ready"];

/// Routes of the probes.
pub(super) fn routes() -> Router<Arc<App>> {
    let [health, live_path, ready_path] = HEALTH_PATHS;
    Router::new()
        .route(health, get(ready))
        .route(live_path, get(live))
        .route(ready_path, get(ready))
}

/// `GET /health/live`: 200 while the process responds.
async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /health` and `GET /health/ready`: 200 if the database takes writes and has every migration, or if a
/// replica can still be read; else 503 with the problem.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    if app.leaving.is_cancelled() {
        return unready("server", "the server is about to stop");
    }
    let limit = app.services.settings.server.readiness_timeout;
    let problem = match app.database.primary_status(limit).await {
        Ok(PrimaryStatus { missing_migrations: 0, is_read_only: false }) => {
            return (StatusCode::OK, Json(json!({ "status": "ok", "database": "ok" })));
        }
        Ok(PrimaryStatus { missing_migrations: 0, .. }) => "the database is read-only".to_owned(),
        Ok(PrimaryStatus { missing_migrations, .. }) => {
            return unready("database", &format!("{missing_migrations} migrations are missing"));
        }
        Err(DbError::Deadline { .. }) => "the database does not answer".to_owned(),
        Err(error) => error.to_string(),
    };
    if app.database.has_replica() {
        // Reads are still served.
        let body = json!({ "status": "ok", "database": "read only", "problem": problem });
        return (StatusCode::OK, Json(body));
    }
    unready("database", &problem)
}

/// 503 with the part that is not ready, and the reason.
fn unready(part: &str, reason: &str) -> (StatusCode, Json<Value>) {
    let body = json!({ "status": "unready", part: reason });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
