//! Counts of the landing page.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use wasteland_tarot::db::entities::{reading_sessions, spread_templates, users};
use wasteland_tarot::domain::reading::ReadingStatus;

use crate::support::app::{Content, TestApp, TestDatabase, at, on_both_databases};
use crate::support::fixtures::{private, reading, rows, user};

on_both_databases! {
    async fn an_empty_site_counts_its_cards_and_spreads(engine: Engine) {
        let app = TestApp::start(engine).await;
        assert_eq!(
            app.data("{ publicStats { users readings cards spreads } }").await,
            json!({ "publicStats": { "users": 0, "readings": 0, "cards": 78, "spreads": 7 } })
        );
    }

    async fn active_users_and_spreads_and_complete_readings_of_active_users_are_counted(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        spread_templates::Entity::update_many()
            .col_expr(spread_templates::Column::IsActive, Expr::value(false))
            .filter(spread_templates::Column::Name.eq("celtic_cross"))
            .exec(&database.connect().await)
            .await
            .expect("the spread is deactivated");
        let app = TestApp::start_on(database, &[]).await;
        let (ada, gone) = (user("ada"), users::Model { is_active: false, ..user("gone") });
        let status =
            |name, status| reading_sessions::Model { status, ..reading(&app, &ada, name, 1) };
        let readings = vec![
            reading(&app, &ada, "public", 1),
            private(reading(&app, &ada, "private", 2)),
            reading_sessions::Model {
                archived_at: Some(at(9)),
                ..reading(&app, &ada, "archived", 3)
            },
            reading(&app, &gone, "of one who left", 4),
            status("active", ReadingStatus::Active),
            status("paused", ReadingStatus::Paused),
        ];
        app.insert(rows(vec![ada.clone(), user("bob"), gone], readings)).await;

        let response = app.query("{ publicStats { users readings cards spreads } }").await;
        assert_eq!(
            response.body,
            json!({ "data": {
                "publicStats": { "users": 2, "readings": 3, "cards": 78, "spreads": 6 }
            } })
        );
        assert_eq!(response.statements(), 1);
    }
}
