//! The program that `sea-orm-cli migrate` runs. Without `DATABASE_URL` it uses the same embedded
//! database as the server.

use migration::{DEFAULT_DATABASE_URL, LOCK_TIMEOUT, Migrator, connect};
use sea_orm_migration::cli;

#[tokio::main]
async fn main() {
    let connect = async || connect(&database_url(), Some(LOCK_TIMEOUT)).await;
    cli::run_cli_with_custom_connection(Migrator, connect).await;
}

/// The flag, else the environment, else the default. The library's parser of the flag has no default, so
/// it is parsed here.
fn database_url() -> String {
    let mut arguments = std::env::args();
    let mut flag = None;
    while let Some(argument) = arguments.next() {
        if argument == "-u" || argument == "--database-url" {
            flag = arguments.next();
        } else if let Some(url) = argument.strip_prefix("--database-url=") {
            flag = Some(url.to_owned());
        }
    }
    flag.or_else(|| std::env::var("DATABASE_URL").ok())
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| DEFAULT_DATABASE_URL.to_owned())
}
