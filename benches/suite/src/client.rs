//! A small HTTP client, for responses that are inspected and for workloads of different requests.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use crate::Outcome;
use crate::bench::Bench;

const ADDRESS: &str = "/graphql";
const NOT_MODIFIED: u16 = 304;

/// A request of a load.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: &'static str,
    /// Path and query string.
    pub target: String,
    token: Option<String>,
    pub body: Option<String>,
    /// Headers in addition to the usual ones.
    extra_headers: Vec<(&'static str, String)>,
}

/// A response.
#[derive(Debug)]
pub struct HttpResponse {
    /// Status line and headers.
    head: String,
    /// Body, chunks joined, still compressed.
    pub body: Vec<u8>,
}

/// Work of the server for a response, from `Server-Timing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// SQL statements.
    pub statements: usize,
    /// Cache hits and misses.
    pub hits: usize,
    pub misses: usize,
}

impl Request {
    /// An anonymous request with that body.
    pub fn with_body(body: String) -> Self {
        let (target, body) = (ADDRESS.to_owned(), Some(body));
        Self { method: "POST", target, token: None, body, extra_headers: Vec::new() }
    }

    /// An anonymous GraphQL request.
    pub fn anonymous(query: &str, variables: &Value) -> Self {
        Self::with_body(json!({ "query": query, "variables": variables }).to_string())
    }

    /// A GraphQL request of that user.
    pub fn authenticated(
        bench: &Bench,
        user: Uuid,
        query: &str,
        variables: &Value,
    ) -> Outcome<Self> {
        Ok(Self::anonymous(query, variables).with_token(bench.token(user)?))
    }

    /// An anonymous GET request.
    pub fn get(members: &[(&str, String)]) -> Self {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let target = format!("{ADDRESS}?{}", members.join("&"));
        Self { method: "GET", target, token: None, body: None, extra_headers: Vec::new() }
    }

    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.extra_headers.push((name, value.to_owned()));
        self
    }

    /// Requested compression.
    pub fn accepted_encoding(&self) -> Option<&str> {
        self.extra_header("accept-encoding")
    }

    fn extra_header(&self, name: &str) -> Option<&str> {
        let found = self.extra_headers.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept", "application/graphql-response+json".to_owned())];
        headers.extend(self.body.iter().map(|_| ("content-type", "application/json".to_owned())));
        headers.extend(self.token.iter().map(|token| ("authorization", format!("Bearer {token}"))));
        headers.extend_from_slice(&self.extra_headers);
        headers
    }

    /// The bytes of the request to a server with that address.
    pub fn message(&self, address: &str) -> String {
        let (method, target) = (self.method, &self.target);
        let mut message = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in self.headers() {
            let _ = write!(message, "{name}: {value}\r\n");
        }
        let body = self.body.as_deref().unwrap_or_default();
        if !body.is_empty() {
            let _ = write!(message, "content-length: {}\r\n", body.len());
        }
        message += "\r\n";
        message + body
    }

    /// Sends the request on a new connection. Fails unless the response has status 200 and no errors, or
    /// status 304 to a conditional request.
    pub fn send(&self, address: &str) -> Outcome<HttpResponse> {
        let response = Connection::open(address)?.send(self)?;
        let is_conditional = self.extra_header("if-none-match").is_some();
        if response.is_success() || (is_conditional && response.status() == NOT_MODIFIED) {
            return Ok(response);
        }
        Err(format!("{self:?} got {response}").into())
    }
}

/// Percent-encoded text for a query string.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

impl HttpResponse {
    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_default()
    }

    /// All headers, in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim()))
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> Outcome<&str> {
        Ok(str::from_utf8(&self.body)?)
    }

    pub fn json(&self) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// `true` for status 200 without errors. Compressed bodies are not inspected.
    pub fn is_success(&self) -> bool {
        // Quotes within strings are escaped, so this can only be the name of a member.
        let has_errors = str::from_utf8(&self.body).is_ok_and(|text| text.contains("\"errors\":"));
        self.status() == 200 && !has_errors
    }

    /// `true` if a mutation returned user errors.
    pub fn has_user_errors(&self) -> bool {
        let text = str::from_utf8(&self.body).unwrap_or_default();
        text.split_once("\"userErrors\":").is_some_and(|(_, errors)| !errors.starts_with("[]"))
    }

    /// Time of all statements in milliseconds; `None` without `Server-Timing`.
    pub fn sql_milliseconds(&self) -> Option<f64> {
        let (_, after) = self.header("server-timing")?.split_once("sql;dur=")?;
        after.split(';').next()?.parse().ok()
    }

    /// `None` without `Server-Timing`.
    pub fn cost(&self) -> Option<Cost> {
        let timing = self.header("server-timing")?;
        let before = |what: &str| -> Option<usize> {
            let (before, _) = timing.split_once(what)?;
            before.rsplit(['"', ' ']).next()?.parse().ok()
        };
        Some(Cost {
            statements: before(" statements")?,
            hits: before(" hits").unwrap_or_default(),
            misses: before(" misses").unwrap_or_default(),
        })
    }
}

impl std::fmt::Display for HttpResponse {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// Timeout of each step of a connection with an address of its own.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection of the client with that address. Each address in 127.0.0.0/8 is one of this machine.
pub fn connect_from(from: Ipv4Addr, address: &str) -> Outcome<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&address.parse::<SocketAddr>()?.into(), STEP_TIMEOUT)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    Ok(stream)
}

/// A keep-alive connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    pub fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// A connection of the client with that address.
    pub fn open_from(from: Ipv4Addr, address: &str) -> Outcome<Self> {
        let stream = connect_from(from, address)?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// Sends a request and reads its response, of any status.
    pub fn send(&mut self, request: &Request) -> Outcome<HttpResponse> {
        self.stream.get_mut().write_all(request.message(&self.address).as_bytes())?;
        let mut response = HttpResponse { head: String::new(), body: Vec::new() };
        while !response.head.ends_with("\r\n\r\n") {
            self.read_line(&mut response.head)?;
        }
        if response.status() == NOT_MODIFIED {
            // It has no body, whatever its headers declare.
            return Ok(response);
        }
        if let Some(length) = response.header("content-length").map(str::parse).transpose()? {
            response.body.resize(length, 0);
            self.stream.read_exact(&mut response.body)?;
        } else if response.header("transfer-encoding").is_some() {
            self.read_chunks(&mut response.body)?;
        } else {
            return Err(format!("response without a length: {response}").into());
        }
        Ok(response)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> Outcome {
        loop {
            let mut line = String::new();
            self.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim_end(), 16)?;
            let begin = body.len();
            body.resize(begin + length, 0);
            self.stream.read_exact(&mut body[begin..])?;
            line.clear();
            self.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_line(&mut self, line: &mut String) -> Outcome {
        match self.stream.read_line(line)? {
            0 => Err("the connection was closed before the end of the response".into()),
            _ => Ok(()),
        }
    }
}

/// A keep-alive connection of one of many clients on a thread.
pub struct AsyncConnection(tokio::io::BufReader<tokio::net::TcpStream>);

impl AsyncConnection {
    pub async fn open(address: &str) -> Outcome<Self> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(tokio::io::BufReader::new(stream)))
    }

    /// Sends the message of a request and reads its response, which declares its length.
    pub async fn send(&mut self, message: &str) -> Outcome<HttpResponse> {
        self.0.get_mut().write_all(message.as_bytes()).await?;
        let mut response = HttpResponse { head: String::new(), body: Vec::new() };
        while !response.head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut response.head).await? == 0 {
                return Err("the connection was closed before the end of the response".into());
            }
        }
        let length = response.header("content-length").ok_or("a response without a length")?;
        response.body.resize(length.parse()?, 0);
        self.0.read_exact(&mut response.body).await?;
        Ok(response)
    }
}
