//! Log and standard output of a server whose readers stop reading, whose disk is full, or whose pipes are
//! closed; and what is in a line of the log. Each test runs the real program.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, PipeReader, Write as _, pipe};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use wasteland_tarot::telemetry;

use crate::cli::{command, execute, folder, refusal};
use crate::support::app::{RawConnection, raw_post, settings_of};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const RESPONSE: &str = r#"{"data":{"__typename":"Query"}}"#;

/// Maximum bytes of a line by default.
const LINE_BYTES: usize = 8192;

/// Smallest queue, which a few hundred requests fill.
const SMALL_BUFFER: (&str, &str) = ("LOG_BUFFER_BYTES", "65536");

/// Output that takes no lines.
#[derive(Debug, Clone, Copy)]
enum Broken {
    FullDisk,
    ClosedPipe,
    StoppedReader,
}

const BROKEN: [Broken; 3] = [Broken::FullDisk, Broken::ClosedPipe, Broken::StoppedReader];

impl Broken {
    /// The output, and the reader that stopped reading.
    fn open(self) -> (Stdio, Option<PipeReader>) {
        match self {
            Self::FullDisk => {
                let disk = File::options().write(true).open("/dev/full").expect("Linux has one");
                (disk.into(), None)
            }
            Self::ClosedPipe => (pipe().expect("a pipe").1.into(), None),
            Self::StoppedReader => {
                let (reader, writer) = pipe().expect("a pipe");
                let mut filler = writer.try_clone().expect("a descriptor");
                // Full from now on, until the reader is dropped.
                std::thread::spawn(move || while filler.write_all(&[b'\n'; 4096]).is_ok() {});
                (writer.into(), Some(reader))
            }
        }
    }
}

/// A running server. It is killed if the test does not stop it.
struct Server {
    child: Child,
    connection: RawConnection,
}

impl Server {
    /// A server at a port that is known before, because its standard output may not be readable.
    async fn start(
        folder: &Path,
        environment: &[(&str, &str)],
        redirect: impl FnOnce(&mut Command),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let mut command = command(folder, environment, &["serve"]);
        command
            .env("LISTEN", &address)
            .env("RATE_LIMIT", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        redirect(&mut command);
        let mut child = command.spawn().expect("the program starts");
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            assert_eq!(child.try_wait().expect("a state"), None, "the server ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let connection = RawConnection::open_to(&format!("http://{address}")).await;
        Self { child, connection }
    }

    /// Sends a request and returns the status and the body of its response.
    async fn send(&mut self, request: impl AsRef<[u8]>) -> (u16, String) {
        self.connection.write(request).await;
        let response = self.connection.read_response().await;
        (response.status, String::from_utf8(response.body).expect("text"))
    }

    /// Sends that many requests, whose ids are their numbers.
    async fn send_numbered(&mut self, count: usize) {
        for number in 0..count {
            let request = raw_post(&format!("x-request-id: {number}\r\n"), QUERY);
            assert_eq!(self.send(request).await, (200, RESPONSE.to_owned()));
        }
    }

    fn terminate(&self) {
        let order = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &order]).status().expect("a shell").success());
    }

    /// Stops the server; its exit code.
    fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().expect("it ends").code()
    }

    /// Stops the server; the lines that it still logs.
    fn stop_and_read(self, log: Lines<BufReader<PipeReader>>) -> Vec<Value> {
        self.terminate();
        let lines = log.map(|line| parse(&line.expect("text"))).collect();
        assert_eq!(self.stop(), Some(0));
        lines
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that logs JSON to a pipe, and the lines of the pipe.
async fn logged_server(
    folder: &Path,
    environment: &[(&str, &str)],
) -> (Server, Lines<BufReader<PipeReader>>) {
    let (reader, writer) = pipe().expect("a pipe");
    let environment = [&[("LOG_FORMAT", "json")], environment].concat();
    let server = Server::start(folder, &environment, |command| {
        command.stderr(writer);
    });
    (server.await, BufReader::new(reader).lines())
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
}

fn with_message<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

// Outputs that take no lines

#[tokio::test]
async fn a_log_that_takes_no_lines_stops_neither_requests_nor_shutdown() {
    let folder = folder();
    for broken in BROKEN {
        let (stderr, _reader) = broken.open();
        let environment = [("LOG", "debug"), SMALL_BUFFER];
        let mut server = Server::start(folder.path(), &environment, |command| {
            command.stderr(stderr);
        })
        .await;
        server.send_numbered(500).await;
        assert_eq!(server.stop(), Some(0), "{broken:?}");
    }
}

#[tokio::test]
async fn a_standard_output_that_takes_no_lines_stops_neither_start_nor_shutdown() {
    let folder = folder();
    for broken in BROKEN {
        let (stdout, _reader) = broken.open();
        let mut server = Server::start(folder.path(), &[], |command| {
            command.stdout(stdout);
        })
        .await;
        server.send_numbered(10).await;
        assert_eq!(server.stop(), Some(0), "{broken:?}");
    }
}

/// The thread that writes may take some lines of a full queue while others are dropped, so there may be several
/// notices.
#[tokio::test]
async fn dropped_lines_are_counted_in_their_places_once_the_reader_reads_again() {
    const SENT: u64 = 1_000;
    let folder = folder();
    let (mut server, mut log) = logged_server(folder.path(), &[SMALL_BUFFER]).await;
    server.send_numbered(1_000).await;
    let (mut accounted, mut dropped) = (0, 0);
    while accounted < SENT {
        let line = parse(&log.next().expect("a line").expect("text"));
        if line["message"] == "log lines dropped" {
            assert_eq!(line["level"], "WARN");
            let lines = line["dropped"].as_u64().expect("a number");
            (accounted, dropped) = (accounted + lines, dropped + lines);
        } else if line["message"] == "request" {
            // The lines before it were logged, or are in a notice.
            assert_eq!(line["request_id"], accounted.to_string(), "{line}");
            accounted += 1;
        }
    }
    assert_eq!(accounted, SENT);
    // More than the queue and the pipe hold.
    assert!(dropped > 0, "all lines were logged");

    server.send_numbered(3).await;
    let later = server.stop_and_read(log);
    assert_eq!(with_message(&later, "request").len(), 3, "{later:?}");
    assert_eq!(with_message(&later, "log lines dropped").len(), 0, "{later:?}");
    assert_eq!(with_message(&later, "stopped").len(), 1, "{later:?}");
}

#[tokio::test]
async fn lines_within_the_buffer_wait_for_the_reader() {
    let folder = folder();
    let (mut server, log) = logged_server(folder.path(), &[]).await;
    server.send_numbered(1_000).await;
    let lines = server.stop_and_read(log);
    assert_eq!(with_message(&lines, "request").len(), 1_000);
    assert_eq!(with_message(&lines, "log lines dropped").len(), 0);
    assert_eq!(lines.last().expect("a line")["message"], "stopped");
}

/// Panics of tasks in a process whose log goes to standard error: this test, started again by itself.
#[tokio::test]
async fn panics_of_tasks_are_logged_or_dropped_and_never_end_the_process() {
    const NAME: &str =
        "log_output::panics_of_tasks_are_logged_or_dropped_and_never_end_the_process";
    const MARK: &str = "TEST_OF_PANICS";
    if std::env::var_os(MARK).is_some() {
        let settings = settings_of("sqlite://unused.db", &["--log-format=json", "--log=info"]);
        telemetry::start(&settings).expect("the log starts");
        for message in ["short".to_owned(), "long\n\"é\" ".repeat(20_000)] {
            let task = tokio::spawn(async move { panic!("{message}") });
            assert!(task.await.expect_err("a panic").is_panic());
        }
        telemetry::flush();
        return;
    }
    let program = |stderr: Stdio| {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args([NAME, "--exact", "--nocapture"]).env(MARK, "1");
        command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the program starts")
    };
    for broken in BROKEN {
        let (stderr, _reader) = broken.open();
        assert!(program(stderr).wait().expect("it ends").success(), "{broken:?}");
    }
    let output = program(Stdio::piped()).wait_with_output().expect("it ends");
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{log}");
    assert!(log.lines().all(|line| line.len() < LINE_BYTES), "{log}");
    let lines: Vec<_> = log.lines().map(parse).collect();
    let [brief, lengthy] = lines.as_slice() else { panic!("{log}") };
    for line in [brief, lengthy] {
        assert_eq!([&line["message"], &line["level"]], ["a task panicked", "ERROR"]);
    }
    let panic_of = |line: &Value| line["panic"].as_str().expect("a text").to_owned();
    assert!(panic_of(brief).ends_with(":\nshort"), "{brief}");
    assert_eq!(brief["truncated"], Value::Null);
    assert!(panic_of(lengthy).contains(":\nlong\n\"é\" long\n"), "{lengthy}");
    assert_eq!(lengthy["truncated"], true);
}

/// Output of commands that print their result to this standard output. Their log has errors only.
fn results_printed_to(broken: Broken) -> [Output; 2] {
    let folder = folder();
    [&["schema"][..], &["migrate"]].map(|arguments| {
        let mut command = command(folder.path(), &[("LOG", "error")], arguments);
        command.stdout(broken.open().0).output().expect("the program runs")
    })
}

#[test]
fn a_command_that_cannot_print_its_result_fails() {
    for output in results_printed_to(Broken::FullDisk) {
        assert_eq!(output.status.code(), Some(1));
        let expected = "standard output: No space left on device (os error 28)";
        assert_eq!(refusal(&output), expected);
    }
}

#[test]
fn a_command_whose_reader_has_read_enough_ends_quietly() {
    for output in results_printed_to(Broken::ClosedPipe) {
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_start_that_fails_ends_with_its_exit_code_although_nobody_reads_why() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for broken in BROKEN {
        let (stderr, _reader) = broken.open();
        let mut command = command(folder.path(), &[("LISTEN", &address)], &["serve"]);
        let mut child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{broken:?}");
    }
}

// Lines

#[tokio::test]
async fn texts_of_clients_are_truncated_in_the_log() {
    let folder = folder();
    let (mut server, log) = logged_server(folder.path(), &[("LOG", "trace")]).await;
    let agent = format!("user-agent: {}\r\n", "u".repeat(100_000));
    assert_eq!(server.send(raw_post(&agent, QUERY)).await, (200, RESPONSE.to_owned()));
    let method_and_path = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")
    };
    let long_path = format!("/{}", "p".repeat(5_000));
    assert_eq!(server.send(method_and_path("GET", &long_path)).await.0, 404);
    assert_eq!(server.send(method_and_path("GET", "/\u{202e}é")).await.0, 404);
    assert_eq!(server.send(method_and_path(&"M".repeat(300), "/graphql")).await.0, 405);
    for length in [200, 201] {
        let operation = "O".repeat(length);
        let body = json!({ "query": format!("query {operation} {{ __typename }}") }).to_string();
        assert_eq!(server.send(raw_post("", &body)).await, (200, RESPONSE.to_owned()));
    }
    let lines = server.stop_and_read(log);
    for line in &lines {
        assert!(line.to_string().len() < LINE_BYTES, "{line}");
    }
    let requests: Vec<_> = with_message(&lines, "request")
        .iter()
        .map(|line| [line["method"].clone(), line["path"].clone(), line["operation"].clone()])
        .collect();
    let name = |letter: &str, end: &str| json!(letter.repeat(200) + end);
    let (post, get, graphql) = (json!("POST"), json!("GET"), json!("/graphql"));
    assert_eq!(
        requests,
        [
            [post.clone(), graphql.clone(), Value::Null],
            [get.clone(), json!(format!("/{}…", "p".repeat(199))), Value::Null],
            [get, json!("/\\u{202e}é"), Value::Null],
            [name("M", "…"), graphql.clone(), Value::Null],
            [post.clone(), graphql.clone(), name("O", "")],
            [post, graphql, name("O", "…")],
        ]
    );
}

/// Sends a mutation, and returns the data of its response.
async fn mutate(server: &mut Server, mutation: &str) -> Value {
    let body = json!({ "query": format!("mutation {{ {mutation} }}") }).to_string();
    let (status, text) = server.send(raw_post("", &body)).await;
    assert_eq!(status, 200, "{text}");
    parse(&text)["data"].take()
}

#[tokio::test]
async fn lines_of_the_audit_log_have_no_secrets() {
    const PASSWORD: &str = "lantern-cobalt-thistle";
    const WRONG: &str = "a-wrong-guess-at-it";
    let folder = folder();
    let environment = [("LOG", "audit=info"), ("LOGIN_RATE", "0"), ("REFRESH_GRACE_SECONDS", "1")];
    let (mut server, log) = logged_server(folder.path(), &environment).await;
    let registered = mutate(
        &mut server,
        &format!(
            "register(input: {{ email: \"ada@example.com\", username: \"ada\", password: {PASSWORD:?} }})
                {{ session {{ refreshToken accessToken }} }}"
        ),
    )
    .await;
    let session = &registered["register"]["session"];
    let token = session["refreshToken"].as_str().expect("a token").to_owned();
    let access = session["accessToken"].as_str().expect("a token").to_owned();
    let log_in = |name: &str, password: &str| {
        format!("login(input: {{ login: {name:?}, password: {password:?} }}) {{ __typename }}")
    };
    mutate(&mut server, &log_in("ada", PASSWORD)).await;
    // The password in the field of the name.
    mutate(&mut server, &log_in(PASSWORD, "ada")).await;
    // The last one is refused.
    for _ in 0..6 {
        let body = json!({ "query": format!("mutation {{ {} }}", log_in("ada", WRONG)) });
        server.send(raw_post("", &body.to_string())).await;
    }
    let refresh = format!("refreshSession(input: {{ refreshToken: {token:?} }}) {{ __typename }}");
    mutate(&mut server, &refresh).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    mutate(&mut server, &refresh).await;

    let lines = server.stop_and_read(log);
    let ada = lines[0]["id"].clone();
    assert!(ada.is_string(), "{lines:?}");
    let brief = |line: &Value| {
        let of = |name: &str| line[name].clone();
        json!([of("level"), of("action"), of("actor"), of("id"), of("address"), of("target")])
    };
    let line = |level: &str, action: &str, actor: &Value, user: &Value| {
        json!([level, action, actor, user, "127.0.0.1", "audit"])
    };
    let none = Value::Null;
    let mut expected =
        vec![line("INFO", "logged_in", &ada, &ada), line("WARN", "login_failed", &none, &none)];
    expected.extend(vec![line("WARN", "login_failed", &none, &ada); 4]);
    expected.push(line("WARN", "locked_out", &none, &ada));
    expected.extend(vec![line("WARN", "login_failed", &none, &ada); 2]);
    expected.push(line("INFO", "refresh_token_reused", &none, &ada));
    assert_eq!(lines.iter().map(brief).collect::<Vec<_>>(), expected);
    for line in lines.iter().map(Value::to_string) {
        for secret in [PASSWORD, WRONG, &token, &access] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test]
async fn a_line_longer_than_the_maximum_is_truncated_and_says_so() {
    let folder = folder();
    // 200 characters, each logged with 9 bytes.
    let header = format!("x-forwarded-for: {}\r\n", "\u{202e}".repeat(200));
    let element = format!("{:?}", "\u{202e}".repeat(200));
    let message = "a trusted proxy reported no client address; such requests count as the proxy's";
    for (line_bytes, is_truncated) in [("1024", true), ("8192", false)] {
        let environment = [("TRUSTED_PROXIES", "127.0.0.1"), ("LOG_LINE_BYTES", line_bytes)];
        let (mut server, log) = logged_server(folder.path(), &environment).await;
        assert_eq!(server.send(raw_post(&header, QUERY)).await, (200, RESPONSE.to_owned()));
        let lines = server.stop_and_read(log);
        let [line] = with_message(&lines, message)[..] else { panic!("{lines:?}") };
        let logged = line["element"].as_str().expect("a text");
        if is_truncated {
            assert_eq!(line["truncated"], true);
            let start = logged.strip_suffix('…').expect("truncated");
            assert!(element.starts_with(start) && start.len() > 200, "{logged}");
            assert!(line.to_string().len() < 1024, "{line}");
        } else {
            assert_eq!(line["truncated"], Value::Null);
            assert_eq!(logged, element);
        }
    }
}

// Settings

#[test]
fn the_filter_takes_levels_crates_of_the_program_and_the_audit_log() {
    let folder = folder();
    for filter in [
        "off",
        "WARN",
        "wasteland_tarot=debug,sqlx=warn",
        "info,sqlx::query=debug,hyper=trace",
        "error, tokio=off, redis",
        "warn,audit=info",
    ] {
        let output = execute(folder.path(), &[("LOG", filter)], &["schema"]);
        assert!(output.status.success(), "{filter}: {output:?}");
    }
    let expected = "error, warn, info, debug, trace, off, or a filter such as info,sqlx=debug";
    for (filter, wrong) in [
        ("inof", "inof"),
        ("foo=debug", "foo"),
        ("info,wasteland=debug", "wasteland"),
        ("info,wasteland-tarot=debug", "wasteland-tarot"),
        ("info=debug", "info"),
        ("debug,sqlx=warn,foo::bar=info", "foo::bar"),
        ("[request]=debug", "[request]"),
    ] {
        let line = refusal(&execute(folder.path(), &[("LOG", filter)], &["serve"]));
        let reason = format!("{expected}; {wrong:?} is no level, and no crate of this program");
        assert_eq!(line, format!("LOG={filter:?} (environment): {reason}"));
    }
    for filter in ["sqlx=dbug", "sqlx=debug=info"] {
        let line = refusal(&execute(folder.path(), &[("LOG", filter)], &["serve"]));
        assert_eq!(line, format!("LOG={filter:?} (environment): {expected}"));
    }
}

#[test]
fn sizes_of_the_log_have_bounds() {
    let folder = folder();
    for (name, minimum, maximum) in
        [("LOG_LINE_BYTES", 1_024, 65_536), ("LOG_BUFFER_BYTES", 65_536, 1_073_741_824)]
    {
        for value in [minimum, maximum] {
            let output = execute(folder.path(), &[(name, &value.to_string())], &["schema"]);
            assert!(output.status.success(), "{name}={value}: {output:?}");
        }
        for value in [minimum - 1, maximum + 1] {
            let line = refusal(&execute(folder.path(), &[(name, &value.to_string())], &["serve"]));
            let expected = format!("a whole number of at least {minimum} and at most {maximum}");
            assert_eq!(line, format!("{name}=\"{value}\" (environment): {expected}"));
        }
    }
}
