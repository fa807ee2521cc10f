//! The command line of wasteland-tarot. It stands in the library so that the futures of all commands are
//! compiled once: the binary holds no code of its own.

use std::io::IsTerminal;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, SettingsError, parse_command_line};
use crate::db::users::Role;
use crate::db::{Database, DbError, StartLock, migrations, now, users};
use crate::domain::faction::FactionKey;
use crate::domain::user::fold_username;
use crate::graphql::documents::Documents;
use crate::http::{self, App, connections};
use crate::services::Services;
use crate::services::accounts::{self, Registration};
use crate::services::catalogue::Catalogue;
use crate::services::error::ServiceError;
use crate::services::follow::follow;
use crate::services::reference::load_reference;
use crate::services::seed::{Demonstration, SeedPlan, load_seed};
use crate::services::tokens::{AccessToken, Tokens};
use crate::services::upkeep::keep_up;
use crate::{graphql, telemetry};

/// A GraphQL server for a Fallout-flavoured tarot-reading app.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Open the database, load what is missing and serve (the default)
    Serve(Serve),
    /// Apply migrations, take them back, or list them
    Migrate {
        #[command(subcommand)]
        direction: Option<Migrate>,
    },
    /// Load demonstration data of any size into a database without users
    Seed(Seed),
    /// Print the schema in the schema definition language
    Schema,
    /// Accounts
    User {
        #[command(subcommand)]
        action: User,
    },
}

#[derive(clap::Args, Default)]
struct Serve {
    /// Load a small demonstration set first: 50 users and 2,000 readings
    #[arg(long)]
    demo: bool,

    /// Apply missing migrations to a database server (an embedded database is always migrated)
    #[arg(long)]
    migrate: bool,
}

#[derive(Subcommand)]
enum Migrate {
    /// Apply the migrations that are missing
    Up,
    /// Take the newest migrations back
    Down {
        /// How many
        #[arg(short = 'n', long, default_value_t = 1)]
        steps: u32,
    },
    /// List the migrations
    Status,
}

#[derive(clap::Args)]
struct Seed {
    /// How many users, the `demo` user and the admin `overseer` being the first
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    users: u32,

    /// How many readings they made between them
    #[arg(long)]
    readings: u32,

    /// Which of the many sets of that size
    #[arg(long = "seed", value_name = "SEED", default_value_t = SeedPlan::demonstration().seed)]
    number: u64,

    /// When the last readings were made, as 2026-11-01T12:00:00Z; the same plan and time make the same
    /// rows [default: now]
    #[arg(long)]
    until: Option<DateTime<Utc>>,
}

#[derive(Subcommand)]
enum User {
    /// Make an account; the password is asked for, or read from standard input
    Create {
        /// 1 to 50 characters without `@`
        #[arg(long)]
        username: String,

        /// At most 255 characters
        #[arg(long)]
        email: String,

        /// As an operator
        #[arg(long)]
        admin: bool,
    },
    /// Give a user a role
    #[command(group(clap::ArgGroup::new("role").required(true).multiple(true)))]
    Promote {
        /// Whom
        #[arg(long)]
        username: String,

        /// To operator
        #[arg(long, group = "role")]
        admin: bool,

        /// To premium user
        #[arg(long, group = "role")]
        premium: bool,
    },
    /// Print an access token, in development
    Token {
        /// Whose
        #[arg(long)]
        username: String,
    },
}

/// Why the program stops: a line for a person, with its cause.
type Failure = Box<dyn std::error::Error>;

/// Parses the command line of the process and runs its command.
///
/// # Panics
///
/// The threads of the runtime cannot be started.
#[tokio::main]
#[must_use]
pub async fn main() -> ExitCode {
    let command_line = match parse_command_line::<CommandLine>(std::env::args_os().collect()) {
        Ok(command_line) => command_line,
        Err(SettingsError::CommandLine(error)) => error.exit(),
        Err(error) => return fail(&error),
    };
    // Apart, because it holds all that the server is made of.
    match Box::pin(run(command_line)).await {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("wasteland-tarot: {}", with_causes(error));
    ExitCode::FAILURE
}

/// In one line, the error and what caused it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors end with their cause already.
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}

async fn run(command_line: CommandLine) -> Result<ExitCode, Failure> {
    let settings = command_line.settings;
    match command_line.command.unwrap_or_else(|| Command::Serve(Serve::default())) {
        Command::Serve(serve) => return run_serve(settings, &serve).await,
        Command::Migrate { direction } => run_migrate(&settings, direction).await?,
        Command::Seed(seed) => run_seed(&settings, &seed).await?,
        Command::Schema => print!("{}", graphql::sdl()),
        Command::User { action } => run_user(settings, action).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_serve(mut settings: Settings, serve: &Serve) -> Result<ExitCode, Failure> {
    settings.check_together()?;
    if serve.demo && settings.is_production() {
        return Err("--demo: demonstration data is refused in production".into());
    }
    telemetry::start(&settings);
    // Before the database is touched: it is all for nothing if they are not good.
    let documents = Documents::load(&settings).await?;
    // Before anything is written: whoever starts the server may stop it at any time.
    let mut stop = pin!(stop_signal()?);
    let (database, catalogue) = tokio::select! {
        prepared = prepare(&settings, serve) => prepared?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };

    if !users::has_users(&database.session()).await? {
        println!("nobody is here yet; `serve --demo` loads 50 users and 2,000 readings to look at");
    }
    let listener = TcpListener::bind(settings.server.listen)
        .await
        .map_err(|error| format!("LISTEN={}: {error}", settings.server.listen))?;
    let address = listener.local_addr()?;
    settings.server.listen = address;
    let limits = settings.limits.clone();
    let followed = database.with_dedicated_pool(&settings).await?;
    let app = App::new(settings, documents, database.clone(), catalogue);
    // For people who wait for it, and for programs that read the port that was free.
    println!("wasteland-tarot listens on http://{address}");

    let ended = CancellationToken::new();
    let end = || ended.clone().cancelled_owned();
    let upkeep = tokio::spawn(keep_up(Arc::clone(&app.services), database.clone(), end()));
    let followed = tokio::spawn(follow(Arc::clone(&app.services), followed, end()));
    let mut stopped_at = None;
    let stop = async {
        stop.await;
        stopped_at = Some(Instant::now());
        app.stopping.cancel();
    };
    let mut drained = connections::serve(listener, http::service(&app), &limits, stop).await;
    let deadline = stopped_at.unwrap_or_else(Instant::now) + limits.shutdown_timeout;
    // Clients that went away have left writes behind that are to be finished.
    app.writes.close();
    drained &= timeout_at(deadline, app.writes.wait()).await.is_ok();
    ended.cancel();
    drained &= timeout_at(deadline, upkeep).await.is_ok();
    drained &= timeout_at(deadline, followed).await.is_ok();
    drop(app);
    database.close().await;
    if !drained {
        tracing::warn!("requests were still in flight when the time to stop was over");
        return Ok(ExitCode::FAILURE);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Opens the database, sees that its schema is up to date and loads what is missing. Of several
/// programs that start at once, one does it and the others wait.
async fn prepare(settings: &Settings, serve: &Serve) -> Result<(Database, Catalogue), Failure> {
    let named = |error| name_setting(settings, &error);
    let lock = StartLock::acquire(&settings.database).await.map_err(named)?;
    if serve.migrate || settings.database.url.is_embedded() {
        migrations::up(&settings.database, &lock).await.map_err(named)?;
    }
    let database = Database::connect(settings).await.map_err(named)?;
    let status = migrations::status(&settings.database).await.map_err(named)?;
    let missing: Vec<_> =
        status.into_iter().filter(|(_, applied)| !applied).map(|(name, _)| name).collect();
    if !missing.is_empty() {
        return Err(format!(
            "the database lacks these migrations: {}. Run `wasteland-tarot migrate`, or serve with --migrate",
            missing.join(", ")
        )
        .into());
    }
    load_reference(&database, &lock).await?;
    let catalogue = Catalogue::load(&database.session()).await?;
    if serve.demo {
        demonstrate(settings, &lock, &catalogue).await?;
    }
    lock.release().await;
    Ok((database, catalogue))
}

/// An error of opening the database, with the setting that is likely to be at fault.
fn name_setting(settings: &Settings, error: &DbError) -> Failure {
    format!("DATABASE_URL={}: {}", settings.database.url, with_causes(error)).into()
}

/// Loads the demonstration set, unless somebody is there already, and says how to use it.
async fn demonstrate(
    settings: &Settings,
    lock: &StartLock,
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    let plan = (SeedPlan::demonstration(), now());
    let demonstration = load_seed(&settings.database, lock, catalogue, plan, |_| ()).await?;
    if !demonstration.loaded {
        println!("there are users already, so no demonstration data was loaded");
    }
    tell_password(&demonstration);
    Ok(())
}

fn tell_password(demonstration: &Demonstration) {
    if let Some(password) = &demonstration.overseer_password {
        println!(
            "demonstration users: `demo` with the password `wasteland`, and the admin `overseer`"
        );
        println!("with the password `{password}`, which is shown this once");
    }
}

/// Migrates, loads the reference data and then the plan, with a bar that shows how far it is.
async fn run_seed(settings: &Settings, seed: &Seed) -> Result<(), Failure> {
    if settings.is_production() {
        return Err("seed: demonstration data is refused in production".into());
    }
    telemetry::start(settings);
    let whole = Serve { demo: false, migrate: true };
    let (database, catalogue) = prepare(settings, &whole).await?;
    let plan = SeedPlan {
        users: usize::try_from(seed.users)?,
        readings: usize::try_from(seed.readings)?,
        seed: seed.number,
    };
    let style = "{bar:40} {human_pos} of {human_len} readings, {per_sec}, {eta} left";
    let bar =
        ProgressBar::new(seed.readings.into()).with_style(ProgressStyle::with_template(style)?);
    let lock = StartLock::acquire(&settings.database).await?;
    let plan = (plan, seed.until.unwrap_or_else(now));
    let written = |readings: usize| bar.inc(readings as u64);
    let loaded = load_seed(&settings.database, &lock, &catalogue, plan, written).await?;
    bar.finish_and_clear();
    lock.release().await;
    database.close().await;
    if !loaded.loaded {
        return Err("seed: there are users already; seed fills a database that has none".into());
    }
    tell_password(&loaded);
    println!("{} users and {} readings are there", seed.users, seed.readings);
    Ok(())
}

/// Done at SIGTERM or SIGINT.
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

async fn run_migrate(settings: &Settings, direction: Option<Migrate>) -> Result<(), Failure> {
    let database = &settings.database;
    let named = |error| name_setting(settings, &error);
    let lock = StartLock::acquire(database).await.map_err(named)?;
    match direction.unwrap_or(Migrate::Up) {
        Migrate::Up => migrations::up(database, &lock).await.map_err(named)?,
        Migrate::Down { steps } => migrations::down(database, &lock, steps).await.map_err(named)?,
        Migrate::Status => {}
    }
    let listed = migrations::status(database).await.map_err(named)?;
    lock.release().await;
    for (name, applied) in listed {
        println!("{} {name}", if applied { "applied" } else { "pending" });
    }
    Ok(())
}

async fn run_user(settings: Settings, action: User) -> Result<(), Failure> {
    if let User::Token { username } = action {
        return print_token(&settings, &username).await;
    }
    let (database, catalogue) = prepare(&settings, &Serve::default()).await?;
    let services = Services::new(settings, catalogue);
    let session = database.session();
    match action {
        User::Create { username, email, admin } => {
            let registration = Registration {
                email,
                username,
                password: ask_password()?,
                display_name: None,
                faction: FactionKey::Independent,
                idempotency_key: None,
            };
            accounts::create(&session, &services, registration, admin)
                .await
                .map_err(|error| format!("user create: {}", in_words(&error)))?;
            println!("the user is there");
        }
        User::Promote { username, admin, premium } => {
            for role in [admin.then_some(Role::Admin), premium.then_some(Role::Premium)] {
                let Some(role) = role else { continue };
                if !accounts::promote(&session, &services, &username, role).await? {
                    return Err(format!("user promote: there is no user {username:?}").into());
                }
            }
            println!("{username} is promoted");
        }
        User::Token { .. } => {}
    }
    drop(session);
    database.close().await;
    Ok(())
}

/// What a person can put right, or what went wrong.
fn in_words(error: &ServiceError) -> String {
    match error {
        ServiceError::Refused(errors) => {
            errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        error => with_causes(error),
    }
}

/// From whoever sits there, without showing it; else the first line of standard input.
fn ask_password() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("password: ")?);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn print_token(settings: &Settings, username: &str) -> Result<(), Failure> {
    if settings.is_production() {
        return Err("user token: tokens are printed in development only".into());
    }
    if settings.auth.jwt_secret.is_none() {
        return Err(
            "user token: set JWT_SECRET, to the same value for this command and for the server; \
                    without it the server makes up a secret of its own"
                .into(),
        );
    }
    let database =
        Database::connect(settings).await.map_err(|error| name_setting(settings, &error))?;
    let user = users::user_by_username(&database.session(), &fold_username(username))
        .await?
        .ok_or_else(|| format!("user token: there is no user {username:?}"))?;
    let access = AccessToken { user: user.id, login: None };
    println!("{}", Tokens::new(&settings.auth).issue(access, now())?.token);
    database.close().await;
    Ok(())
}
