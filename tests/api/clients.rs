//! The API as clients use it that many frontends have: Apollo Client, urql with its normalized cache, and Relay
//! with its compiler; and the tools of their builds: GraphQL Code Generator, Apollo's manifests, GraphQL Inspector.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::accounts::user_with_password;
use crate::support::app::{Engine, TestApp, on_both_databases, run_script};
use crate::support::fixtures::crowd;

/// The report of a script that must succeed; `None`, with a note, without Node.
async fn report(test: &str, script: &str, argument: &str) -> Option<String> {
    let output = run_script(test, "clients", script, argument).await?;
    let (report, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}{complaint}");
    Some(report.into_owned())
}

on_both_databases! {
    /// One after another: they share a folder of packages.
    async fn apollo_urql_and_relay_page_and_see_their_writes(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.load_demonstration().await;
        for (client, claims) in [("apollo", 14), ("urql", 15), ("relay", 14)] {
            let test = "apollo_urql_and_relay_page_and_see_their_writes";
            let Some(report) = report(test, &format!("{client}.mjs"), &app.url).await else {
                return;
            };
            assert!(report.ends_with(&format!("{client}: {claims} claims proved\n")), "{report}");
        }
    }
}

/// A server that executes nothing but the documents of this manifest, with a user and two public readings.
async fn start_trusting(engine: Engine, manifest: &Path) -> TestApp {
    let trusted = format!("--trusted-documents={}", manifest.display());
    let app = TestApp::start_with(engine, &[&trusted, "--trusted-documents-only=true"]).await;
    let owner = user_with_password("ada").await;
    app.insert(crowd(&app, &owner, 2)).await;
    app
}

/// The documents are generated once, because the tools take seconds.
#[tokio::test]
async fn generated_documents_are_executed_by_their_hash_where_no_others_are() {
    let test = "generated_documents_are_executed_by_their_hash_where_no_others_are";
    let packages = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    // Below the packages, where the code of the apps finds them.
    let apps = tempfile::Builder::new().prefix(".apps-").tempdir_in(packages).expect("a folder");
    let folder = apps.path().to_str().expect("a plain path");
    let Some(_) = report(test, "generate.mjs", folder).await else { return };

    for engine in [Engine::Sqlite, Engine::Postgres] {
        if engine == Engine::Postgres && !Engine::has_postgres(test) {
            return;
        }
        for (app, manifest, client, prefix, claims) in [
            ("codegen", "src/gql/persisted-documents.json", "codegen", "sha256:", 12),
            ("codegen-5", "src/gql/persisted-documents.json", "codegen", "", 12),
            ("manifest", "persisted-query-manifest.json", "manifest", "", 6),
        ] {
            let folder = apps.path().join(app);
            let server = start_trusting(engine, &folder.join(manifest)).await;
            let argument = json!({ "address": server.url, "folder": folder, "prefix": prefix });
            let script = format!("{client}.mjs");
            let Some(report) = report(test, &script, &argument.to_string()).await else { return };
            let summary = format!("{client}: {claims} claims proved\n");
            assert!(report.ends_with(&summary), "{app}: {report}");
        }
    }
}

#[tokio::test]
async fn graphql_inspector_finds_no_changes_between_the_schema_and_a_server() {
    let test = "graphql_inspector_finds_no_changes_between_the_schema_and_a_server";
    let app = TestApp::start(Engine::Sqlite).await;
    let Some(report) = report(test, "inspector.mjs", &app.url).await else { return };
    assert!(report.ends_with("inspector: 3 claims proved\n"), "{report}");
}
