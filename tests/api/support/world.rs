//! One object of each visibility: Ada's readings of each kind, her folder and
//! her links, and somebody who was deactivated.

use sea_orm::{EntityTrait, IntoActiveModel};

use wasteland_tarot::db::entities::columns::TextList;
use wasteland_tarot::db::entities::{reading_categories, reading_sessions, reading_shares, users};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::reading::PrivacyLevel;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::passwords::hash_password;

use crate::support::app::{TestApp, at};
use crate::support::fixtures::{category, drawn_card, id, reading, user};

/// Password of all users that have one.
pub const PASSWORD: &str = "correct horse battery staple";

/// All rows, before they are written.
pub struct World {
    pub rows: SeedRows,
    pub shares: Vec<reading_shares::Model>,
}

/// An open link to that reading. Its id is `id(name)`, and the name is its token and its title too.
pub fn share(reading: &reading_sessions::Model, name: &str) -> reading_shares::Model {
    reading_shares::Model {
        id: id(name),
        reading_id: reading.id,
        token: name.to_owned(),
        password_hash: None,
        is_active: true,
        expires_at: None,
        access_count: 0,
        last_access_at: None,
        title: Some(name.to_owned()),
        description: None,
        created_at: reading.created_at,
        updated_at: reading.created_at,
    }
}

/// Global id of a share link.
pub fn share_id(name: &str) -> String {
    GlobalId::ShareLink(id(name)).encode().to_string()
}

/// Ada, Bob, an admin and somebody deactivated, with a value in every field.
fn people(password_hash: &str) -> Vec<users::Model> {
    let full = |name: &str| users::Model {
        display_name: Some(format!("{name} of the vault")),
        bio: Some(format!("what {name} says")),
        faction: FactionKey::Ncr,
        password_hash: password_hash.to_owned(),
        is_premium: true,
        ..user(name)
    };
    vec![
        full("ada"),
        full("bob"),
        users::Model { is_admin: true, ..full("admin") },
        users::Model { is_active: false, ..full("gone") },
    ]
}

/// A reading with a value in every field that is not archived. All of its texts end with its name.
fn full_reading(
    app: &TestApp,
    owner: &users::Model,
    folder: Option<&reading_categories::Model>,
    (name, seconds): (&str, i64),
) -> reading_sessions::Model {
    reading_sessions::Model {
        focus_area: Some(format!("focus {name}")),
        notes: Some(format!("notes {name}")),
        tags: TextList(vec![format!("tag {name}")]),
        category_id: folder.map(|folder| folder.id),
        interpretation: format!("interpretation {name}"),
        summary: format!("summary {name}"),
        mood_before: Some(format!("before {name}")),
        mood_after: Some(format!("after {name}")),
        is_favorite: true,
        user_satisfaction: Some(5),
        accuracy_rating: Some(4),
        helpful_rating: Some(3),
        user_feedback: Some(format!("feedback {name}")),
        ..reading(app, owner, name, seconds)
    }
}

impl World {
    /// All rows, with that password hash for all users.
    pub fn new(app: &TestApp, password_hash: &str) -> Self {
        let users = people(password_hash);
        let (ada, bob, gone) = (&users[0], &users[1], &users[3]);
        let (work, home) = (category(ada, "c:work"), category(bob, "c:bobs"));
        let make = |owner, folder, name, seconds| full_reading(app, owner, folder, (name, seconds));
        let private =
            |reading| reading_sessions::Model { privacy_level: PrivacyLevel::Private, ..reading };
        let archived = |reading| reading_sessions::Model { archived_at: Some(at(99)), ..reading };
        let readings = vec![
            make(ada, Some(&work), "q:pub", 1),
            private(make(ada, Some(&work), "q:prv", 2)),
            reading_sessions::Model {
                privacy_level: PrivacyLevel::Friends,
                ..make(ada, Some(&work), "q:friends", 3)
            },
            archived(make(ada, Some(&work), "q:arch-pub", 4)),
            archived(private(make(ada, None, "q:arch-prv", 5))),
            make(gone, None, "q:gone-pub", 6),
            private(make(gone, None, "q:gone-prv", 7)),
            make(bob, Some(&home), "q:bob-pub", 8),
            private(make(bob, Some(&home), "q:bob-prv", 9)),
            make(ada, None, "q:late-pub", 10),
        ];
        let drawn_cards = readings
            .iter()
            .map(|reading| {
                let mut drawn = drawn_card(app, reading, 1, "major_arcana_00");
                drawn.interpretation = format!("card {}", reading.question);
                drawn
            })
            .collect();
        let shares = vec![share(&readings[0], "s:pub"), share(&readings[1], "s:prv")];
        let rows = SeedRows { categories: vec![work, home], users, readings, drawn_cards };
        Self { rows, shares }
    }

    /// Inserts all rows into the database of that server.
    pub async fn write(self, app: &TestApp) {
        app.insert(self.rows).await;
        let connection = app.database.connect().await;
        for share in self.shares {
            let share = share.into_active_model();
            reading_shares::Entity::insert(share).exec(&connection).await.expect("a link");
        }
        connection.close().await.expect("the connection closes");
    }
}

/// Inserts a world whose users can log in with [`PASSWORD`].
pub async fn write_world(app: &TestApp) {
    let hash = hash_password(PASSWORD.to_owned()).await.expect("a hash");
    World::new(app, &hash).write(app).await;
}
