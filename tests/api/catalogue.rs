//! The reference data in memory of a server, where several servers share a database.

use serde_json::json;

use wasteland_tarot::db::Database;
use wasteland_tarot::db::entities::users;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::services::Services;
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::maintenance::refresh_catalogue;

use crate::support::app::{TestApp, on_both_databases, settings_of};
use crate::support::fixtures::{card_id, id, rows, user};

on_both_databases! {
    async fn an_edit_by_an_admin_reloads_the_catalogue_of_other_servers(engine: Engine) {
        let app = TestApp::start(engine).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(rows(vec![admin], Vec::new())).await;
        let settings = settings_of(&app.database.url, &[]);
        let other = Database::connect(&settings).await.expect("the database opens");
        let catalogue = Catalogue::load(&other.session()).await.expect("the catalogue loads");
        let services = Services::new(settings, catalogue);
        let name = || {
            let catalogue = services.catalogue();
            let card = catalogue.card_by_code("major_arcana_00").expect("the card");
            card.texts.get(Locale::ZhHant).name.clone()
        };

        let unchanged = services.catalogue();
        refresh_catalogue(&services, &other.session()).await.expect("it is checked");
        assert!(std::sync::Arc::ptr_eq(&unchanged, &services.catalogue()), "nothing was changed");

        let fool = card_id(&app, "major_arcana_00");
        let change = format!(
            "mutation {{ adminUpdateCard(input: {{ id: {fool:?}, locale: ZH_HANT, name: \"愚者\" }})
                {{ card {{ name(locale: ZH_HANT) }} userErrors {{ code }} }} }}"
        );
        assert_eq!(
            app.data_as(id("admin"), &change).await,
            json!({ "adminUpdateCard": { "card": { "name": "愚者" }, "userErrors": [] } })
        );
        assert_ne!(name(), "愚者", "the other server has not reloaded yet");
        refresh_catalogue(&services, &other.session()).await.expect("it is checked");
        assert_eq!(name(), "愚者");
        other.close().await;
    }
}
