//! `user`: creates and promotes accounts, and prints access tokens in development.

use std::io::IsTerminal;

use clap::Subcommand;

use super::startup::{DemoData, Migrations, name_setting, prepare};
use super::{Failure, print, with_causes};
use crate::config::Settings;
use crate::db::token_revocations::token_epoch;
use crate::db::users::Role;
use crate::db::{Database, now, users};
use crate::domain::faction::FactionKey;
use crate::domain::user::fold_username;
use crate::services::Services;
use crate::services::accounts::{self, Registration};
use crate::services::error::ServiceError;
use crate::services::tokens::{AccessClaims, TokenIssuer};

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Create an account; the password is prompted for, or read from standard input
    Create {
        /// Username, 1 to 50 characters without `@`
        #[arg(long)]
        username: String,

        /// E-mail address, at most 255 characters
        #[arg(long)]
        email: String,

        /// Make the user an admin
        #[arg(long)]
        admin: bool,
    },
    /// Give a user a role
    #[command(group(clap::ArgGroup::new("role").required(true).multiple(true)))]
    Promote {
        /// Username
        #[arg(long)]
        username: String,

        /// Make the user an admin
        #[arg(long, group = "role")]
        admin: bool,

        /// Make the user a premium user
        #[arg(long, group = "role")]
        premium: bool,
    },
    /// Print an access token, in development
    Token {
        /// Username
        #[arg(long)]
        username: String,
    },
}

/// Runs the command.
pub(super) async fn run(settings: Settings, command: UserCommand) -> Result<(), Failure> {
    if let UserCommand::Token { username } = command {
        return print_token(&settings, &username).await;
    }
    let (database, catalogue) = prepare(&settings, Migrations::Require, DemoData::Skip).await?;
    let services = Services::new(settings, catalogue);
    let session = database.session();
    match command {
        UserCommand::Create { username, email, admin } => {
            let registration = Registration {
                email,
                username,
                password: read_password()?,
                display_name: None,
                faction: FactionKey::Independent,
                idempotency_key: None,
            };
            let role = admin.then_some(Role::Admin);
            accounts::create(&session, &services, registration, role)
                .await
                .map_err(|error| format!("user create: {}", message_of(&error)))?;
            print("user created\n")?;
        }
        UserCommand::Promote { username, admin, premium } => {
            for role in [admin.then_some(Role::Admin), premium.then_some(Role::Premium)] {
                let Some(role) = role else { continue };
                if !accounts::promote(&session, &services, &username, role).await? {
                    return Err(format!("user promote: there is no user {username:?}").into());
                }
            }
            print(&format!("{username} is promoted\n"))?;
        }
        UserCommand::Token { .. } => {}
    }
    drop(session);
    database.close().await;
    Ok(())
}

/// Messages of user errors, or an error with its causes.
fn message_of(error: &ServiceError) -> String {
    match error {
        ServiceError::UserErrors(errors) => {
            errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        error => with_causes(error),
    }
}

/// Reads a password from a hidden prompt on a terminal, otherwise from the first line of standard input.
fn read_password() -> Result<String, Failure> {
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
    let epoch = token_epoch(&database.session(), user.id).await?;
    let claims = AccessClaims { user: user.id, login: None, epoch };
    let token = TokenIssuer::new(&settings.auth).issue_access_token(claims, now())?.token;
    database.close().await;
    print(&format!("{token}\n"))
}
