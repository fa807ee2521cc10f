//! Authorization of fields and mutations: a table that must name every field of the schema, and the
//! server, which must behave as the table says.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::types::{BaseType, FieldDefinition, TypeKind};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::graphql::cache_hints::hint_of;
use wasteland_tarot::graphql::sdl;

use crate::schema::{fields_of, types_of};
use crate::support::app::{TestApp, on_both_databases};
use crate::support::fixtures::{card_id, category_id, id, reading_id, spread_id, user_id};
use crate::support::tables::{Access, differences};
use crate::support::world::{PASSWORD, share_id, write_world};

/// Access policy of a type or field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Every viewer of its object.
    Public,
    /// Any signed-in viewer.
    Viewer,
    /// For the user whose it is.
    Owner,
    /// For the user whose it is, and for admins.
    OwnerOrAdmin,
    /// For admins.
    Admin,
    /// Any holder of a share link.
    Link,
    /// Any holder of a password or a refresh token.
    Session,
}

use Policy::{Admin, Link, Owner, OwnerOrAdmin, Public, Session, Viewer};

/// Types all of whose fields are for the same people.
const TYPES: &[(Policy, &[&str])] = &[
    (
        Public,
        &[
            "Card",
            "CardConnection",
            "CardDraw",
            "CardEdge",
            "DrawnCard",
            "Faction",
            "Node",
            "PageInfo",
            "PopularSpreads",
            "PublicStats",
            "ReadingConnection",
            "ReadingEdge",
            "Spread",
            "SpreadConnection",
            "SpreadEdge",
            "SpreadPosition",
            "SpreadRecommendation",
            "SuitInfo",
            "UserError",
            "Voice",
        ],
    ),
    (
        OwnerOrAdmin,
        &[
            "Analytics",
            "AnalyticsSummary",
            "CardFrequency",
            "DayCount",
            "HiddenReading",
            "KarmaCount",
            "PeriodComparison",
            "PeriodSummary",
            "RatingCount",
            "ReadingPatterns",
            "SatisfactionAnalytics",
            "SpreadCount",
            "UserStats",
            "VoiceCount",
        ],
    ),
    (Owner, &["Category", "ReadingQuota", "ShareLink", "Tag", "TagConnection", "TagEdge"]),
    (
        Admin,
        &[
            "Admin",
            "AdminUser",
            "AdminUserConnection",
            "AdminUserEdge",
            "AdmissionStats",
            "AuditEntry",
            "AuditEntryConnection",
            "AuditEntryEdge",
            "CachePolicyStats",
            "CacheStats",
            "DatabaseHealth",
            "PoolStats",
            "SlowQuery",
        ],
    ),
    (Link, &["SharedCard", "SharedReading", "SharedReadingContent"]),
    (Session, &["Session"]),
];

/// Fields of the other types.
const FIELDS: &[(&str, Policy, &[&str])] = &[
    (
        "Query",
        Public,
        &[
            "card",
            "cardByCode",
            "cards",
            "factions",
            "node",
            "nodes",
            "popularSpreads",
            "publicReadings",
            "publicStats",
            "reading",
            "recommendedSpreads",
            "spread",
            "spreadByName",
            "spreads",
            "suits",
            "user",
            "voices",
        ],
    ),
    ("Query", Viewer, &["viewer"]),
    ("Query", Link, &["sharedReading"]),
    ("Query", Admin, &["admin"]),
    (
        "User",
        Public,
        &["bio", "createdAt", "displayName", "faction", "id", "karma", "readings", "username"],
    ),
    (
        "User",
        OwnerOrAdmin,
        &["analytics", "email", "isAdmin", "isPremium", "karmaScore", "preferredVoice", "stats"],
    ),
    ("User", Owner, &["categories", "readingQuota", "tags"]),
    (
        "Reading",
        Public,
        &[
            "cards",
            "characterVoice",
            "createdAt",
            "focusArea",
            "id",
            "interpretation",
            "karmaContext",
            "locale",
            "privacyLevel",
            "question",
            "radiationFactor",
            "spread",
            "spreadType",
            "summary",
            "tags",
            "updatedAt",
            "user",
            "version",
            "voice",
        ],
    ),
    (
        "Reading",
        Owner,
        &[
            "accuracyRating",
            "archivedAt",
            "category",
            "feedback",
            "helpfulRating",
            "isFavorite",
            "moodAfter",
            "moodBefore",
            "notes",
            "satisfactionRating",
            "shareLinks",
        ],
    ),
    ("Reading", OwnerOrAdmin, &["hidden"]),
    ("Mutation", Public, &["drawCards"]),
    ("Mutation", Session, &["login", "logout", "refreshSession", "register"]),
    ("Mutation", Link, &["unlockSharedReading"]),
    (
        "Mutation",
        Viewer,
        &[
            "changePassword",
            "createCategory",
            "createReading",
            "deleteAccount",
            "deleteTags",
            "mergeTags",
            "renameTag",
            "updateProfile",
        ],
    ),
    (
        "Mutation",
        Owner,
        &[
            "deleteCategory",
            "deleteReading",
            "revokeShare",
            "setReadingTags",
            "shareReading",
            "updateCategory",
            "updateReading",
        ],
    ),
    (
        "Mutation",
        Admin,
        &[
            "adminDeactivateUser",
            "adminDeleteReading",
            "adminHideReading",
            "adminInvalidateCache",
            "adminLockUser",
            "adminReactivateUser",
            "adminUnhideReading",
            "adminUnlockUser",
            "adminUpdateCard",
            "adminUpdateSpread",
        ],
    ),
];

/// A field of the schema.
struct Field {
    holder: String,
    name: String,
    /// Name of the returned type, without lists.
    type_name: String,
    answers_object: bool,
}

fn named_type(field: &FieldDefinition) -> String {
    let mut base = &field.ty.node.base;
    loop {
        match base {
            BaseType::Named(name) => return name.to_string(),
            BaseType::List(inner) => base = &inner.base,
        }
    }
}

/// All fields of objects and interfaces.
fn all_fields() -> Vec<Field> {
    let types = types_of(sdl());
    let is_object = |name: &String| {
        let kind = types.get(name).map(|definition| &definition.kind);
        matches!(kind, Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_)))
    };
    let mut fields = Vec::new();
    for (holder, definition) in &types {
        for field in fields_of(definition) {
            let type_name = named_type(&field.node);
            fields.push(Field {
                holder: holder.clone(),
                name: field.node.name.node.to_string(),
                answers_object: is_object(&type_name),
                type_name,
            });
        }
    }
    fields
}

fn of_type(type_name: &str) -> Option<Policy> {
    TYPES.iter().find(|(_, types)| types.contains(&type_name)).map(|(policy, _)| *policy)
}

/// The policy of a field. The payload of a mutation is for all who may send the mutation.
fn of_field(holder: &str, name: &str) -> Option<Policy> {
    if let Some(mutation) = holder.strip_suffix("Payload") {
        let (first, rest) = mutation.split_at_checked(1)?;
        return of_field("Mutation", &format!("{}{rest}", first.to_lowercase()));
    }
    of_type(holder).or_else(|| {
        let mut of_holder = FIELDS.iter().filter(|(of, ..)| *of == holder);
        of_holder.find(|(.., fields)| fields.contains(&name)).map(|(_, policy, _)| *policy)
    })
}

/// The fields of a type with that policy.
fn fields_with(holder: &str, policy: Policy) -> impl Iterator<Item = &'static str> {
    FIELDS
        .iter()
        .filter(move |(of, with, _)| *of == holder && *with == policy)
        .flat_map(|(.., fields)| fields.iter().copied())
}

#[test]
fn every_field_has_a_stated_policy_and_every_policy_a_field() {
    let fields = all_fields();
    let bare: Vec<String> = fields
        .iter()
        .filter(|field| of_field(&field.holder, &field.name).is_none())
        .map(|field| format!("{}.{}", field.holder, field.name))
        .collect();
    assert!(bare.is_empty(), "for whom are these? {bare:#?}");

    let there: BTreeSet<(&str, &str)> =
        fields.iter().map(|field| (field.holder.as_str(), field.name.as_str())).collect();
    let holders: BTreeSet<&str> = there.iter().map(|(holder, _)| *holder).collect();
    let mut named = Vec::new();
    for (_, types) in TYPES {
        for type_name in *types {
            assert!(holders.contains(type_name), "there is no {type_name}");
            named.push(((*type_name).to_owned(), String::new()));
        }
    }
    for (holder, _, names) in FIELDS {
        assert_eq!(of_type(holder), None, "{holder} is stated as a whole");
        for name in *names {
            assert!(there.contains(&(holder, name)), "there is no {holder}.{name}");
            named.push(((*holder).to_owned(), (*name).to_owned()));
        }
    }
    let count = named.len();
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>().len(), count, "something stands twice");
}

#[test]
fn restricted_types_are_reached_only_by_fields_as_restricted() {
    for field in all_fields() {
        let path = format!("{}.{}: {}", field.holder, field.name, field.type_name);
        let through = of_field(&field.holder, &field.name);
        let is_of_change = field.holder.ends_with("Payload");
        let allowed: &[Policy] = match (of_type(&field.type_name), is_of_change) {
            (Some(Owner), false) => &[Owner],
            // Fields of the viewer's own changes.
            (Some(Owner), true) => &[Owner, Viewer],
            (Some(OwnerOrAdmin), _) => &[OwnerOrAdmin],
            (Some(Admin), _) => &[Admin],
            (Some(Link), _) => &[Link],
            (Some(Session), _) => &[Session, Viewer],
            _ => continue,
        };
        assert!(through.is_some_and(|policy| allowed.contains(&policy)), "{path}, {through:?}");
    }
}

/// Cacheable fields are public; a public field may still change too often to be cached, or belong
/// to mutations.
#[test]
fn cacheable_fields_are_public() {
    let cacheable: Vec<Field> = all_fields()
        .into_iter()
        .filter(|field| hint_of(&field.holder, &field.name).is_some())
        .collect();
    assert!(cacheable.len() > 100, "{}", cacheable.len());
    for Field { holder, name, .. } in cacheable {
        assert_eq!(of_field(&holder, &name), Some(Public), "{holder}.{name}");
    }
}

/// Viewers, and their relation to Ada.
const VIEWERS: [(Option<&str>, &str); 4] = [
    (None, "nobody"),
    (Some("bob"), "a stranger"),
    (Some("ada"), "the owner"),
    (Some("admin"), "an admin"),
];

fn is_open(policy: Policy, viewer: Option<&str>) -> bool {
    match policy {
        Public | Link | Session => true,
        Viewer => viewer.is_some(),
        Owner => viewer == Some("ada"),
        OwnerOrAdmin => matches!(viewer, Some("ada" | "admin")),
        Admin => viewer == Some("admin"),
    }
}

/// All fields of many objects at once cost more than a request may.
const EVERY_FIELD: [&str; 1] = ["--max-query-cost=1000000"];

/// Selects these fields of a type.
fn selection(holder: &str, fields: &BTreeSet<&str>) -> String {
    let selects = |field: Field| {
        let rest = if field.answers_object { " { __typename }" } else { "" };
        format!("{}{rest}", field.name)
    };
    let all = all_fields().into_iter();
    let selected =
        all.filter(|field| field.holder == holder && fields.contains(field.name.as_str()));
    selected.map(selects).collect::<Vec<_>>().join(" ")
}

/// Field that is null for everybody, because the reading of the test is public: `moderation.rs` tests it.
const NULL_OF_A_PUBLIC_READING: &str = "hidden";

/// Selects the fields of an object by that way, as each viewer; asserts that the viewers of the
/// policy see them, and all others get null and no error.
async fn assert_policies(app: &TestApp, holder: &str, ways: &[(&str, String)]) {
    let of_holder: BTreeMap<&str, Policy> = [Public, Owner, OwnerOrAdmin]
        .into_iter()
        .flat_map(|policy| fields_with(holder, policy).map(move |field| (field, policy)))
        .filter(|(field, _)| *field != NULL_OF_A_PUBLIC_READING)
        .collect();
    let fields = selection(holder, &of_holder.keys().copied().collect());
    for (viewer, who) in VIEWERS {
        for (path, way) in ways {
            let query = format!("{{ {way} }} fragment Fields on {holder} {{ {fields} }}");
            let response = app.query_as_viewer(viewer.map(id), &query).await;
            assert_eq!(response.body.get("errors"), None, "{who}: {}", response.text);
            let object = response.body["data"].pointer(path).expect(path);
            for (field, policy) in &of_holder {
                let is_seen = !object[*field].is_null();
                let expected = is_open(*policy, viewer);
                assert_eq!(is_seen, expected, "{holder}.{field} for {who} by {way}: {object}");
            }
        }
    }
}

on_both_databases! {
    async fn fields_of_a_user_are_authorized_as_the_table_says(engine: Engine) {
        let app = TestApp::start_with(engine, &EVERY_FIELD).await;
        write_world(&app).await;
        let (ada, reading) = (user_id("ada"), reading_id("q:pub"));
        assert_policies(
            &app,
            "User",
            &[
                ("/user", "user(username: \"ada\") { ...Fields }".to_owned()),
                ("/node", format!("node(id: {ada:?}) {{ ...Fields }}")),
                ("/nodes/0", format!("nodes(ids: [{ada:?}]) {{ ...Fields }}")),
                ("/reading/user", format!("reading(id: {reading:?}) {{ user {{ ...Fields }} }}")),
                ("/publicReadings/nodes/0/user", "publicReadings { nodes { user { ...Fields } } }".to_owned()),
                ("/publicReadings/edges/0/node/user", "publicReadings { edges { node { user { ...Fields } } } }".to_owned()),
                (
                    "/user/readings/nodes/0/user",
                    "user(username: \"ada\") { readings { nodes { user { ...Fields } } } }".to_owned(),
                ),
            ],
        )
        .await;
    }

    async fn fields_of_a_reading_are_authorized_as_the_table_says(engine: Engine) {
        let app = TestApp::start_with(engine, &EVERY_FIELD).await;
        write_world(&app).await;
        // Archived, because then no field of the owner's is null for them.
        let reading = reading_id("q:arch-pub");
        assert_policies(
            &app,
            "Reading",
            &[
                ("/reading", format!("reading(id: {reading:?}) {{ ...Fields }}")),
                ("/node", format!("node(id: {reading:?}) {{ ...Fields }}")),
                ("/nodes/0", format!("nodes(ids: [{reading:?}]) {{ ...Fields }}")),
            ],
        )
        .await;
    }

    async fn fields_of_readings_in_lists_are_null_for_others(engine: Engine) {
        let app = TestApp::start_with(engine, &EVERY_FIELD).await;
        write_world(&app).await;
        let hidden = fields_with("Reading", Owner).collect();
        let fields = selection("Reading", &hidden);
        for viewer in [None, Some(id("bob")), Some(id("admin"))] {
            for list in [
                "publicReadings",
                "user(username: \"ada\") { readings",
                "publicReadings { nodes { user { readings",
            ] {
                let ends = "}".repeat(list.matches('{').count());
                for items in ["nodes { ...Fields }", "edges { node { ...Fields } }"] {
                    let query = format!(
                        "{{ {list} {{ {items} }} {ends} }}
                         fragment Fields on Reading {{ user {{ username }} {fields} }}"
                    );
                    let response = app.query_as_viewer(viewer, &query).await;
                    assert_eq!(response.body.get("errors"), None, "{}", response.text);
                    let mut readings = Vec::new();
                    find_objects(&response.body, "shareLinks", &mut readings);
                    let of_others = readings.iter().filter(|reading| {
                        viewer != Some(id("bob")) || reading["user"]["username"] != "bob"
                    });
                    let mut count = 0;
                    for reading in of_others {
                        count += 1;
                        let seen = hidden.iter().find(|field| !reading[**field].is_null());
                        assert_eq!(seen, None, "{query}: {reading}");
                    }
                    assert!(count >= 2, "{query}");
                }
            }
        }
    }
}

/// All objects within a value that have that field.
fn find_objects<'a>(value: &'a Value, field: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find_objects(item, field, found)),
        Value::Object(fields) => {
            if fields.contains_key(field) {
                found.push(value);
            }
            fields.values().for_each(|item| find_objects(item, field, found));
        }
        _ => {}
    }
}

/// A query of one root field, with arguments.
fn root_query(app: &TestApp, name: &str) -> String {
    let spread = spread_id(app, "celtic_cross");
    let arguments = match name {
        "node" | "spread" => format!("(id: {spread:?})"),
        "nodes" => format!("(ids: [{spread:?}])"),
        "user" => "(username: \"ada\")".to_owned(),
        "card" => format!("(id: {:?})", card_id(app, "major_arcana_00")),
        "cardByCode" => "(code: \"major_arcana_00\")".to_owned(),
        "spreadByName" => "(name: \"celtic_cross\")".to_owned(),
        "reading" => format!("(id: {:?})", reading_id("q:pub")),
        "sharedReading" => "(token: \"s:prv\")".to_owned(),
        _ => String::new(),
    };
    let fields = match name {
        "sharedReading" => "content { question }",
        "admin" => "users { nodes { user { email } lockedUntil failedLogins } }",
        _ => "__typename",
    };
    format!("{{ {name}{arguments} {{ {fields} }} }}")
}

on_both_databases! {
    async fn root_fields_are_authorized_as_the_table_says(engine: Engine) {
        let app = TestApp::start_with(engine, &EVERY_FIELD).await;
        write_world(&app).await;
        for field in all_fields().iter().filter(|field| field.holder == "Query") {
            let policy = of_field("Query", &field.name).expect("a policy");
            let query = root_query(&app, &field.name);
            for (viewer, who) in VIEWERS {
                let response = app.query_as_viewer(viewer.map(id), &query).await;
                let is_seen = !response.body["data"][&field.name].is_null();
                assert_eq!(is_seen, is_open(policy, viewer), "{query} as {who}: {}", response.text);
                let code = &response.body["errors"][0]["extensions"]["code"];
                match (policy, viewer) {
                    (Admin, None) => assert_eq!(code, "UNAUTHENTICATED"),
                    (Admin, Some("ada" | "bob")) => assert_eq!(code, "FORBIDDEN"),
                    _ => assert_eq!(response.body.get("errors"), None, "{}", response.text),
                }
            }
        }
    }
}

/// Input of a mutation, on an object of Ada's or on none.
fn input_of(app: &TestApp, mutation: &str, is_there: bool) -> String {
    let name = |there| if is_there { there } else { "missing" };
    let reading = reading_id(name("q:prv"));
    let category = category_id(name("c:work"));
    let spread = spread_id(app, "single_wasteland");
    let user = user_id(name("ada"));
    match mutation {
        "drawCards" => "count: 2".to_owned(),
        "register" => {
            format!("email: \"new@example.com\", username: \"new\", password: {PASSWORD:?}")
        }
        "login" => format!("login: \"ada\", password: {PASSWORD:?}"),
        "logout" | "refreshSession" => "refreshToken: \"none of ours\"".to_owned(),
        "unlockSharedReading" => "token: \"s:prv\", password: \"any\"".to_owned(),
        "changePassword" => format!("currentPassword: {PASSWORD:?}, newPassword: {PASSWORD:?}"),
        "updateProfile" => "bio: \"other\"".to_owned(),
        "deleteAccount" => format!("password: {PASSWORD:?}"),
        "createReading" => {
            format!("question: \"?\", spreadId: {spread:?}, categoryId: {category:?}")
        }
        "createCategory" => "name: \"new\", color: \"#123456\"".to_owned(),
        "renameTag" => "from: \"tag q:prv\", to: \"other\"".to_owned(),
        "mergeTags" => "from: [\"tag q:prv\"], to: \"other\"".to_owned(),
        "deleteTags" => "tags: [\"tag q:prv\"]".to_owned(),
        "updateReading" => format!("id: {reading:?}, question: \"other\", expectedVersion: 7"),
        "setReadingTags" => format!("id: {reading:?}, tags: [\"other\"]"),
        "deleteReading" => format!("id: {reading:?}"),
        "shareReading" => format!("readingId: {reading:?}, idempotencyKey: \"k\""),
        "revokeShare" => format!("id: {:?}", share_id(name("s:prv"))),
        "updateCategory" => format!("id: {category:?}, name: \"other\""),
        "deleteCategory" => format!("id: {category:?}"),
        "adminUpdateCard" => format!("id: {:?}, name: \"\"", card_id(app, "major_arcana_00")),
        "adminUpdateSpread" => format!("id: {spread:?}, displayName: \"\""),
        "adminInvalidateCache" => "pattern: \"user:nobody:*\"".to_owned(),
        "adminLockUser" | "adminUnlockUser" => format!("userId: {user:?}"),
        "adminDeactivateUser" | "adminReactivateUser" => {
            format!("userId: {user:?}, reason: \"Spam.\"")
        }
        "adminHideReading" | "adminUnhideReading" | "adminDeleteReading" => {
            format!("readingId: {reading:?}, reason: \"Spam.\"")
        }
        other => panic!("{other} is new: what is its input?"),
    }
}

/// The body of a refused mutation.
fn refused(mutation: &str, code: &str, message: &str) -> Value {
    json!({
        "data": { mutation: null },
        "errors": [{
            "message": message,
            "locations": [{ "line": 1, "column": 12 }],
            "path": [mutation],
            "extensions": { "code": code, "requestId": "ID" },
        }],
    })
}

async fn change(app: &TestApp, viewer: Option<Uuid>, mutation: &str, is_there: bool) -> Value {
    let input = input_of(app, mutation, is_there);
    // It takes no input but the one argument.
    let arguments = match mutation {
        "adminInvalidateCache" => input,
        _ => format!("input: {{ {input} }}"),
    };
    let query =
        format!("mutation {{ {mutation}({arguments}) {{ userErrors {{ field code message }} }} }}");
    app.query_as_viewer(viewer, &query).await.body_without_request_id()
}

on_both_databases! {
    async fn mutations_are_authorized_as_the_table_says(engine: Engine) {
        const SIGN_IN: &str = "this needs an access token; log in first";
        let app = TestApp::start_with(engine, &EVERY_FIELD).await;
        write_world(&app).await;
        let access = Access::open(&app.database).await;
        let before = access.all().await;
        let mutations = all_fields().into_iter().filter(|field| field.holder == "Mutation");
        for mutation in mutations.map(|field| field.name) {
            let policy = of_field("Mutation", &mutation).expect("a policy");
            let fetch = async |viewer: Option<&str>, is_there| {
                change(&app, viewer.map(id), &mutation, is_there).await
            };
            match policy {
                // These change nothing of Ada's, and are tried below.
                Public | Session | Link => continue,
                Viewer | Owner | Admin => {
                    let expected = refused(&mutation, "UNAUTHENTICATED", SIGN_IN);
                    assert_eq!(fetch(None, true).await, expected);
                    assert_eq!(fetch(None, false).await, expected);
                }
                OwnerOrAdmin => panic!("admins change nothing of others'"),
            }
            if policy == Owner {
                // Admins are nobody special here.
                for stranger in ["bob", "admin"] {
                    let (hidden, missing) =
                        (fetch(Some(stranger), true).await, fetch(Some(stranger), false).await);
                    assert_eq!(hidden, missing, "{mutation} as {stranger}");
                    let message = hidden["errors"][0]["message"].as_str().expect("a message");
                    assert_eq!(hidden, refused(&mutation, "NOT_FOUND", message));
                }
            }
            if policy == Admin {
                let message = "only admins may see or do this";
                let expected = refused(&mutation, "FORBIDDEN", message);
                for stranger in ["ada", "bob"] {
                    assert_eq!(fetch(Some(stranger), true).await, expected);
                    assert_eq!(fetch(Some(stranger), false).await, expected);
                }
            }
        }
        // References to objects of other users, and tags, which have no owner but the viewer.
        for mutation in ["createReading", "renameTag", "mergeTags", "deleteTags"] {
            let (hidden, missing) = (
                change(&app, Some(id("bob")), mutation, true).await,
                change(&app, Some(id("bob")), mutation, false).await,
            );
            assert_eq!(hidden, missing);
            let error = &hidden["data"][mutation]["userErrors"][0];
            assert_eq!(error["code"], "NOT_FOUND", "{hidden}");
        }
        let changed = differences(&before, &access.all().await);
        assert!(changed.is_empty(), "{changed:#?}");
        for mutation in fields_with("Mutation", Public)
            .chain(fields_with("Mutation", Session))
            .chain(fields_with("Mutation", Link))
        {
            let response = change(&app, None, mutation, true).await;
            assert!(response["errors"].is_null(), "{response}");
            assert!(!response["data"][mutation].is_null(), "{response}");
        }
        access.close().await;
    }
}
