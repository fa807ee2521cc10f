//! How a server leaves: not ready first, while it still serves, then no new connections, then the end.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::cli::{Server, folder};
use crate::support::app::{RawConnection, RawResponse, raw_post};
use crate::support::postgres_cluster::free_port;
use crate::tcp_connections::http2;

const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const ANSWER: &[u8] = br#"{"data":{"__typename":"Query"}}"#;
const PAUSE: Duration = Duration::from_millis(20);
/// No test waits for its end.
const AN_HOUR: [&str; 3] = ["serve", "--shutdown-delay-ms=3600000", "--shutdown-timeout=7200"];

async fn get(url: &str, path: &str) -> RawResponse {
    let mut connection = RawConnection::open_to(url).await;
    connection.write(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    connection.read_response().await
}

async fn health(url: &str, path: &str) -> (u16, Value) {
    let response = get(url, path).await;
    (response.status, response.json())
}

fn about_to_stop() -> (u16, Value) {
    (503, json!({ "status": "unready", "server": "the server is about to stop" }))
}

async fn wait_until_unready(url: &str) {
    while health(url, "/health/ready").await.0 == 200 {
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn a_server_is_not_ready_and_serves_until_the_delay_ends_or_a_second_signal_comes() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &AN_HOUR);
    let mut kept = server.connect().await;
    kept.write(raw_post("", QUERY)).await;
    let response = kept.read_response().await;
    assert_eq!((response.body.as_slice(), response.header("connection")), (ANSWER, ""));
    server.signal("TERM");
    wait_until_unready(&server.url).await;
    for path in ["/health", "/health/ready"] {
        assert_eq!(health(&server.url, path).await, about_to_stop());
    }
    assert_eq!(health(&server.url, "/health/live").await, (200, json!({ "status": "ok" })));
    // Connections from before and new ones are served, and end after their response.
    for mut connection in [kept, server.connect().await] {
        connection.write(raw_post("", QUERY)).await;
        let response = connection.read_response().await;
        assert_eq!((response.body.as_slice(), response.header("connection")), (ANSWER, "close"));
        assert_eq!(connection.read_to_end().await, b"");
    }
    server.signal("TERM");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_connection_of_http_2_is_served_until_the_delay_ends_and_then_gets_goaway() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &AN_HOUR);
    let mut connection = server.connect().await;
    connection.write(http2::PREFACE).await;
    connection.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
    let mut get = async |stream: u32| {
        connection.write(http2::get(stream, "/health/live")).await;
        loop {
            match http2::next(&mut connection).await {
                (http2::HEADERS, on, block) if on == stream => {
                    break assert_eq!(block[0], http2::STATUS_200);
                }
                (http2::GOAWAY, ..) => panic!("goaway before the delay has ended"),
                _ => {}
            }
        }
    };
    get(1).await;
    server.signal("TERM");
    wait_until_unready(&server.url).await;
    get(3).await;
    server.signal("TERM");
    while http2::next(&mut connection).await.0 != http2::GOAWAY {}
    // It does not acknowledge the PING by which hyper finds out that the client knows.
    drop(connection);
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_server_ends_by_itself_after_its_delay() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &["serve", "--shutdown-delay-ms=300"]);
    let (code, log) = server.stop();
    assert_eq!(code, Some(0), "{log}");
    let about = log.find("about to stop").expect("the delay is logged");
    assert!(log[about..].contains("stopping: no new requests"), "{log}");
}

#[tokio::test]
async fn signals_to_read_settings_anew_are_ignored_and_logged() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &["serve"]);
    for name in ["HUP", "USR1"] {
        server.signal(name);
        assert_eq!(server.query("", QUERY).await, json!({ "data": { "__typename": "Query" } }));
    }
    let (code, log) = server.stop();
    assert_eq!(code, Some(0), "{log}");
    for name in ["SIGHUP", "SIGUSR1"] {
        let is_named = |line: &str| line.contains("ignored a signal") && line.contains(name);
        assert!(log.lines().any(is_named), "{name}: {log}");
    }
}

#[tokio::test]
async fn health_has_a_listener_that_no_client_can_fill() {
    let folder = folder();
    let address = format!("127.0.0.1:{}", free_port());
    let internal = format!("http://{address}");
    let flags = ["--max-connections=1", "--max-connections-per-address=1", "--rate-limit=1"];
    let environment = [("METRICS_LISTEN", address.as_str())];
    let server = Server::start(folder.path(), &environment, &[&AN_HOUR[..], &flags].concat());
    let mut held = server.connect().await;
    held.write(raw_post("", QUERY)).await;
    assert_eq!(held.read_response().await.body, ANSWER);
    for _ in 0..3 {
        assert_eq!(health(&internal, "/health/live").await, (200, json!({ "status": "ok" })));
        for path in ["/health", "/health/ready"] {
            let expected = json!({ "status": "ok", "database": "ok" });
            assert_eq!(health(&internal, path).await, (200, expected));
        }
    }
    // And nothing else.
    for path in ["/graphql?query=%7B__typename%7D", "/", "/s/token"] {
        assert_eq!(get(&internal, path).await.status, 404, "{path}");
    }
    server.signal("TERM");
    wait_until_unready(&internal).await;
    assert_eq!(health(&internal, "/health/ready").await, about_to_stop());
    server.signal("TERM");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
}

/// A server behind the balancer, and the connections to it that are open and idle.
struct Backend {
    url: String,
    is_ready: bool,
    idle: Vec<RawConnection>,
}

impl Backend {
    fn of(server: &Server) -> Self {
        Self { url: server.url.clone(), is_ready: true, idle: Vec::new() }
    }
}

/// A balancer as there are many: it keeps connections, follows the readiness probe, honours `connection: close`,
/// and repeats nothing.
struct Balancer {
    backends: [RefCell<Backend>; 2],
    next: Cell<usize>,
    responses: Cell<usize>,
    has_ended: Cell<bool>,
}

impl Balancer {
    fn choose(&self) -> &RefCell<Backend> {
        loop {
            self.next.set(self.next.get() + 1);
            let backend = &self.backends[self.next.get() % 2];
            if backend.borrow().is_ready {
                return backend;
            }
        }
    }

    /// Sends requests one after another. A failure of any kind is one of the test.
    async fn send_requests(&self) {
        while !self.has_ended.get() {
            let backend = self.choose();
            let (url, idle) = {
                let mut backend = backend.borrow_mut();
                (backend.url.clone(), backend.idle.pop())
            };
            let mut connection = match idle {
                Some(connection) => connection,
                None => RawConnection::open_to(&url).await,
            };
            connection.write(raw_post("", QUERY)).await;
            let response = connection.read_response().await;
            assert_eq!((response.status, response.body.as_slice()), (200, ANSWER));
            self.responses.set(self.responses.get() + 1);
            let mut backend = backend.borrow_mut();
            if response.header("connection") != "close" && backend.url == url {
                backend.idle.push(connection);
            }
        }
    }

    async fn follow_readiness(&self) {
        while !self.has_ended.get() {
            for backend in &self.backends {
                let (url, was_ready) = {
                    let backend = backend.borrow();
                    (backend.url.clone(), backend.is_ready)
                };
                // A server that has ended is not asked any more.
                if was_ready && health(&url, "/health/ready").await.0 != 200 {
                    let mut backend = backend.borrow_mut();
                    backend.is_ready = false;
                    backend.idle.clear();
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[tokio::test]
async fn a_rolling_restart_behind_a_balancer_fails_no_request() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 2;
    let folders = [folder(), folder()];
    let flags = ["serve", "--shutdown-delay-ms=3000", "--rate-limit=0"];
    let start = |index: usize| Server::start(folders[index].path(), &[("LOG", "error")], &flags);
    let mut servers = [Some(start(0)), Some(start(1))];
    let backend = |server: &Option<Server>| {
        RefCell::new(Backend::of(server.as_ref().expect("it was started")))
    };
    let balancer = Balancer {
        backends: [backend(&servers[0]), backend(&servers[1])],
        next: Cell::default(),
        responses: Cell::default(),
        has_ended: Cell::default(),
    };
    let restart = async {
        for index in (0..ROUNDS).flat_map(|_| [0, 1]) {
            let before = balancer.responses.get();
            while balancer.responses.get() < before + 500 {
                tokio::time::sleep(PAUSE).await;
            }
            let server = servers[index].take().expect("it was started");
            let folder = folders[index].path().to_owned();
            // On other threads, because the clients live on this one.
            let ended = tokio::task::spawn_blocking(move || server.stop());
            let (code, log) = ended.await.expect("it was stopped");
            assert_eq!((code, log), (Some(0), String::new()));
            let started = tokio::task::spawn_blocking(move || {
                Server::start(&folder, &[("LOG", "error")], &flags)
            });
            let server = started.await.expect("it was started");
            *balancer.backends[index].borrow_mut() = Backend::of(&server);
            servers[index] = Some(server);
        }
        balancer.has_ended.set(true);
    };
    let clients = join_all((0..CLIENTS).map(|_| balancer.send_requests()));
    futures_util::join!(clients, balancer.follow_readiness(), restart);
    assert!(balancer.responses.get() >= 2_000, "{}", balancer.responses.get());
}
