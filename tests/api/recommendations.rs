//! Recommended spreads. The weights are tested with the rule; here are the results that clients
//! see.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::spread_templates;

use crate::spreads::count;
use crate::support::app::{TestApp, on_both_databases};
use crate::support::fixtures::{card_id, spread_id};
use crate::support::page_walks::{error, refusal, reload};

async fn recommended(app: &TestApp, arguments: &str) -> Vec<Value> {
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let query =
        format!("{{ recommendedSpreads{arguments} {{ spread {{ name }} score reasons }} }}");
    let response = app.query(&query).await;
    assert_eq!(response.body.get("errors"), None, "{}", response.text);
    assert_eq!(response.statements(), 1);
    response.body["data"]["recommendedSpreads"].as_array().expect("a list").clone()
}

fn one(name: &str, score: f64, reasons: &[&str]) -> Value {
    json!({ "spread": { "name": name }, "score": score, "reasons": reasons })
}

on_both_databases! {
    async fn nothing_is_recommended_without_wishes(engine: Engine) {
        let app = TestApp::start(engine).await;
        count(&app, "celtic_cross", 101, 5, 1).await;
        for arguments in ["", "input: null", "input: {}", "input: { recentSpreadIds: [] }",
            "input: { difficulty: null, karma: null, faction: null, availableMinutes: null,
                recentSpreadIds: null }"]
        {
            assert_eq!(recommended(&app, arguments).await, [] as [Value; 0], "{arguments}");
        }
    }

    async fn wishes_add_up_and_say_so(engine: Engine) {
        let app = TestApp::start(engine).await;
        count(&app, "vault_tec_spread", 101, 9, 2).await;
        let recent = spread_id(&app, "wasteland_survival");
        let input = format!(
            "input: {{ difficulty: BEGINNER, karma: GOOD, faction: VAULT_DWELLER,
                availableMinutes: 11, recentSpreadIds: [{recent:?}] }}"
        );
        assert_eq!(recommended(&app, &input).await, [
            one("vault_tec_spread", 1.0, &["DIFFICULTY", "KARMA", "FACTION", "TIME", "RATING",
                "POPULARITY", "NOT_RECENT"]),
            one("single_wasteland", 0.55, &["DIFFICULTY", "TIME", "NOT_RECENT"]),
        ]);
        let recent = spread_id(&app, "vault_tec_spread");
        let input = format!("input: {{ difficulty: BEGINNER, karma: GOOD, recentSpreadIds: [{recent:?}] }}");
        assert_eq!(recommended(&app, &input).await, [
            one("single_wasteland", 0.45, &["DIFFICULTY", "NOT_RECENT"]),
            one("vault_tec_spread", 0.375, &["DIFFICULTY", "KARMA", "RATING", "POPULARITY"]),
        ]);
    }

    async fn scores_are_plain_numbers(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "{ recommendedSpreads(input: { difficulty: BEGINNER, availableMinutes: 60 }, limit: 10)
            { score } }";
        let text = app.query(query).await.text;
        assert!(text.contains("[{\"score\":0.5},{\"score\":0.5},{\"score\":0.3},{\"score\":0.3}]"), "{text}");
    }

    async fn equal_scores_are_ordered_by_usage_and_then_by_name(engine: Engine) {
        let app = TestApp::start(engine).await;
        count(&app, "ncr_strategic", 3, 0, 0).await;
        let all = [
            one("ncr_strategic", 0.4, &["DIFFICULTY"]),
            one("brotherhood_council", 0.4, &["DIFFICULTY"]),
            one("celtic_cross", 0.4, &["DIFFICULTY"]),
        ];
        assert_eq!(recommended(&app, "input: { difficulty: ADVANCED }").await, all);
        assert_eq!(recommended(&app, "input: { difficulty: ADVANCED }, limit: 2").await, all[..2]);
        // Premium or not; but no longer active ones are not recommended.
        for (column, value) in [(spread_templates::Column::IsPremium, true),
            (spread_templates::Column::IsActive, false)]
        {
            let name = if value { "celtic_cross" } else { "ncr_strategic" };
            spread_templates::Entity::update_many()
                .col_expr(column, Expr::value(value))
                .filter(spread_templates::Column::Name.eq(name))
                .exec(&app.database.connect().await)
                .await
                .expect("the spread is changed");
        }
        reload(&app).await;
        assert_eq!(recommended(&app, "input: { difficulty: ADVANCED }").await, all[1..]);
    }

    async fn without_a_limit_five_are_recommended(engine: Engine) {
        let app = TestApp::start(engine).await;
        let connection = app.database.connect().await;
        spread_templates::Entity::update_many()
            .col_expr(spread_templates::Column::DifficultyLevel, Expr::value("expert"))
            .exec(&connection)
            .await
            .expect("the spreads are changed");
        reload(&app).await;
        assert_eq!(recommended(&app, "input: { difficulty: EXPERT }").await.len(), 5);
        assert_eq!(recommended(&app, "input: { difficulty: EXPERT }, limit: 10").await.len(), 7);
        assert_eq!(recommended(&app, "input: { difficulty: EXPERT }, limit: 1").await.len(), 1);
    }

    async fn invalid_arguments_of_recommendations_are_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = |arguments: &str| format!("{{ recommendedSpreads({arguments}) {{ score }} }}");
        for limit in [-1, 0, 11] {
            assert_eq!(
                refusal(&app, None, &query(&format!("limit: {limit}"))).await,
                error(&format!("`limit` is {limit}; it must be from 1 to 10"), "limit")
            );
        }
        let recent = |ids: &[String]| query(&format!("input: {{ recentSpreadIds: {ids:?} }}"));
        assert_eq!(
            refusal(&app, None, &recent(&[card_id(&app, "major_arcana_00")])).await,
            error("`recentSpreadIds[0]` must be the id of a Spread; it is the id of a Card", "recentSpreadIds")
        );
        assert_eq!(
            refusal(&app, None, &recent(&["x".to_owned()])).await,
            error("`recentSpreadIds[0]` is \"x\", which is no id of this server", "recentSpreadIds")
        );
        let ids = vec![spread_id(&app, "celtic_cross"); 101];
        assert_eq!(
            refusal(&app, None, &recent(&ids)).await,
            error("`recentSpreadIds` has 101 ids; it must have at most 100", "recentSpreadIds")
        );
        app.data(&recent(&ids[..100])).await;
    }
}
