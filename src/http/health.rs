//! Liveness and readiness probes.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::state::App;
use crate::db::{DbError, migrations};

/// `GET /health/live`: 200 while the process responds.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /health/ready`: 200 if the database responds and has every migration, or if a replica can still be
/// read; else 503 with the problem.
pub async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let until = Instant::now() + app.services.settings.database.deadline;
    let problem = match migrations::missing(&app.database.session_until(until)).await {
        Ok(missing) if missing.is_empty() => {
            return (StatusCode::OK, Json(json!({ "status": "ok", "database": "ok" })));
        }
        Ok(missing) => return unready(&format!("{} migrations are missing", missing.len())),
        Err(DbError::Deadline { .. }) => "the database does not answer".to_owned(),
        Err(error) => error.to_string(),
    };
    if app.database.has_replica() {
        // Reads are still served.
        let body = json!({ "status": "ok", "database": "read only", "problem": problem });
        return (StatusCode::OK, Json(body));
    }
    unready(&problem)
}

fn unready(problem: &str) -> (StatusCode, Json<Value>) {
    let body = json!({ "status": "unready", "database": problem });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
