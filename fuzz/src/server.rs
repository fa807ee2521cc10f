//! A server in this process, with an SQLite database of its own: the reference data, Ada and an admin, her readings
//! and three share links.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use clap::Parser;
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;
use wasteland_tarot::config::Settings;
use wasteland_tarot::db::entities::columns::{LocalizedText, TextList};
use wasteland_tarot::db::entities::{reading_cards, reading_sessions, reading_shares, users};
use wasteland_tarot::db::seed::{SeedRows, insert_missing_seed};
use wasteland_tarot::db::shares::share_insert;
use wasteland_tarot::db::{Database, DbError, StartLock, migrations};
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::locale::{Locale, Localized};
use wasteland_tarot::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::graphql::documents::Documents;
use wasteland_tarot::http::{App, FastPath, service};
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::passwords::hash_password;
use wasteland_tarot::services::reference::load_reference;
use wasteland_tarot::services::tokens::AccessClaims;

/// Secret of all tokens.
pub(crate) const SECRET: &str = "a secret that only the fuzz targets know, long enough";

/// Token of an open link.
pub(crate) const LINK: &str = "openlinkopenlinkopenli";
/// Token of a link with a password.
pub(crate) const PROTECTED_LINK: &str = "protectedlinkprotected";
/// Id of that link.
pub(crate) const PROTECTED_LINK_ID: Uuid = Uuid::from_u128(0x52);
/// Token of a revoked link.
pub(crate) const REVOKED_LINK: &str = "revokedlinkrevokedlink";

const PASSWORD: &str = "correct horse battery staple";
const ADA: Uuid = Uuid::from_u128(0x01);
const ADMIN: Uuid = Uuid::from_u128(0x02);

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Folder of the databases of this process; by default that of temporary files.
pub fn use_folder(folder: &Path) {
    FOLDER.get_or_init(|| folder.to_owned());
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

/// Settings of the targets: default limits, and no limit of rates or time.
pub(crate) fn settings(database_url: &str) -> Settings {
    let url = format!("--database-url={database_url}");
    let secret = format!("--jwt-secret={SECRET}");
    let arguments = [
        "fuzz",
        &url,
        &secret,
        "--app-env=testing",
        "--listen=127.0.0.1:8000",
        "--graphiql=true",
        "--introspection=true",
        "--trusted-proxies=127.0.0.0/8",
        "--cors-origins=https://app.example",
        "--request-timeout-ms=600000",
        "--database-deadline-ms=500000",
        "--database-statement-timeout-ms=500000",
        "--queue-timeout-ms=500000",
        "--client-sql-ms-per-second=0",
        "--rate-limit=0",
        "--rate-limit-cost=0",
        "--login-rate=0",
        "--login-failure-rate=0",
        "--registration-rate=0",
        "--admin-rate=0",
    ];
    let mut settings = Arguments::try_parse_from(arguments).expect("the flags are right").settings;
    // A grant in the corpus must not expire.
    settings.auth.share_grant_lifetime = Duration::from_hours(24 * 365 * 100);
    settings
}

/// A server and the runtime of its tasks. Background tasks do not run.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) app: Arc<App>,
    service: FastPath,
}

/// A whole response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Server {
    /// A server on a new database.
    pub(crate) fn new(name: &str) -> Self {
        let folder = FOLDER.get_or_init(std::env::temp_dir);
        let path = folder.join(format!("fuzz-{name}-{}.db", std::process::id()));
        let settings = settings(&format!("sqlite://{}?mode=rwc", path.display()));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let app = runtime.block_on(start(settings));
        let service = service(&app);
        Self { runtime, app, service }
    }

    /// The response to a request.
    pub(crate) fn respond(&self, request: Request) -> Answer {
        self.runtime.block_on(async {
            let response: Response =
                self.service.clone().respond(request).await.expect("never an error");
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("the body is complete").to_bytes();
            let (status, headers) = (parts.status.as_u16(), parts.headers);
            Answer { status, headers, body: body.into() }
        })
    }

    /// A new access token of `ada` or `admin`.
    pub(crate) fn access_token(&self, name: &str) -> Option<String> {
        let user = match name {
            "ada" => ADA,
            "admin" => ADMIN,
            _ => return None,
        };
        let services = &self.app.services;
        let epoch = services.token_revocations.epoch(user);
        let claims = AccessClaims { user, login: None, epoch };
        let token = services.tokens.issue_access_token(claims, services.clock.now());
        Some(token.expect("a token").token)
    }
}

async fn start(settings: Settings) -> Arc<App> {
    let lock = StartLock::acquire(&settings.database).await.expect("nobody else prepares it");
    migrations::up(&settings.database, &lock).await.expect("the migrations apply");
    let database = Database::connect(&settings).await.expect("the database opens");
    load_reference(&database, &lock).await.expect("the reference data loads");
    lock.release().await;
    let catalogue = Catalogue::load(&database.session()).await.expect("the catalogue loads");
    seed(&database, &catalogue).await;
    let documents = Documents::load(&settings).expect("every list has a bound");
    App::new(settings, documents, database, catalogue)
}

async fn seed(database: &Database, catalogue: &Catalogue) {
    let password_hash = hash_password(PASSWORD.to_owned()).await.expect("a hash");
    let users = vec![
        user(ADA, "ada", &password_hash),
        users::Model { is_admin: true, ..user(ADMIN, "admin", &password_hash) },
    ];
    let readings: Vec<_> = (0..3).map(|number| reading(catalogue, number)).collect();
    let drawn_cards =
        readings.iter().map(|reading| drawn_card(catalogue, reading)).collect::<Vec<_>>();
    let shares = [
        share(0x51, readings[0].id, LINK),
        reading_shares::Model {
            password_hash: Some(password_hash),
            ..share(0x52, readings[1].id, PROTECTED_LINK)
        },
        reading_shares::Model { is_active: false, ..share(0x53, readings[0].id, REVOKED_LINK) },
    ];
    let rows = SeedRows { users, readings, drawn_cards, ..SeedRows::default() };
    insert_missing_seed(database, rows).await.expect("the rows are written");
    let session = database.session();
    let written = session.transaction(|transaction| async move {
        for share in shares {
            share_insert(&transaction, share).await?;
        }
        Ok::<_, DbError>(())
    });
    written.await.expect("the links are written");
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000 + seconds, 0).expect("a time")
}

fn user(id: Uuid, name: &str, password_hash: &str) -> users::Model {
    users::Model {
        id,
        email: format!("{name}@example.com"),
        username: name.to_owned(),
        display_name: Some(format!("{name} of the vault")),
        password_hash: password_hash.to_owned(),
        bio: None,
        faction: FactionKey::Ncr,
        karma_score: 50,
        preferred_voice: VoiceKey::PipBoy,
        is_active: true,
        is_verified: false,
        is_admin: false,
        is_premium: true,
        failed_logins: 0,
        locked_until: None,
        last_login_at: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A reading of Ada; the second one is private.
fn reading(catalogue: &Catalogue, number: u8) -> reading_sessions::Model {
    let spread = catalogue.spreads().first().expect("a spread");
    let time = at(i64::from(number));
    reading_sessions::Model {
        id: Uuid::from_u128(0x10 + u128::from(number)),
        user_id: ADA,
        spread_template_id: spread.id,
        spread_type: spread.spread_type,
        character_voice: VoiceKey::PipBoy,
        karma_context: Karma::Neutral,
        question: format!("Question {number} <é>?"),
        focus_area: None,
        notes: Some("notes".to_owned()),
        tags: TextList(vec!["water".to_owned()]),
        category_id: None,
        status: ReadingStatus::Complete,
        radiation_factor: 0.5,
        interpretation: "An interpretation.".to_owned(),
        summary: "A summary.".to_owned(),
        locale: Locale::En,
        mood_before: None,
        mood_after: None,
        privacy_level: if number == 1 { PrivacyLevel::Private } else { PrivacyLevel::Public },
        is_favorite: false,
        archived_at: None,
        user_satisfaction: Some(4),
        accuracy_rating: None,
        helpful_rating: None,
        user_feedback: None,
        version: 1,
        completed_at: Some(time),
        created_at: time,
        updated_at: time,
    }
}

fn drawn_card(catalogue: &Catalogue, reading: &reading_sessions::Model) -> reading_cards::Model {
    let text = |text: &str| LocalizedText(Localized::new(text.to_owned(), None));
    let card = catalogue.card_by_code("major_arcana_00").expect("the first card");
    reading_cards::Model {
        reading_id: reading.id,
        position_number: 1,
        card_id: card.id,
        position_name: text("Place"),
        position_meaning: text("A meaning"),
        orientation: Orientation::Reversed,
        draw_order: 1,
        radiation_influence: 0.0,
        interpretation: "An interpretation.".to_owned(),
        created_at: reading.created_at,
    }
}

fn share(id: u128, reading: Uuid, token: &str) -> reading_shares::Model {
    reading_shares::Model {
        id: Uuid::from_u128(id),
        reading_id: reading,
        token: token.to_owned(),
        password_hash: None,
        is_active: true,
        expires_at: None,
        access_count: 0,
        last_access_at: None,
        title: None,
        description: Some("A description".to_owned()),
        created_at: at(0),
        updated_at: at(0),
    }
}
