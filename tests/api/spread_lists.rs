//! Filters, orders and searches of spreads: every page against an oracle that reads all spreads in
//! memory, and the edges of the arguments.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::{spread_stats, spread_templates, users};
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::domain::spread::{Difficulty, Spread, SpreadType};

use crate::support::app::{Engine, TestApp, at, on_both_databases};
use crate::support::fixtures::{id, rows, spread, user};
use crate::support::page_walks::{assert_walks, error, refusal, reload};

const FIELDS: &[&str] = &["USAGE_COUNT", "NAME", "CARD_COUNT", "CREATED_AT"];
const DIRECTIONS: &[&str] = &["ASC", "DESC"];

type Filter = (&'static str, fn(&Spread) -> bool);

const FILTERS: &[Filter] = &[
    ("{}", |_| true),
    ("{ includeInactive: false }", |_| true),
    ("{ spreadTypes: [] }", |_| false),
    ("{ spreadTypes: [CELTIC_CROSS, RAIDER_CHAOS, CELTIC_CROSS] }", |spread| {
        matches!(spread.spread_type, SpreadType::CelticCross | SpreadType::RaiderChaos)
    }),
    ("{ spreadTypes: [CUSTOM_SPREAD] }", |_| false),
    ("{ difficulties: [] }", |_| false),
    ("{ difficulties: [BEGINNER] }", |spread| spread.difficulty == Difficulty::Beginner),
    ("{ difficulties: [ADVANCED, EXPERT] }", |spread| {
        matches!(spread.difficulty, Difficulty::Advanced | Difficulty::Expert)
    }),
    ("{ cardCount: { min: 3, max: 6 } }", |spread| (3..=6).contains(&spread.card_count())),
    ("{ cardCount: { min: 7 } }", |spread| spread.card_count() >= 7),
    ("{ cardCount: { max: 1 } }", |spread| spread.card_count() <= 1),
    ("{ cardCount: { min: 6, max: 3 } }", |_| false),
    ("{ cardCount: { min: -2147483648, max: 2147483647 } }", |_| true),
    ("{ faction: RAIDERS }", |spread| spread.faction == Some(FactionKey::Raiders)),
    ("{ faction: LEGION }", |_| false),
    ("{ isPremium: true }", |spread| spread.is_premium),
    ("{ isPremium: false }", |spread| !spread.is_premium),
    ("{ difficulties: [ADVANCED], cardCount: { max: 7 }, isPremium: false }", |spread| {
        spread.difficulty == Difficulty::Advanced && spread.card_count() <= 7 && !spread.is_premium
    }),
    (
        "{ spreadTypes: null, difficulties: null, cardCount: null, faction: null, isPremium: null }",
        |_| true,
    ),
];

/// Spreads that differ: number of readings that used them, and their age.
const SPECIAL: &[(&str, i64, i64)] = &[
    ("celtic_cross", 7, 30),
    ("raider_chaos", 9, 10),
    ("ncr_strategic", 9, 20),
    ("single_wasteland", 0, 30),
];
const PREMIUM: &str = "ncr_strategic";
const INACTIVE: &str = "wasteland_survival";

fn special(name: &str) -> (i64, i64) {
    let found = SPECIAL.iter().find(|(special, ..)| *special == name);
    found.map_or((0, 1), |(_, usage, created)| (*usage, *created))
}

/// A server whose spreads differ in everything, and an admin and a user.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let admin = users::Model { is_admin: true, ..user("admin") };
    app.insert(rows(vec![admin, user("ada")], Vec::new())).await;
    let connection = app.database.connect().await;
    let all = app.app.services.catalogue().spreads().to_vec();
    for one in &all {
        let (usage, created) = special(&one.name);
        spread_templates::Entity::update_many()
            .col_expr(spread_templates::Column::CreatedAt, Expr::value(at(created)))
            .col_expr(spread_templates::Column::IsPremium, Expr::value(one.name == PREMIUM))
            .col_expr(spread_templates::Column::IsActive, Expr::value(one.name != INACTIVE))
            .filter(spread_templates::Column::Id.eq(one.id))
            .exec(&connection)
            .await
            .expect("the spread is changed");
        spread_stats::Entity::update_many()
            .col_expr(spread_stats::Column::UsageCount, Expr::value(usage))
            .filter(spread_stats::Column::SpreadId.eq(one.id))
            .exec(&connection)
            .await
            .expect("the counter is set");
    }
    reload(&app).await;
    app
}

/// The matching spreads, in order; equal ones are ordered by id.
fn expected(
    app: &TestApp,
    fits: impl Fn(&Spread) -> bool,
    field: &str,
    direction: &str,
) -> Vec<Value> {
    let catalogue = app.app.services.catalogue();
    let mut spreads: Vec<Arc<Spread>> =
        catalogue.spreads().iter().filter(|spread| fits(spread)).cloned().collect();
    spreads.sort_by(|one, other| {
        let (of_one, of_other) = (special(&one.name), special(&other.name));
        let by_field = match field {
            "USAGE_COUNT" => of_one.0.cmp(&of_other.0),
            "NAME" => one.name.cmp(&other.name),
            "CARD_COUNT" => one.positions.len().cmp(&other.positions.len()),
            _ => of_one.1.cmp(&of_other.1),
        };
        let by_field = if direction == "DESC" { by_field.reverse() } else { by_field };
        by_field.then(one.id.cmp(&other.id))
    });
    spreads.iter().map(|spread| spread.name.as_str().into()).collect()
}

async fn names(app: &TestApp, arguments: &str) -> Vec<Value> {
    let query = format!("{{ spreads(first: 100, {arguments}) {{ nodes {{ name }} }} }}");
    let data = app.data(&query).await;
    let nodes = data["spreads"]["nodes"].as_array().expect("spreads");
    nodes.iter().map(|spread| spread["name"].clone()).collect()
}

on_both_databases! {
    async fn pages_of_spreads_are_those_of_the_oracle_in_every_order(engine: Engine) {
        let app = start(engine).await;
        for field in FIELDS {
            for direction in DIRECTIONS {
                let order = format!("orderBy: {{ field: {field}, direction: {direction} }}");
                for (filter, fits) in FILTERS {
                    let arguments = format!("{order}, filter: {filter}");
                    let fits = |spread: &Spread| spread.is_active && fits(spread);
                    let expected = expected(&app, fits, field, direction);
                    for size in [1, 4] {
                        assert_walks(&app, None, ("spreads", "name"), &arguments, size, &expected).await;
                    }
                }
            }
        }
        let counts: Vec<usize> = FILTERS
            .iter()
            .map(|(_, fits)| expected(&app, |spread| spread.is_active && fits(spread), "NAME", "ASC").len())
            .collect();
        assert_eq!(counts, [6, 6, 0, 2, 0, 0, 2, 3, 3, 2, 1, 0, 6, 1, 0, 1, 5, 1, 6]);
    }

    async fn admins_alone_list_inactive_spreads(engine: Engine) {
        let app = start(engine).await;
        let arguments = "filter: { includeInactive: true }";
        let all = expected(&app, |_| true, "USAGE_COUNT", "DESC");
        assert_eq!(all.len(), 7);
        assert_walks(&app, Some("admin"), ("spreads", "name"), arguments, 3, &all).await;
        let query = format!("{{ spreads({arguments}) {{ totalCount }} }}");
        assert_eq!(refusal(&app, Some("ada"), &query).await, json!({
            "message": "only admins may see or do this", "code": "FORBIDDEN", "argument": null
        }));
        assert_eq!(refusal(&app, None, &query).await, json!({
            "message": "this needs an access token; log in first",
            "code": "UNAUTHENTICATED",
            "argument": null,
        }));
        // Without the argument, an admin sees the public list.
        let query = "{ spreads { totalCount } }";
        assert_eq!(app.data_as(id("admin"), query).await, json!({ "spreads": { "totalCount": 6 } }));
        // The role is the one of now, whatever the token's age.
        users::Entity::update_many()
            .col_expr(users::Column::IsAdmin, Expr::value(false))
            .exec(&app.database.connect().await)
            .await
            .expect("nobody is an admin");
        let query = format!("{{ spreads({arguments}) {{ totalCount }} }}");
        assert_eq!(refusal(&app, Some("admin"), &query).await["code"], "FORBIDDEN");
    }

    async fn an_absent_order_of_spreads_is_the_most_used_first(engine: Engine) {
        let app = start(engine).await;
        let most_used = expected(&app, |spread| spread.is_active, "USAGE_COUNT", "DESC");
        for arguments in ["orderBy: {}", "orderBy: null", "orderBy: { field: USAGE_COUNT }",
            "orderBy: { direction: DESC }", "filter: null, orderBy: null, search: null"]
        {
            assert_eq!(names(&app, arguments).await, most_used, "{arguments}");
        }
    }

    async fn spreads_are_found_by_their_texts_in_any_language(engine: Engine) {
        let app = start(engine).await;
        let of_catalogue = |term: &str| {
            let term = term.trim().to_lowercase();
            expected(&app, |spread| {
                let mut texts = vec![spread.name.clone()];
                for locale in Locale::ALL {
                    let text = spread.texts.get(*locale);
                    texts.extend([text.display_name.clone(), text.description.clone()]);
                }
                spread.is_active && texts.iter().any(|text| text.to_lowercase().contains(&term))
            }, "NAME", "ASC")
        };
        let terms = ["celtic", "CELTIC_CROSS", "Vault-Tec", "handbook", "牌陣", "掠", "NCR戰略",
            "避難所科技手冊", "_", "%", "龘", "zzz", "'", "\"", "\\", "  cross ", "survival", "a"];
        for term in terms {
            let arguments = format!("orderBy: {{ field: NAME, direction: ASC }}, search: {}", json!(term));
            assert_eq!(names(&app, &arguments).await, of_catalogue(term), "{term:?}");
        }
        assert_eq!(names(&app, "search: \"CELTIC_CROSS\"").await, [json!("celtic_cross")]);
        assert_eq!(names(&app, "search: \"避難所科技手冊\"").await, [json!("vault_tec_spread")]);
        assert_eq!(names(&app, "search: \"牌陣\"").await.len(), 6);
        assert_eq!(names(&app, "search: \"%\"").await.len(), 0);
        assert_eq!(names(&app, "search: \" \"").await.len(), 6);
        assert_eq!(
            refusal(&app, None, &format!("{{ spreads(search: {:?}) {{ totalCount }} }}", "a".repeat(101))).await,
            error("`search` has 101 characters; it must have at most 100", "search")
        );
    }

    async fn a_spread_cursor_is_good_for_its_order_only(engine: Engine) {
        let app = start(engine).await;
        let orders: Vec<(&str, &str)> = FIELDS
            .iter()
            .flat_map(|field| DIRECTIONS.iter().map(move |direction| (*field, *direction)))
            .collect();
        let query = |(field, direction): (&str, &str), more: &str| {
            format!("{{ spreads(orderBy: {{ field: {field}, direction: {direction} }}, {more})
                {{ pageInfo {{ endCursor }} }} }}")
        };
        for order in &orders {
            let data = app.data(&query(*order, "first: 3")).await;
            let cursor = data["spreads"]["pageInfo"]["endCursor"].as_str().expect("a cursor");
            let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("base64");
            let text = String::from_utf8(text).expect("text");
            let (list, key) = text.rsplit_once('|').expect("a key");
            assert_eq!(list, format!("1|spreads:{}:{}", order.0, order.1));
            for other in &orders {
                let refused = query(*other, &format!("after: {cursor:?}"));
                // Nobody signs them: the key of another order under the right name.
                let list = format!("1|spreads:{}:{}", other.0, other.1);
                let forged = BASE64_URL_SAFE_NO_PAD.encode(format!("{list}|{key}"));
                let forged = query(*other, &format!("before: {forged:?}"));
                if order.0 == other.0 {
                    app.data(&forged).await;
                } else {
                    assert_eq!(refusal(&app, None, &forged).await["code"], "INVALID_CURSOR");
                }
                if order == other {
                    app.data(&refused).await;
                } else {
                    assert_eq!(refusal(&app, None, &refused).await["code"], "INVALID_CURSOR");
                }
            }
            let nil = Uuid::nil().simple();
            for key in [String::new(), format!(",{nil}"), "0".to_owned(), format!("c-1,{nil}"),
                format!("cx,{nil}"), format!("t*,{nil}"), format!("mx,{nil}"),
                format!("m9223372036854775807,{nil}"), format!("1.5,{nil}"), "0,x".to_owned()]
            {
                let forged = BASE64_URL_SAFE_NO_PAD.encode(format!("{list}|{key}"));
                let query = query(*order, &format!("after: {forged:?}"));
                assert_eq!(refusal(&app, None, &query).await["code"], "INVALID_CURSOR", "{key}");
            }
        }
    }

    async fn lists_of_spreads_take_a_statement_for_their_usage_alone(engine: Engine) {
        let app = start(engine).await;
        let statements = async |arguments: &str, fields: &str| {
            let query = format!("{{ spreads({arguments}) {{ totalCount nodes {{ {fields} }} }} }}");
            app.query(&query).await.statements()
        };
        assert_eq!(statements("orderBy: { field: NAME }, search: \"a\"", "name").await, 0);
        assert_eq!(statements("orderBy: { field: NAME }", "usageCount meanRating").await, 1);
        assert_eq!(statements("search: \"a\"", "name usageCount meanRating").await, 1);
    }

    async fn popular_spreads_come_in_five_groups(engine: Engine) {
        let app = start(engine).await;
        let connection = app.database.connect().await;
        // The mean of the second is the better one by less than is shown.
        for (name, sum, ratings) in [("celtic_cross", 42, 10), ("raider_chaos", 421, 100),
            ("ncr_strategic", 84, 20), ("vault_tec_spread", 5, 1), (INACTIVE, 10, 2)]
        {
            spread_stats::Entity::update_many()
                .col_expr(spread_stats::Column::RatingSum, Expr::value(sum))
                .col_expr(spread_stats::Column::RatingN, Expr::value(ratings))
                .filter(spread_stats::Column::SpreadId.eq(spread(&app, name).id))
                .exec(&connection)
                .await
                .expect("the ratings are set");
        }
        let fields = "mostUsed { name } bestRated { name } newest { name } beginner { name } advanced { name }";
        let names = |names: &[&str]| {
            names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>()
        };
        let response = app.query(&format!("{{ popularSpreads {{ {fields} }} }}")).await;
        assert_eq!(response.statements(), 1);
        let groups = json!({
            "mostUsed": names(&["raider_chaos", "ncr_strategic", "celtic_cross", "single_wasteland",
                "vault_tec_spread"]),
            "bestRated": names(&["vault_tec_spread", "raider_chaos", "ncr_strategic", "celtic_cross"]),
            "newest": names(&["single_wasteland", "celtic_cross", "ncr_strategic", "raider_chaos",
                "vault_tec_spread"]),
            "beginner": names(&["single_wasteland", "vault_tec_spread"]),
            "advanced": names(&["ncr_strategic", "celtic_cross", "brotherhood_council"]),
        });
        assert_eq!(response.body["data"]["popularSpreads"], groups);

        let data = app.data(&format!("{{ popularSpreads(limit: 1) {{ {fields} }} }}")).await;
        assert_eq!(data["popularSpreads"], json!({
            "mostUsed": names(&["raider_chaos"]),
            "bestRated": names(&["vault_tec_spread"]),
            "newest": names(&["single_wasteland"]),
            "beginner": names(&["single_wasteland"]),
            "advanced": names(&["ncr_strategic"]),
        }));
        let data = app.data("{ popularSpreads(limit: 20) { mostUsed { usageCount isActive } } }").await;
        assert_eq!(data["popularSpreads"]["mostUsed"].as_array().map(Vec::len), Some(6));
        for limit in [-1, 0, 21] {
            let query = format!("{{ popularSpreads(limit: {limit}) {{ newest {{ name }} }} }}");
            assert_eq!(
                refusal(&app, None, &query).await,
                error(&format!("`limit` is {limit}; it must be from 1 to 20"), "limit")
            );
        }
    }

    async fn experts_find_their_spreads_with_those_of_the_advanced(engine: Engine) {
        let app = start(engine).await;
        spread_templates::Entity::update_many()
            .col_expr(spread_templates::Column::DifficultyLevel, Expr::value("expert"))
            .filter(spread_templates::Column::Name.eq("raider_chaos"))
            .exec(&app.database.connect().await)
            .await
            .expect("the spread is changed");
        reload(&app).await;
        let data = app.data("{ popularSpreads { advanced { name difficulty } } }").await;
        assert_eq!(data["popularSpreads"]["advanced"][0],
            json!({ "name": "raider_chaos", "difficulty": "EXPERT" }));
        assert_eq!(data["popularSpreads"]["advanced"].as_array().map(Vec::len), Some(4));
    }
}
