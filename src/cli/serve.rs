//! `serve`: runs the server and its background tasks until SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use super::Failure;
use super::startup::{DemoData, Migrations, prepare};
use crate::config::Settings;
use crate::config::server::ACCEPT_BACKLOG;
use crate::db::{Database, users};
use crate::graphql::documents::Documents;
use crate::http::connections::Connections;
use crate::http::{self, App};
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
    let mut signals = StopSignals::register()?;
    ignore_other_signals()?;
    // Before anything is written: data would be loaded for a server that does not start.
    let socket = bind(&mut settings)?;
    let migrations = if arguments.migrate { Migrations::Apply } else { Migrations::Require };
    let demo_data = if arguments.demo { DemoData::Load } else { DemoData::Skip };
    let (database, catalogue) = tokio::select! {
        prepared = prepare(&settings, migrations, demo_data) => prepared?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };

    if !users::has_users(&database.session()).await? {
        telemetry::print_line(&format!("The database has no users. {}", first_users(&settings)));
    }
    let listener =
        socket.listen(ACCEPT_BACKLOG).map_err(|error| bind_failure(&settings, &error))?;
    if settings.server.public_url.is_none() && settings.server.listen.ip().is_unspecified() {
        let url = settings.public_url();
        tracing::warn!("PUBLIC_URL is not set: links to shared readings begin with {url}");
    }
    let internal_listener = bind_internal(&settings).await?;
    let poller_database = database.with_dedicated_pool(&settings).await?;
    let address = settings.server.listen;
    let app = App::new(settings, documents, database.clone(), catalogue);
    // For people, and for programs that read a port that the system chose.
    telemetry::print_line(&format!("wasteland-tarot listens on http://{address}"));

    let tasks = BackgroundTasks::spawn(&app.services, &database, poller_database);
    let internal = internal_listener.map(|listener| serve_internal(&app, listener));
    let mut deadline = Instant::now();
    let stop = async {
        deadline = stop(&app, &mut signals).await;
        deadline
    };
    let service = http::service(&app);
    let respond = move |request| service.clone().respond(request);
    let mut drained = Connections::public(&app).serve(listener, respond, stop).await;
    // Mutations of clients that disconnected are finished too.
    app.writes.close();
    drained &= timeout_at(deadline, app.writes.wait()).await.is_ok();
    drained &= tasks.stop(deadline).await;
    drop(internal);
    drop(app);
    database.close().await;
    if !drained {
        tracing::warn!("requests were still in flight at the end of the shutdown timeout");
        return Ok(ExitCode::FAILURE);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Command that makes users of an empty database.
fn first_users(settings: &Settings) -> &'static str {
    if settings.is_production() {
        "`user create` makes one."
    } else {
        "`serve --demo` loads 50 users and 2,000 readings."
    }
}

/// Binds the configured address, and stores the effective one in the settings. Connections are refused until
/// the socket listens.
fn bind(settings: &mut Settings) -> Result<TcpSocket, Failure> {
    let address = settings.server.listen;
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections of a server before this one may still be closing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    let socket = bind().map_err(|error| bind_failure(settings, &error))?;
    settings.server.listen = socket.local_addr()?;
    Ok(socket)
}

fn bind_failure(settings: &Settings, error: &std::io::Error) -> Failure {
    format!("LISTEN={}: {error}", settings.server.listen).into()
}

/// Binds the address of health checks, if there is one.
async fn bind_internal(settings: &Settings) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = settings.server.metrics_listen else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("METRICS_LISTEN={address}: {error}"))?;
    telemetry::print_line(&format!("health checks on http://{}", listener.local_addr()?));
    Ok(Some(listener))
}

/// Serves health checks until the guard is dropped.
fn serve_internal(app: &Arc<App>, listener: TcpListener) -> DropGuard {
    let end = CancellationToken::new();
    let ended = end.clone().cancelled_owned();
    let router = http::internal_router(app);
    let respond = move |request| router.clone().oneshot(request);
    let stop = async {
        ended.await;
        Instant::now()
    };
    tokio::spawn(Connections::internal(app).serve(listener, respond, stop));
    end.drop_guard()
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

/// Signals that stop the server.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn register() -> Result<Self, Failure> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Completes at the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Keeps the process alive at signals that tell other programs to read their settings or logs anew.
fn ignore_other_signals() -> Result<(), Failure> {
    for (kind, name) in [(SignalKind::hangup(), "SIGHUP"), (SignalKind::user_defined1(), "SIGUSR1")]
    {
        let mut received = signal(kind)?;
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                tracing::info!(
                    signal = name,
                    "ignored a signal; settings are read at the start only"
                );
            }
        });
    }
    Ok(())
}

/// Waits for a signal, and then for the shutdown delay: the server is not ready, and still serves until balancers
/// have found out. A second signal ends the delay. Returns the time at which all must be finished.
async fn stop(app: &App, signals: &mut StopSignals) -> Instant {
    signals.next().await;
    let settings = &app.services.settings;
    let deadline = Instant::now() + settings.limits.shutdown_timeout;
    let delay = settings.shutdown_delay();
    app.leaving.cancel();
    if !delay.is_zero() {
        let delay_ms = settings.shutdown_delay().as_millis();
        tracing::info!(
            delay_ms,
            "about to stop: not ready, and serving until the shutdown delay ends"
        );
        tokio::select! {
            () = sleep(delay) => {}
            () = signals.next() => {}
        }
    }
    tracing::info!("stopping: no new requests, those in flight are finished");
    app.stopping.cancel();
    deadline
}
