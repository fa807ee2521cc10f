//! GraphiQL in a real browser that reaches nothing but this server.

use std::path::PathBuf;

use crate::support::app::{Engine, TestApp, run_script, skip};

#[tokio::test]
async fn graphiql_works_in_a_browser_that_reaches_no_other_host() {
    let test = "graphiql_works_in_a_browser_that_reaches_no_other_host";
    // As the script finds it.
    let browser = std::env::var_os("CHROMIUM")
        .map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    if !browser.exists() {
        skip(test, "Chromium (/usr/bin/chromium, or the program that CHROMIUM names)");
        return;
    }
    let app = TestApp::start(Engine::Sqlite).await;
    let Some(output) = run_script(test, "browser", "graphiql.mjs", &app.url).await else { return };
    let (report, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}{complaint}");
    assert!(report.starts_with("graphiql: ok, "), "{report}{complaint}");
}
