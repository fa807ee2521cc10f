//! The command line of wasteland-tarot, a file a command. It is part of the library so that the futures of
//! all commands are compiled once: the binary contains nothing but the allocator.

mod migrate;
mod seed;
mod serve;
mod startup;
mod user;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Settings, SettingsError, parse_command_line};
use crate::graphql;
use crate::telemetry;
use migrate::MigrateCommand;
use seed::SeedArguments;
use serve::ServeArguments;
use user::UserCommand;

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
    /// Open the database, load missing reference data and serve (the default)
    Serve(ServeArguments),
    /// Apply, revert or list migrations
    Migrate {
        #[command(subcommand)]
        command: Option<MigrateCommand>,
    },
    /// Load demonstration data of any size into a database without users
    Seed(SeedArguments),
    /// Print the schema in the schema definition language
    Schema,
    /// Manage accounts
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
}

/// Error that ends the program: one line for a person, with its causes.
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
    // Boxed, because the future contains the whole state of the server.
    let code = match Box::pin(run(command_line)).await {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    };
    telemetry::flush();
    code
}

async fn run(command_line: CommandLine) -> Result<ExitCode, Failure> {
    let settings = command_line.settings;
    match command_line.command.unwrap_or_else(|| Command::Serve(ServeArguments::default())) {
        Command::Serve(arguments) => return Box::pin(serve::run(settings, &arguments)).await,
        Command::Migrate { command } => migrate::run(&settings, command).await?,
        Command::Seed(arguments) => seed::run(&settings, &arguments).await?,
        Command::Schema => print(graphql::sdl())?,
        Command::User { command } => Box::pin(user::run(settings, command)).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the result of a command that ends. A server prints through [`telemetry`], which never blocks.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // A reader such as `head`, which has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    telemetry::print_error(&format!("wasteland-tarot: {}", with_causes(error)));
    ExitCode::FAILURE
}

/// An error and its causes in one line.
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
