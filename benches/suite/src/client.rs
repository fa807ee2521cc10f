//! Requests and connections of the suite's own, for what is looked at and for loads in which no
//! request is like another.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
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
    /// Headers besides the usual ones.
    besides: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status line and headers.
    head: String,
    /// As it was sent, without its chunks.
    pub body: Vec<u8>,
}

/// What an answer cost, as the server counts it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// SQL statements.
    pub statements: usize,
    /// Lookups in the cache that found something, and those that did not.
    pub hits: usize,
    pub misses: usize,
}

impl Request {
    /// A request with that body as nobody.
    pub fn of_body(body: String) -> Self {
        let (target, body) = (ADDRESS.to_owned(), Some(body));
        Self { method: "POST", target, token: None, body, besides: Vec::new() }
    }

    /// A question to the server as nobody.
    pub fn of_nobody(query: &str, variables: &Value) -> Self {
        Self::of_body(json!({ "query": query, "variables": variables }).to_string())
    }

    /// A question to the server as that user.
    pub fn of_user(bench: &Bench, user: Uuid, query: &str, variables: &Value) -> Outcome<Self> {
        Ok(Self::of_nobody(query, variables).with_token(bench.token(user)?))
    }

    /// A question in the address, as nobody.
    pub fn get(members: &[(&str, String)]) -> Self {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let target = format!("{ADDRESS}?{}", members.join("&"));
        Self { method: "GET", target, token: None, body: None, besides: Vec::new() }
    }

    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.besides.push((name, value.to_owned()));
        self
    }

    /// What it is to be compressed with, if anything.
    pub fn accepted_encoding(&self) -> Option<&str> {
        self.besides("accept-encoding")
    }

    fn besides(&self, name: &str) -> Option<&str> {
        let found = self.besides.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("accept", "application/graphql-response+json".to_owned())];
        headers.extend(self.body.iter().map(|_| ("content-type", "application/json".to_owned())));
        headers.extend(self.token.iter().map(|token| ("authorization", format!("Bearer {token}"))));
        headers.extend_from_slice(&self.besides);
        headers
    }

    /// Sends it on a connection of its own. Only an answer with status 200 and without errors is one,
    /// or 304 to who has one already.
    pub fn send(&self, address: &str) -> Outcome<Answer> {
        let answer = Connection::open(address)?.ask(self)?;
        let has_one = self.besides("if-none-match").is_some();
        if answer.is_good() || (has_one && answer.status() == NOT_MODIFIED) {
            return Ok(answer);
        }
        Err(format!("{self:?} was answered {answer}").into())
    }
}

/// For a query string.
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

impl Answer {
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

    /// Whether its status is 200 and it has no errors. What is compressed is not looked into.
    pub fn is_good(&self) -> bool {
        // Quotes within texts are escaped, so this is the name of a member.
        let has_errors = str::from_utf8(&self.body).is_ok_and(|text| text.contains("\"errors\":"));
        self.status() == 200 && !has_errors
    }

    /// Whether a mutation did not do what it was asked for.
    pub fn has_user_errors(&self) -> bool {
        let text = str::from_utf8(&self.body).unwrap_or_default();
        text.split_once("\"userErrors\":").is_some_and(|(_, errors)| !errors.starts_with("[]"))
    }

    /// Nothing where the server does not say it.
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

impl std::fmt::Display for Answer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// A connection that is kept open.
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

    /// Sends a request and reads its answer, whatever that is.
    pub fn ask(&mut self, request: &Request) -> Outcome<Answer> {
        let (method, target) = (request.method, &request.target);
        let mut message = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in request.headers() {
            let _ = write!(message, "{name}: {value}\r\n");
        }
        let body = request.body.as_deref().unwrap_or_default();
        if !body.is_empty() {
            let _ = write!(message, "content-length: {}\r\n", body.len());
        }
        message += "\r\n";
        message += body;
        self.stream.get_mut().write_all(message.as_bytes())?;
        let mut answer = Answer { head: String::new(), body: Vec::new() };
        while !answer.head.ends_with("\r\n\r\n") {
            self.read_line(&mut answer.head)?;
        }
        if answer.status() == NOT_MODIFIED {
            // It has no body, whatever its headers say.
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length").map(str::parse).transpose()? {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body)?;
        } else if answer.header("transfer-encoding").is_some() {
            self.read_chunks(&mut answer.body)?;
        } else {
            return Err(format!("nothing says where this ends: {answer}").into());
        }
        Ok(answer)
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
            0 => Err("the connection was closed before the answer's end".into()),
            _ => Ok(()),
        }
    }
}
