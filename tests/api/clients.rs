//! The API as three clients use it that many frontends have: Apollo Client, urql with its normalized
//! cache, and Relay with its compiler.

use crate::support::app::{TestApp, on_both_databases, run_script};

on_both_databases! {
    /// One after another: they share a folder of packages.
    async fn apollo_urql_and_relay_page_and_see_their_writes(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.load_demonstration().await;
        for (client, claims) in [("apollo", 14), ("urql", 15), ("relay", 14)] {
            let test = "apollo_urql_and_relay_page_and_see_their_writes";
            let script = format!("{client}.mjs");
            let Some(output) = run_script(test, "clients", &script, &app.url).await else {
                return;
            };
            let (report, complaint) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{report}{complaint}");
            assert!(report.ends_with(&format!("{client}: {claims} claims proved\n")), "{report}");
        }
    }
}
