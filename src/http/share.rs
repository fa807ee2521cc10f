//! `GET /s/{token}`: a shared reading as an HTML page, for people who open its link and for programs that
//! preview it. The page of a link that needs a password, has expired or was revoked says only that.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::client_address::ClientAddress;
use super::graphql::error::HttpError;
use super::graphql::response::GraphqlResponse;
use super::negotiation::MediaType;
use super::request_log::RequestId;
use super::state::App;
use crate::db::Session;
use crate::db::drawn_cards::{DrawnCardRow, drawn_cards_by_reading_id};
use crate::db::query::columns::DrawnCardColumns;
use crate::db::shares::SharedReadingRow;
use crate::domain::card::Orientation;
use crate::domain::locale::Locale;
use crate::graphql::errors::{ApiError, without_user_errors};
use crate::services::admission::Work;
use crate::services::catalogue::Catalogue;
use crate::services::rate_limits::ClientKey;
use crate::services::shares::{ShareAccess, open};

const STYLE: &str = "body{font:1.1rem/1.6 Georgia,serif;max-width:38rem;margin:3rem auto;padding:0 1rem;\
                     color:#222;background:#faf8f2}h1{line-height:1.2}h2{margin-bottom:0}\
                     footer{margin-top:3rem;color:#666}";

/// The inline style of the page and nothing else.
static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// The page of a share link.
pub async fn page(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    token: Result<Path<String>, PathRejection>,
    request: axum::extract::Request,
) -> Response {
    let not_found = || {
        let text = "There is no such link. 沒有這個連結。";
        Page::bare(StatusCode::NOT_FOUND, "A shared reading", text).into_response()
    };
    let Ok(Path(token)) = token else { return not_found() };
    let (parts, _) = request.into_parts();
    let address = ClientAddress::of(&parts.extensions);
    match find(&app, ClientKey::anonymous(address), &token).await {
        Ok(Some(page)) => page.into_response(),
        Ok(None) => not_found(),
        Err(error) => GraphqlResponse::from(HttpError::from(error)).into_response(&id),
    }
}

async fn find(app: &App, client: ClientKey, token: &str) -> Result<Option<Page>, ApiError> {
    without_user_errors(app.services.rate_limits.check_request(&client))?;
    let permit =
        app.services.admission.admit(client, Work::Execution).await.map_err(|_| ApiError::Busy)?;
    let session = app.database.session();
    let page = read_page(app, &session, token).await?;
    permit.complete(session.counters().time());
    Ok(page)
}

async fn read_page(app: &App, session: &Session, token: &str) -> Result<Option<Page>, ApiError> {
    let opened = without_user_errors(open(session, &app.services, token, None).await)?;
    Ok(match opened {
        None => None,
        Some(ShareAccess::Open(row)) => Some(Page::of(app, session, &row).await?),
        Some(ShareAccess::PasswordRequired) => Some(Page::bare(
            StatusCode::OK,
            "A shared reading",
            "This reading is protected by a password. Open it in the app. 這個解讀受密碼保護，請在應用程式中開啟。",
        )),
        Some(ShareAccess::Expired | ShareAccess::Revoked) => Some(Page::bare(
            StatusCode::GONE,
            "A shared reading",
            "This link is closed. 這個連結已經關閉。",
        )),
    })
}

struct Page {
    status: StatusCode,
    html: String,
}

impl Page {
    fn bare(status: StatusCode, title: &str, text: &str) -> Self {
        let body = format!("<h1>{title}</h1>\n<p>{text}</p>\n");
        Self { status, html: document("en", title, "", &body) }
    }

    async fn of(app: &App, session: &Session, row: &SharedReadingRow) -> Result<Self, ApiError> {
        let reading_id = row.reading.id;
        let drawn =
            drawn_cards_by_reading_id(session, &[reading_id], DrawnCardColumns::WithTexts).await?;
        let body = body_of(&app.services.catalogue(), row, &drawn);
        let meta = open_graph(&app.services.settings.public_url(), row);
        let language = match row.reading.locale {
            Locale::En => "en",
            Locale::ZhHant => "zh-Hant",
        };
        let html = document(language, title_of(row), &meta, &body);
        Ok(Self { status: StatusCode::OK, html })
    }
}

fn title_of(row: &SharedReadingRow) -> &str {
    row.share.title.as_deref().unwrap_or(&row.reading.question)
}

/// Title, description, question, cards and interpretation of a reading, and its author.
fn body_of(catalogue: &Catalogue, row: &SharedReadingRow, drawn: &[DrawnCardRow]) -> String {
    let (reading, locale) = (&row.reading, row.reading.locale);
    let mut body = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(body, "<h1>{}</h1>", escaped(title_of(row)));
    if let Some(description) = &row.share.description {
        let _ = writeln!(body, "<p>{}</p>", escaped(description));
    }
    if row.share.title.is_some() {
        let _ = writeln!(body, "<p><em>{}</em></p>", escaped(&reading.question));
    }
    for drawn in drawn {
        let Some(card) = catalogue.card(drawn.card_id) else { continue };
        let name = &card.texts.get(locale).name;
        let (Some(position), Some(interpretation)) = (&drawn.position_name, &drawn.interpretation)
        else {
            continue;
        };
        let position = position.get(locale);
        let orientation = match (drawn.orientation, locale) {
            (Orientation::Upright, _) => "",
            (Orientation::Reversed, Locale::En) => " (reversed)",
            (Orientation::Reversed, Locale::ZhHant) => "（逆位）",
        };
        let _ = writeln!(body, "<h2>{}: {}{orientation}</h2>", escaped(position), escaped(name));
        let _ = writeln!(body, "<p>{}</p>", escaped(interpretation));
    }
    if let Some(texts) = &reading.texts {
        let _ = writeln!(body, "<p>{}</p>", escaped(&texts.interpretation));
    }
    let _ = writeln!(body, "<footer>{}</footer>", escaped(&row.author));
    body
}

/// Open Graph properties, from which other programs make a preview of the link.
fn open_graph(public_url: &str, row: &SharedReadingRow) -> String {
    let summary = row.reading.summary.as_deref().unwrap_or_default();
    let description = row.share.description.as_deref().unwrap_or(summary);
    let url = format!("{public_url}/s/{}", row.share.token);
    format!(
        "<meta property=\"og:type\" content=\"article\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n\
         <meta property=\"og:description\" content=\"{description}\">\n\
         <meta property=\"og:url\" content=\"{url}\">\n\
         <meta property=\"og:locale\" content=\"{locale}\">\n",
        title = escaped(title_of(row)),
        description = escaped(description),
        url = escaped(&url),
        locale = match row.reading.locale {
            Locale::En => "en_US",
            Locale::ZhHant => "zh_TW",
        },
    )
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, MediaType::Html.content_type()),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.as_str()),
            (HeaderName::from_static("x-robots-tag"), "noindex"),
        ];
        (self.status, headers, self.html).into_response()
    }
}

fn document(language: &str, title: &str, meta: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n{meta}\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escaped(title)
    )
}

/// User text with the special characters of HTML escaped, for elements and attributes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
        escaped
    })
}
