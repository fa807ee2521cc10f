//! The fuzz targets: functions of any bytes that panic where a promise of the server is broken. The fuzzing engine
//! (`main.rs`) and the test that replays the corpus (`tests/replay.rs`) call the same functions.

mod cursor;
mod document;
mod guard;
mod http;
mod id;
mod input;
mod json_body;
mod literals;
pub mod server;
mod share_token;

pub use input::SEPARATOR;

/// A fuzz target. Its corpus is the folder of its name in `corpus/`.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name on the command line of `scripts/fuzz`.
    pub name: &'static str,
    /// Panics if the input breaks a promise.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "document", run: document::run },
    Target { name: "input", run: input::run },
    Target { name: "cursor", run: cursor::run },
    Target { name: "id", run: id::run },
    Target { name: "http", run: http::run },
    Target { name: "json_body", run: json_body::run },
    Target { name: "share_token", run: share_token::run },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
