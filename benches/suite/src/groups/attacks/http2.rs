//! A client of raw HTTP/2 frames (RFC 9113), for what a well-behaved client does not do.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::Outcome;
use crate::client::connect_from;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
const READ_TIMEOUT: Duration = Duration::from_millis(20);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection whose peer may not send a byte of a body: the initial window of each stream is 0.
pub struct Http2 {
    stream: TcpStream,
    authority: String,
    received: Vec<u8>,
    /// Bytes of bodies that the server accepts.
    window: i64,
    next_stream: u32,
}

/// Event of a stream or of the connection.
pub enum Event {
    Response {
        status: u16,
    },
    /// The stream is closed: a body has ended.
    Ended(u32),
    Reset {
        stream: u32,
        code: u32,
    },
    GoAway {
        code: u32,
    },
}

impl Http2 {
    pub fn open(from: Ipv4Addr, address: &str) -> Outcome<Self> {
        let stream = connect_from(from, address)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let authority = address.to_owned();
        let mut http2 =
            Self { stream, authority, received: Vec::new(), window: 65_535, next_stream: 1 };
        let mut settings = Vec::new();
        // Without a dynamic table a response's header needs no state to be read.
        for identifier in [HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE] {
            settings.extend(identifier.to_be_bytes());
            settings.extend(0_u32.to_be_bytes());
        }
        let mut begin = PREFACE.to_vec();
        begin.extend(frame(SETTINGS, 0, 0, &settings));
        http2.stream.write_all(&begin)?;
        Ok(http2)
    }

    /// Sends a request and returns its stream; none if the server does not accept as large a body now.
    pub fn request(&mut self, body: &[u8]) -> Result<Option<u32>> {
        let length = i64::try_from(body.len()).map_err(Error::other)?;
        if length > self.window {
            return Ok(None);
        }
        self.window -= length;
        let stream = self.next_stream;
        self.next_stream += 2;
        // `:method: POST` and `:scheme: http` of the static table.
        let mut block = vec![0x83, 0x86];
        for (name, value) in [
            (":path", "/graphql"),
            (":authority", &self.authority),
            ("accept", "application/graphql-response+json"),
            ("content-type", "application/json"),
        ] {
            // A literal without indexing, neither its name nor its value compressed.
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).map_err(Error::other)?);
                block.extend(text.as_bytes());
            }
        }
        let mut message = frame(HEADERS, END_HEADERS, stream, &block);
        message.extend(frame(DATA, END_STREAM, stream, body));
        self.stream.write_all(&message)?;
        Ok(Some(stream))
    }

    pub fn ping(&mut self) -> Result<()> {
        self.stream.write_all(&frame(PING, 0, 0, &[0; 8]))
    }

    /// Accepts one more byte of the body of each of these streams.
    pub fn accept_a_byte(&mut self, streams: &[u32]) -> Result<()> {
        let one = 1_u32.to_be_bytes();
        let frames: Vec<u8> =
            streams.iter().flat_map(|stream| frame(WINDOW_UPDATE, 0, *stream, &one)).collect();
        self.stream.write_all(&frames)
    }

    /// Reads what has arrived, answers SETTINGS and PINGs, and drops bodies.
    pub fn receive(&mut self) -> Result<Vec<Event>> {
        let mut buffer = vec![0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        let mut events = Vec::new();
        while let Some(frame) = take_frame(&mut self.received) {
            self.handle(&frame, &mut events)?;
        }
        Ok(events)
    }

    fn handle(&mut self, frame: &Frame, events: &mut Vec<Event>) -> Result<()> {
        let is_ack = frame.flags & ACK != 0;
        match frame.kind {
            SETTINGS if !is_ack => self.stream.write_all(&self::frame(SETTINGS, ACK, 0, &[]))?,
            PING if !is_ack => self.stream.write_all(&self::frame(PING, ACK, 0, &frame.payload))?,
            WINDOW_UPDATE if frame.stream == 0 => self.window += i64::from(frame.number(0)),
            RST_STREAM => events.push(Event::Reset { stream: frame.stream, code: frame.number(0) }),
            GOAWAY => events.push(Event::GoAway { code: frame.number(4) }),
            HEADERS => events.push(Event::Response { status: status(&frame.payload) }),
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
            events.push(Event::Ended(frame.stream));
        }
        Ok(())
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The 32 bits at that offset of the payload; 0 if it is shorter.
    fn number(&self, offset: usize) -> u32 {
        let bytes = self.payload.get(offset..offset + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Payloads are shorter than 16 KiB.
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Cuts off the first frame, if it is complete.
fn take_frame(received: &mut Vec<u8>) -> Option<Frame> {
    let &[a, b, c, kind, flags, s0, s1, s2, s3] = received.first_chunk::<FRAME_HEAD>()?;
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    let payload = received.get(FRAME_HEAD..FRAME_HEAD + length)?.to_vec();
    received.drain(..FRAME_HEAD + length);
    Some(Frame { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), payload })
}

/// `:status`, which comes first in a header block (RFC 7541); 0 if it cannot be read.
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size come before it.
    let block = &block[block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count()..];
    match block {
        [field @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(field - 0x88)],
        // A literal with the name of the static table, in each of the three ways.
        [0x48 | 0x08 | 0x18, length, value @ ..] => {
            let value = value.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let text = if length & 0x80 == 0 {
                String::from_utf8_lossy(value).into_owned()
            } else {
                digits(value)
            };
            text.parse().unwrap_or_default()
        }
        _ => 0,
    }
}

/// The three digits of a status in Huffman's code: 5 bits for 0 to 2, 6 bits from 24 on for 3 to 9.
fn digits(coded: &[u8]) -> String {
    let bits = coded.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut bits = bits << (32 - 8 * coded.len().clamp(1, 3));
    let mut text = String::new();
    for _ in 0..3 {
        let short = bits >> 27;
        let (digit, length) =
            if short < 3 { (short, 5) } else { ((bits >> 26).wrapping_sub(22), 6) };
        text.extend(char::from_digit(digit, 10));
        bits <<= length;
    }
    text
}
