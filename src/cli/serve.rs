//! `serve`: runs the server and its background tasks until SIGTERM or SIGINT.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::startup::{DemoData, Migrations, prepare};
use crate::config::Settings;
use crate::db::{Database, users};
use crate::graphql::documents::Documents;
use crate::http::{self, App, connections};
use crate::services::Services;
use crate::services::maintenance;
use crate::services::outbox_poller;
use crate::telemetry;

#[derive(clap::Args, Default)]
pub(super) struct ServeArguments {
    /// Load a small demonstration set first: 50 users and 2,000 readings
    #[arg(long)]
    demo: bool,

    /// Apply missing migrations to a database server (an embedded database is always migrated)
    #[arg(long)]
    migrate: bool,
}

/// Runs the server. Fails if requests were still in flight at the end of the shutdown timeout.
pub(super) async fn run(
    mut settings: Settings,
    arguments: &ServeArguments,
) -> Result<ExitCode, Failure> {
    settings.validate()?;
    if arguments.demo && settings.is_production() {
        return Err("--demo: demonstration data is refused in production".into());
    }
    telemetry::start(&settings)?;
    // Loaded before the database is opened: without valid documents the server does not start.
    let documents = Documents::load(&settings)?;
    // Registered before anything is written, because a signal can arrive at any time.
    let mut stop = pin!(stop_signal()?);
    let migrations = if arguments.migrate { Migrations::Apply } else { Migrations::Require };
    let demo_data = if arguments.demo { DemoData::Load } else { DemoData::Skip };
    let (database, catalogue) = tokio::select! {
        prepared = prepare(&settings, migrations, demo_data) => prepared?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };

    if !users::has_users(&database.session()).await? {
        telemetry::print_line(
            "The database has no users. `serve --demo` loads 50 users and 2,000 readings.",
        );
    }
    let listener = bind(&mut settings).await?;
    let limits = settings.limits.clone();
    let poller_database = database.with_dedicated_pool(&settings).await?;
    let address = settings.server.listen;
    let app = App::new(settings, documents, database.clone(), catalogue);
    // For people, and for programs that read a port that the system chose.
    telemetry::print_line(&format!("wasteland-tarot listens on http://{address}"));

    let tasks = BackgroundTasks::spawn(&app.services, &database, poller_database);
    let mut stopped_at = None;
    let stop = async {
        stop.await;
        stopped_at = Some(Instant::now());
        app.stopping.cancel();
    };
    let mut drained = connections::serve(listener, http::service(&app), &limits, stop).await;
    let deadline = stopped_at.unwrap_or_else(Instant::now) + limits.shutdown_timeout;
    // Mutations of clients that disconnected are finished too.
    app.writes.close();
    drained &= timeout_at(deadline, app.writes.wait()).await.is_ok();
    drained &= tasks.stop(deadline).await;
    drop(app);
    database.close().await;
    if !drained {
        tracing::warn!("requests were still in flight at the end of the shutdown timeout");
        return Ok(ExitCode::FAILURE);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Binds the configured address, and stores the effective one in the settings.
async fn bind(settings: &mut Settings) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(settings.server.listen)
        .await
        .map_err(|error| format!("LISTEN={}: {error}", settings.server.listen))?;
    settings.server.listen = listener.local_addr()?;
    Ok(listener)
}

/// Running background tasks.
struct BackgroundTasks {
    maintenance: JoinHandle<()>,
    outbox_poller: JoinHandle<()>,
    cancellation: CancellationToken,
}

impl BackgroundTasks {
    fn spawn(services: &Arc<Services>, database: &Database, poller_database: Database) -> Self {
        let cancellation = CancellationToken::new();
        let cancelled = || cancellation.clone().cancelled_owned();
        let maintenance =
            tokio::spawn(maintenance::run(Arc::clone(services), database.clone(), cancelled()));
        let outbox_poller =
            tokio::spawn(outbox_poller::run(Arc::clone(services), poller_database, cancelled()));
        Self { maintenance, outbox_poller, cancellation }
    }

    /// Stops all tasks. Returns `false` if one still runs at the deadline.
    async fn stop(self, deadline: Instant) -> bool {
        self.cancellation.cancel();
        let maintenance = timeout_at(deadline, self.maintenance).await.is_ok();
        let outbox_poller = timeout_at(deadline, self.outbox_poller).await.is_ok();
        maintenance && outbox_poller
    }
}

/// Completes at SIGTERM or SIGINT.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: no new requests, those in flight are finished");
    })
}
