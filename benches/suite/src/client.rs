//! One request at a time, for what is looked at and not measured.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::Outcome;
use crate::bench::Bench;

/// A request of a load.
#[derive(Debug, Clone)]
pub struct Request {
    pub token: Option<String>,
    pub body: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub body: String,
    /// SQL statements, as the server counts them.
    pub statements: Option<usize>,
}

impl Request {
    /// A question to the server as nobody.
    pub fn of_nobody(query: &str, variables: &Value) -> Self {
        Self { token: None, body: json!({ "query": query, "variables": variables }).to_string() }
    }

    /// A question to the server as that user.
    pub fn of_user(bench: &Bench, user: Uuid, query: &str, variables: &Value) -> Outcome<Self> {
        Ok(Self { token: Some(bench.token(user)?), ..Self::of_nobody(query, variables) })
    }

    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/graphql-response+json".to_owned()),
        ];
        headers.extend(self.token.iter().map(|token| ("authorization", format!("Bearer {token}"))));
        headers
    }

    /// Sends it. Only an answer with status 200 and without errors is one.
    pub fn send(&self, address: &str) -> Outcome<Answer> {
        let mut message = format!("POST /graphql HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in self.headers() {
            let _ = write!(message, "{name}: {value}\r\n");
        }
        let length = self.body.len();
        let _ = write!(message, "content-length: {length}\r\nconnection: close\r\n\r\n");
        message += &self.body;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(message.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if !head.starts_with("HTTP/1.1 200") || body.contains("\"errors\"") {
            return Err(format!("{} was answered {head}\n{body}", self.body).into());
        }
        let statements = head.lines().find_map(|line| {
            let (_, timing) = line.split_once("server-timing:")?;
            timing.split_once(" statements")?.0.rsplit('"').next()?.parse().ok()
        });
        Ok(Answer { body: body.to_owned(), statements })
    }
}
