//! Lengths of texts: characters are counted after composition (NFC), in the form in which a text is stored.

use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;

use crate::accounts::user_with_password;
use crate::support::app::{Engine, TestApp, on_both_databases};
use crate::support::fixtures::{card_id, category, id, reading, reading_id, rows, spread_id, user};
use crate::support::mutations::{USER_ERRORS, mutate, refusal};

/// One letter when it is composed (`é`), two characters as it is sent.
const LETTER: &str = "e\u{301}";

/// A text of an input, with its bounds.
struct Text {
    viewer: &'static str,
    mutation: &'static str,
    input: Value,
    path: &'static [&'static str],
    /// Characters that the text has beside the letters.
    suffix: &'static str,
    bounds: (i32, i32),
}

impl Text {
    const fn new(
        viewer: &'static str,
        mutation: &'static str,
        input: Value,
        path: &'static [&'static str],
        bounds: (i32, i32),
    ) -> Self {
        Self { viewer, mutation, input, path, suffix: "", bounds }
    }

    /// The input with a text of that many composed characters.
    fn with_length(&self, length: i32) -> Value {
        let suffix = i32::try_from(self.suffix.len()).expect("a few");
        let count = usize::try_from(length - suffix).expect("more than the suffix");
        self.with_text(&(LETTER.repeat(count) + self.suffix))
    }

    fn with_text(&self, text: &str) -> Value {
        let mut input = self.input.clone();
        let mut place = &mut input;
        for segment in self.path {
            place = match segment.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[*segment],
            };
        }
        *place = json!(text);
        input
    }

    /// User errors of the mutation with a text of that length.
    async fn errors(&self, app: &TestApp, length: i32) -> Value {
        self.errors_of(app, self.with_length(length)).await
    }

    async fn errors_of(&self, app: &TestApp, input: Value) -> Value {
        let viewer = (!self.viewer.is_empty()).then(|| id(self.viewer));
        let response = mutate(app, viewer, self.mutation, &input, USER_ERRORS).await;
        assert_eq!(response.body.get("errors"), None, "{}: {}", self.mutation, response.text);
        response.body["data"][self.mutation]["userErrors"].clone()
    }
}

async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let ada = user_with_password("ada").await;
    let admin = users::Model { is_admin: true, ..user("admin") };
    let folder = category(&ada, "folder");
    let hope = reading(&app, &ada, "hope", 1);
    let mut rows = rows(vec![ada, admin], vec![hope]);
    rows.categories.push(folder);
    app.insert(rows).await;
    app
}

/// Every text that people write, apart from passwords.
async fn texts(app: &TestApp) -> Vec<Text> {
    let hope = reading_id("hope");
    let registration = |name: &str| {
        json!({
            "email": format!("{name}@example.com"), "username": name, "password": "a password",
        })
    };
    let draw =
        json!({ "question": "?", "spreadId": spread_id(app, "single_wasteland"), "tags": [""] });
    let untagged = json!({ "question": "?", "spreadId": spread_id(app, "single_wasteland") });
    let update = json!({ "id": hope });
    let card = json!({ "id": card_id(app, "major_arcana_00"), "keywords": ["one", ""] });
    let card_text = json!({ "id": card_id(app, "major_arcana_00") });
    let spread = json!({ "id": spread_id(app, "single_wasteland") });
    let positions = json!({
        "id": spread_id(app, "single_wasteland"),
        "positions": [{ "number": 1, "name": "N", "meaning": "M" }],
    });
    let category = json!({ "name": "N", "color": "#a0b1c2" });
    let share = json!({ "readingId": hope });
    vec![
        Text {
            suffix: "@example.com",
            ..Text::new("", "register", registration("a"), &["email"], (3, 255))
        },
        Text::new("", "register", registration("b"), &["username"], (1, 50)),
        Text::new("", "register", registration("c"), &["displayName"], (1, 100)),
        Text {
            suffix: "a",
            ..Text::new("ada", "updateProfile", json!({}), &["username"], (1, 50))
        },
        Text::new("ada", "updateProfile", json!({}), &["displayName"], (1, 100)),
        Text::new("ada", "updateProfile", json!({}), &["bio"], (0, 500)),
        Text::new("ada", "createReading", untagged.clone(), &["question"], (1, 500)),
        Text::new("ada", "createReading", untagged.clone(), &["notes"], (0, 1000)),
        Text::new("ada", "createReading", untagged.clone(), &["focusArea"], (0, 100)),
        Text::new("ada", "createReading", untagged, &["moodBefore"], (0, 50)),
        Text::new("ada", "createReading", draw, &["tags", "0"], (1, 50)),
        Text::new("ada", "updateReading", update.clone(), &["question"], (1, 500)),
        Text::new("ada", "updateReading", update.clone(), &["notes"], (0, 1000)),
        Text::new("ada", "updateReading", update.clone(), &["focusArea"], (0, 100)),
        Text::new("ada", "updateReading", update.clone(), &["moodAfter"], (0, 50)),
        Text::new("ada", "updateReading", update, &["feedback"], (0, 1000)),
        Text::new(
            "ada",
            "setReadingTags",
            json!({ "id": hope, "tags": [""] }),
            &["tags", "0"],
            (1, 50),
        ),
        Text::new("ada", "createCategory", category.clone(), &["name"], (1, 100)),
        Text::new("ada", "createCategory", category.clone(), &["icon"], (0, 50)),
        Text::new("ada", "createCategory", with_name(category, "O"), &["description"], (0, 500)),
        Text::new("ada", "shareReading", share.clone(), &["title"], (0, 100)),
        Text::new("ada", "shareReading", share, &["description"], (0, 300)),
        Text::new("admin", "adminUpdateCard", card_text.clone(), &["name"], (1, 100)),
        Text::new("admin", "adminUpdateCard", card_text, &["uprightMeaning"], (1, 2000)),
        Text::new("admin", "adminUpdateCard", card, &["keywords", "1"], (1, 50)),
        Text::new("admin", "adminUpdateSpread", spread.clone(), &["displayName"], (1, 150)),
        Text::new("admin", "adminUpdateSpread", spread.clone(), &["description"], (10, 1000)),
        Text::new("admin", "adminUpdateSpread", spread, &["interpretationGuide"], (0, 2000)),
        Text::new(
            "admin",
            "adminUpdateSpread",
            positions.clone(),
            &["positions", "0", "name"],
            (1, 100),
        ),
        Text::new(
            "admin",
            "adminUpdateSpread",
            positions,
            &["positions", "0", "meaning"],
            (1, 500),
        ),
    ]
}

fn with_name(mut input: Value, name: &str) -> Value {
    input["name"] = json!(name);
    input
}

/// The name of a field in a message: `positions[0].name`.
fn name_of(path: &[&str]) -> String {
    path.iter().fold(String::new(), |name, segment| match segment.parse::<usize>() {
        Ok(index) => format!("{name}[{index}]"),
        Err(_) if name.is_empty() => (*segment).to_owned(),
        Err(_) => format!("{name}.{segment}"),
    })
}

on_both_databases! {
    async fn texts_are_counted_after_composition(engine: Engine) {
        let app = start(engine).await;
        for text in texts(&app).await {
            let (min, max) = text.bounds;
            let name = name_of(text.path);
            let message = format!("{name} has {} characters; it must have at most {max}", max + 1);
            assert_eq!(
                text.errors(&app, max + 1).await,
                refusal(text.path, "TOO_LONG", &message, [Some(min), Some(max)]),
                "{} {name}", text.mutation
            );
            assert_eq!(text.errors(&app, max).await, json!([]), "{} {name}", text.mutation);
            if min > 1 && text.suffix.is_empty() {
                let message = format!("{name} has {} characters; it must have at least {min}", min - 1);
                assert_eq!(
                    text.errors(&app, min - 1).await,
                    refusal(text.path, "TOO_SHORT", &message, [Some(min), Some(max)])
                );
                assert_eq!(text.errors(&app, min).await, json!([]));
            }
        }
    }

    async fn texts_without_a_visible_character_are_missing(engine: Engine) {
        let app = start(engine).await;
        for text in texts(&app).await {
            let name = name_of(text.path);
            let is_required = text.bounds.0 > 0 && (name != "displayName" || text.viewer == "admin");
            if !is_required {
                continue;
            }
            for blank in ["\u{200b}", "\u{feff} \u{1160}", "\u{2800}\u{e0020}\u{ad}", " \u{3000}"] {
                let errors = text.errors_of(&app, text.with_text(blank)).await;
                let expected = refusal(text.path, "REQUIRED", &format!("{name} is missing"), [None, None]);
                assert_eq!(errors[0], expected[0], "{} {name} {blank:?}", text.mutation);
            }
            if !["email", "username"].contains(&&*name) {
                // Beside a visible character they may stand: emoji and Persian need them.
                let visible = format!("{}\u{200d}\u{fe0f}", "❤".repeat(10));
                let errors = text.errors_of(&app, text.with_text(&visible)).await;
                assert_eq!(errors, json!([]), "{} {name}", text.mutation);
            }
        }
    }

    async fn optional_texts_without_a_visible_character_are_absent(engine: Engine) {
        let app = start(engine).await;
        let input = json!({ "displayName": "\u{200b}", "bio": "\u{feff} \u{1160}" });
        let fields = "user { displayName bio } userErrors { code }";
        let response = mutate(&app, Some(id("ada")), "updateProfile", &input, fields).await;
        assert_eq!(
            response.body["data"]["updateProfile"],
            json!({ "user": { "displayName": null, "bio": null }, "userErrors": [] })
        );
    }

    async fn passwords_are_counted_after_composition(engine: Engine) {
        let app = start(engine).await;
        let long = |field: &str, max: i32| format!("{field} has 129 characters; it must have at most {max}");
        let short = |field: &str, count: i32| format!("{field} has {count} characters; it must have at least 8");
        let link = |count: i32| format!("password has {count} characters; it must have 6 to 128");
        let registration = json!({ "email": "p@example.com", "username": "p" });
        let change = json!({ "currentPassword": crate::accounts::PASSWORD });
        let share = json!({ "readingId": reading_id("hope") });
        for (text, too_short, too_long) in [
            (
                Text::new("", "register", registration, &["password"], (8, 128)),
                short("password", 7),
                long("password", 128),
            ),
            (
                Text::new("ada", "changePassword", change, &["newPassword"], (8, 128)),
                short("newPassword", 7),
                long("newPassword", 128),
            ),
            (Text::new("ada", "shareReading", share, &["password"], (6, 128)), link(5), link(129)),
        ] {
            let (min, max) = text.bounds;
            for (length, code, message) in
                [(min - 1, "TOO_SHORT", &too_short), (max + 1, "TOO_LONG", &too_long)]
            {
                assert_eq!(
                    text.errors(&app, length).await,
                    refusal(text.path, code, message, [Some(min), Some(max)]),
                    "{} {length}", text.mutation
                );
            }
            let accepted = if text.mutation == "shareReading" { &[min, max][..] } else { &[max] };
            for length in accepted {
                assert_eq!(text.errors(&app, *length).await, json!([]), "{} {length}", text.mutation);
            }
        }
        // The stored password is the composed one.
        let login = json!({ "login": "ada", "password": "é".repeat(128) });
        let response = mutate(&app, None, "login", &login, "viewer { username } userErrors { code }").await;
        assert_eq!(
            response.body,
            json!({ "data": { "login": { "viewer": { "username": "ada" }, "userErrors": [] } } })
        );
    }

    async fn a_character_that_composition_divides_counts_as_several(engine: Engine) {
        let app = start(engine).await;
        // U+0958 is excluded from composition: NFC writes it as two characters.
        let question = "\u{958}".repeat(251);
        let input = json!({ "question": question, "spreadId": spread_id(&app, "single_wasteland") });
        let message = "question has 502 characters; it must have at most 500";
        let response = mutate(&app, Some(id("ada")), "createReading", &input, USER_ERRORS).await;
        assert_eq!(
            response.body["data"]["createReading"]["userErrors"],
            refusal(&["question"], "TOO_LONG", message, [Some(1), Some(500)])
        );
    }
}
