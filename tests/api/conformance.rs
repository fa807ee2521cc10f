//! The GraphQL-over-HTTP specification, checked by the audits of `graphql-http`.

use crate::support::app::{Engine, TestApp, run_script};

#[tokio::test]
async fn every_audit_of_graphql_http_passes() {
    let app = TestApp::start(Engine::Sqlite).await;
    let endpoint = format!("{}/graphql", app.url);
    let test = "every_audit_of_graphql_http_passes";
    let Some(output) = run_script(test, "conformance", "audits.mjs", &endpoint).await else {
        return;
    };
    let (report, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}{complaint}");
    // Nothing stands before the summary: not even a notice.
    assert_eq!(
        report,
        "ok 61, notice 0, warn 0, error 0, fatal 0\ngraphql-http: 61 of 61 audits passed\n"
    );
}
