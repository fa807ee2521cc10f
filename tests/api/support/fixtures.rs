//! Rows of users and readings. Each function returns a whole row with sensible values; a test overrides
//! the fields that it is about: `users::Model { is_admin: true, ..user("ada") }`.

use std::sync::Arc;

use uuid::Uuid;

use wasteland_tarot::db::entities::columns::{LocalizedText, TextList};
use wasteland_tarot::db::entities::{reading_cards, reading_categories, reading_sessions, users};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::card::{Card, Orientation};
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::locale::{Locale, Localized};
use wasteland_tarot::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use wasteland_tarot::domain::spread::Spread;
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{TestApp, at};

/// An id that a test knows beforehand, the same on both databases: the letters of a text of at most
/// 16 bytes. Ids sort as their texts do.
pub fn id(text: &str) -> Uuid {
    assert!(text.len() <= 16, "{text} is longer than an id");
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Uuid::from_bytes(bytes)
}

/// An ordinary user of that name. The id is `id(name)`.
pub fn user(name: &str) -> users::Model {
    users::Model {
        id: id(name),
        email: format!("{name}@example.com"),
        username: name.to_owned(),
        display_name: None,
        password_hash: "no password matches this".to_owned(),
        bio: None,
        faction: FactionKey::Independent,
        karma_score: 50,
        preferred_voice: VoiceKey::PipBoy,
        is_active: true,
        is_verified: false,
        is_admin: false,
        is_premium: false,
        failed_logins: 0,
        locked_until: None,
        last_login_at: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A folder of that user. The id is `id(name)`.
pub fn category(owner: &users::Model, name: &str) -> reading_categories::Model {
    reading_categories::Model {
        id: id(name),
        user_id: owner.id,
        name: name.to_owned(),
        color: "#a0b1c2".to_owned(),
        icon: None,
        description: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// A public reading of that user with a spread of one card, created at `at(seconds)`.
/// The id is `id(name)`, and the name is also the question.
pub fn reading(
    app: &TestApp,
    owner: &users::Model,
    name: &str,
    seconds: i64,
) -> reading_sessions::Model {
    let spread = spread(app, "single_wasteland");
    reading_sessions::Model {
        id: id(name),
        user_id: owner.id,
        spread_template_id: spread.id,
        spread_type: spread.spread_type,
        character_voice: VoiceKey::PipBoy,
        karma_context: Karma::Neutral,
        question: name.to_owned(),
        focus_area: None,
        notes: None,
        tags: TextList(Vec::new()),
        category_id: None,
        status: ReadingStatus::Complete,
        radiation_factor: 0.5,
        interpretation: format!("What is said of {name}."),
        summary: format!("{name} in a line."),
        locale: Locale::En,
        mood_before: None,
        mood_after: None,
        privacy_level: PrivacyLevel::Public,
        is_favorite: false,
        archived_at: None,
        user_satisfaction: None,
        accuracy_rating: None,
        helpful_rating: None,
        user_feedback: None,
        version: 1,
        completed_at: Some(at(seconds)),
        created_at: at(seconds),
        updated_at: at(seconds),
    }
}

/// The same reading, private.
pub fn private(reading: reading_sessions::Model) -> reading_sessions::Model {
    reading_sessions::Model { privacy_level: PrivacyLevel::Private, ..reading }
}

/// The card of that code, upright in that position of a reading.
pub fn drawn_card(
    app: &TestApp,
    reading: &reading_sessions::Model,
    position: i16,
    code: &str,
) -> reading_cards::Model {
    let text = |en: &str, zh_hant: &str| {
        LocalizedText(Localized::new(
            format!("{en} {position}"),
            Some(format!("{zh_hant}{position}")),
        ))
    };
    reading_cards::Model {
        reading_id: reading.id,
        position_number: position,
        card_id: card(app, code).id,
        position_name: text("Place", "位置"),
        position_meaning: text("What place", "位置的意義"),
        orientation: Orientation::Upright,
        draw_order: position,
        radiation_influence: 0.0,
        interpretation: format!("What is said of {code}."),
        created_at: reading.created_at,
    }
}

/// The cards of these codes, in positions from 1.
pub fn drawn_cards(
    app: &TestApp,
    reading: &reading_sessions::Model,
    codes: &[&str],
) -> Vec<reading_cards::Model> {
    (1..).zip(codes).map(|(position, code)| drawn_card(app, reading, position, code)).collect()
}

/// The spread of that name, as the server has loaded it.
pub fn spread(app: &TestApp, name: &str) -> Arc<Spread> {
    let catalogue = app.app.services.catalogue();
    let found = catalogue.spreads().iter().find(|spread| spread.name == name);
    Arc::clone(found.expect("a spread of that name"))
}

/// The card of that code, as the server has loaded it.
pub fn card(app: &TestApp, code: &str) -> Arc<Card> {
    let catalogue = app.app.services.catalogue();
    Arc::clone(catalogue.card_by_code(code).expect("a card of that code"))
}

/// Rows of these users and readings.
pub fn rows(users: Vec<users::Model>, readings: Vec<reading_sessions::Model>) -> SeedRows {
    SeedRows { users, readings, ..SeedRows::default() }
}

/// A user with `count` public readings, the newest last: `r001`, `r002` and so on.
pub fn crowd(app: &TestApp, owner: &users::Model, count: i64) -> SeedRows {
    let readings = (1..=count).map(|n| reading(app, owner, &format!("r{n:03}"), n)).collect();
    rows(vec![owner.clone()], readings)
}

/// The id of a card as clients see it.
pub fn card_id(app: &TestApp, code: &str) -> String {
    GlobalId::Card(card(app, code).id).encode().to_string()
}

/// The id of a spread as clients see it.
pub fn spread_id(app: &TestApp, name: &str) -> String {
    GlobalId::Spread(spread(app, name).id).encode().to_string()
}

/// The id of a user as clients see it.
pub fn user_id(name: &str) -> String {
    GlobalId::User(id(name)).encode().to_string()
}

/// The id of a reading as clients see it.
pub fn reading_id(name: &str) -> String {
    GlobalId::Reading(id(name)).encode().to_string()
}

/// The id of a category as clients see it.
pub fn category_id(name: &str) -> String {
    GlobalId::Category(id(name)).encode().to_string()
}
