//! Pages in a real browser that reaches nothing but this machine: GraphiQL, and frontends of other origins that
//! log in.

use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::json;

use crate::sessions::start;
use crate::support::app::{Engine, TestApp, run_script, skip};

/// True if the browser of the scripts is installed.
fn has_browser(test: &str) -> bool {
    let browser = std::env::var_os("CHROMIUM")
        .map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    let is_there = browser.exists();
    if !is_there {
        skip(test, "Chromium (/usr/bin/chromium, or the program that CHROMIUM names)");
    }
    is_there
}

/// The report of a script that must succeed; `None`, with a note, without Node.
async fn report(test: &str, script: &str, argument: &str) -> Option<String> {
    let output = run_script(test, "browser", script, argument).await?;
    let (report, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}{complaint}");
    Some(report.into_owned())
}

#[tokio::test]
async fn graphiql_works_in_a_browser_that_reaches_no_other_host() {
    let test = "graphiql_works_in_a_browser_that_reaches_no_other_host";
    if !has_browser(test) {
        return;
    }
    let app = TestApp::start(Engine::Sqlite).await;
    let Some(report) = report(test, "graphiql.mjs", &app.url).await else { return };
    assert!(report.starts_with("graphiql: ok, "), "{report}");
}

/// The port of a server of the test.
fn port_of(app: &TestApp) -> u16 {
    app.app.services.settings.server.listen.port()
}

#[tokio::test]
async fn the_guide_for_frontends_logs_in_from_other_origins() {
    let test = "the_guide_for_frontends_logs_in_from_other_origins";
    if !has_browser(test) {
        return;
    }
    // The servers have to know the origins of the apps before these are started. All ports are reserved
    // before the first is given back, so that they differ.
    let reserved: Vec<TcpListener> =
        (0..5).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports: Vec<u16> =
        reserved.iter().map(|port| port.local_addr().expect("an address").port()).collect();
    drop(reserved);
    let [same_site, cross_site, lost, proxied, unknown_proxy] = ports[..] else { unreachable!() };
    let origin = |port: u16| format!("http://localhost:{port}");

    let short = "--access-token-seconds=5";
    let listed = format!("--cors-origins={},{}", origin(same_site), origin(lost));
    let people = ["ada", "bob"];
    let strict = start(Engine::Sqlite, &people, &[short, &listed]).await;
    let listed = format!("--cors-origins={}", origin(cross_site));
    let flags = [short, &listed, "--refresh-cookie-same-site=none"];
    let none = start(Engine::Sqlite, &people, &flags).await;
    let public = format!("--public-url={}/api", origin(proxied));
    let behind_proxy = start(Engine::Sqlite, &people, &[short, &public]).await;

    let argument = json!({
        "strict": port_of(&strict),
        "none": port_of(&none),
        "proxied": port_of(&behind_proxy),
        "ports": {
            "sameSite": same_site,
            "crossSite": cross_site,
            "lost": lost,
            "proxied": proxied,
            "unknownProxy": unknown_proxy,
        },
    });
    let Some(report) = report(test, "login.mjs", &argument.to_string()).await else { return };
    // Ten claims for each of two clients in each of three places, two refusals, and GraphiQL.
    assert!(report.contains("login: 63 claims proved, "), "{report}");
}
