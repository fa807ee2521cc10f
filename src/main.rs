//! The command line of wasteland-tarot.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use wasteland_tarot::config::{Settings, SettingsError, parse_command_line};
use wasteland_tarot::db::reference::user_count;
use wasteland_tarot::db::{Database, migrations, now, users};
use wasteland_tarot::domain::user::fold_username;
use wasteland_tarot::http::{App, connections, router};
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::reference::load_reference;
use wasteland_tarot::services::seed::load_demonstration;
use wasteland_tarot::services::tokens::Tokens;
use wasteland_tarot::{graphql, telemetry};

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

#[derive(Subcommand)]
enum User {
    /// Print an access token, in development
    Token {
        /// Whose
        #[arg(long)]
        username: String,
    },
}

/// Why the program stops: a line for a person, with its cause.
type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = match parse_command_line::<CommandLine>(std::env::args_os().collect()) {
        Ok(command_line) => command_line,
        Err(SettingsError::CommandLine(error)) => error.exit(),
        Err(error) => return fail(&error),
    };
    match run(command_line).await {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    eprintln!("wasteland-tarot: {line}");
    ExitCode::FAILURE
}

async fn run(command_line: CommandLine) -> Result<ExitCode, Failure> {
    let settings = command_line.settings;
    match command_line.command.unwrap_or_else(|| Command::Serve(Serve::default())) {
        Command::Serve(serve) => return run_serve(settings, &serve).await,
        Command::Migrate { direction } => run_migrate(&settings, direction).await?,
        Command::Schema => print!("{}", graphql::sdl()),
        Command::User { action: User::Token { username } } => {
            print_token(&settings, &username).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_serve(settings: Settings, serve: &Serve) -> Result<ExitCode, Failure> {
    settings.check_production()?;
    if serve.demo && settings.is_production() {
        return Err("--demo: demonstration data is refused in production".into());
    }
    telemetry::start(&settings);
    let database = open_database(&settings, serve.migrate).await?;
    load_reference(&database).await?;
    let catalogue = Catalogue::load(&database.session()).await?;
    if serve.demo {
        demonstrate(&database, &catalogue).await?;
    } else if user_count(&database).await? == 0 {
        println!("nobody is here yet; `serve --demo` loads 50 users and 2,000 readings to look at");
    }

    let listener = TcpListener::bind(settings.server.listen)
        .await
        .map_err(|error| format!("LISTEN={}: {error}", settings.server.listen))?;
    let address = listener.local_addr()?;
    let app = App::new(settings, database.clone(), catalogue)?;
    // Before the address is told: who reads it may stop the server at once.
    let stop = stop_signal()?;
    // For people who wait for it, and for programs that read the port that was free.
    println!("wasteland-tarot listens on http://{address}");

    let limits = app.settings.limits.clone();
    let drained = connections::serve(listener, router(&app), &limits, stop).await;
    drop(app);
    database.close().await;
    if !drained {
        tracing::warn!("requests were still in flight when the time to stop was over");
        return Ok(ExitCode::FAILURE);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Loads the demonstration set, unless somebody is there already, and says how to use it.
async fn demonstrate(database: &Database, catalogue: &Catalogue) -> Result<(), Failure> {
    let demonstration = load_demonstration(database, catalogue, now()).await?;
    if !demonstration.loaded {
        println!("there are users already, so no demonstration data was loaded");
    }
    if let Some(password) = demonstration.overseer_password {
        println!(
            "demonstration users: `demo` with the password `wasteland`, and the admin `overseer`"
        );
        println!("with the password `{password}`, which is shown this once");
    }
    Ok(())
}

/// Opens the database and sees that its schema is up to date.
async fn open_database(settings: &Settings, migrate: bool) -> Result<Database, Failure> {
    let url = &settings.database.url;
    if migrate || url.is_embedded() {
        migrations::up(url).await?;
    }
    let database = Database::connect(settings).await?;
    let missing = database.missing_migrations().await?;
    if !missing.is_empty() {
        return Err(format!(
            "the database lacks these migrations: {}. Run `wasteland-tarot migrate`, or serve with --migrate",
            missing.join(", ")
        )
        .into());
    }
    Ok(database)
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
    let url = &settings.database.url;
    match direction.unwrap_or(Migrate::Up) {
        Migrate::Up => migrations::up(url).await?,
        Migrate::Down { steps } => migrations::down(url, steps).await?,
        Migrate::Status => {}
    }
    for (name, applied) in migrations::status(url).await? {
        println!("{} {name}", if applied { "applied" } else { "pending" });
    }
    Ok(())
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
    let database = Database::connect(settings).await?;
    let user = users::user_by_username(&database.session(), &fold_username(username))
        .await?
        .ok_or_else(|| format!("user token: there is no user {username:?}"))?;
    println!("{}", Tokens::new(&settings.auth).issue(user.id)?);
    database.close().await;
    Ok(())
}
