//! A bounded queue of lines and the thread that writes them.
//!
//! Not tracing-appender: it loses the lines of a failed write without counting them, goes on in the middle
//! of a line that was written in part, does not report when lines were dropped, bounds lines and not bytes,
//! and writes to standard output, which may be stuck as well, if it cannot stop. Here a failed write is
//! tried again at the byte where it failed, so that a full disk differs from a reader that stopped reading
//! only in who waits.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::line::LineFormat;
use crate::config::log::{NOTICE_BYTES, WRITE_BYTES, WRITE_RETRY};

/// Output that never blocks those who write to it.
pub(super) struct Output {
    format: LineFormat,
    /// Maximum bytes of lines that are queued or being written.
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Signalled when the thread has something to do.
    work: Condvar,
    /// Signalled when the thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Queued lines, each with its end.
    lines: Vec<u8>,
    /// Bytes that the thread has taken and not written.
    in_flight: usize,
    /// Dropped lines since the last notice.
    dropped: u64,
    /// Dropped lines since the start.
    dropped_total: u64,
    thread: ThreadState,
}

#[derive(Default, PartialEq, Eq)]
enum ThreadState {
    /// Waiting for lines.
    Idle,
    #[default]
    Writing,
    /// Writing what is left.
    Finishing,
    Ended,
}

impl Output {
    /// Starts the thread of an output.
    ///
    /// # Errors
    ///
    /// The system has no file descriptors or no threads left.
    pub(super) fn start(
        descriptor: BorrowedFd<'_>,
        max_bytes: usize,
        format: LineFormat,
    ) -> io::Result<Arc<Self>> {
        // A descriptor of its own: the standard library's streams have locks and buffers, for which the
        // end of the process would wait.
        let file = File::from(descriptor.try_clone_to_owned()?);
        let output = Arc::new(Self::new(max_bytes, format));
        let of_thread = Arc::clone(&output);
        thread::Builder::new().name("output".to_owned()).spawn(move || of_thread.run(file))?;
        Ok(output)
    }

    fn new(max_bytes: usize, format: LineFormat) -> Self {
        Self {
            format,
            max_bytes,
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// Queues a line, or drops it if the queue is full.
    pub(super) fn push(&self, line: &str) {
        let mut queue = self.queue();
        let notice_bytes = if queue.dropped == 0 { 0 } else { NOTICE_BYTES };
        let needed = notice_bytes + line.len() + 1;
        if queue.in_flight + queue.lines.len() + needed > self.max_bytes {
            queue.dropped += 1;
            queue.dropped_total += 1;
            return;
        }
        // In the place of the lines before this one that were dropped.
        let dropped = std::mem::take(&mut queue.dropped);
        queue.lines.extend_from_slice(self.notice(dropped).as_bytes());
        queue.lines.extend_from_slice(line.as_bytes());
        queue.lines.push(b'\n');
        // Waking a thread is a system call, and under load it is awake.
        if queue.thread == ThreadState::Idle {
            queue.thread = ThreadState::Writing;
            self.work.notify_one();
        }
    }

    pub(super) fn dropped_lines(&self) -> u64 {
        self.queue().dropped_total
    }

    /// Ends the thread when it has written what is queued. Gives up at the deadline.
    pub(super) fn finish(&self, deadline: Instant) {
        let mut queue = self.queue();
        if queue.thread != ThreadState::Ended {
            queue.thread = ThreadState::Finishing;
        }
        self.work.notify_one();
        let timeout = deadline.saturating_duration_since(Instant::now());
        let has_not_ended = |queue: &mut Queue| queue.thread != ThreadState::Ended;
        let _ = self.ended.wait_timeout_while(queue, timeout, has_not_ended);
    }

    fn run(&self, mut file: File) {
        while let Some(batch) = self.next_batch() {
            if self.write(&mut file, &batch).is_err() {
                break;
            }
        }
        self.queue().thread = ThreadState::Ended;
        self.ended.notify_all();
    }

    /// Takes the queued lines, with a notice of those that were dropped after them.
    fn next_batch(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue();
        while queue.lines.is_empty() && queue.dropped == 0 {
            if queue.thread == ThreadState::Finishing {
                return None;
            }
            queue.thread = ThreadState::Idle;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = std::mem::take(&mut queue.lines);
        let dropped = std::mem::take(&mut queue.dropped);
        batch.extend_from_slice(self.notice(dropped).as_bytes());
        queue.in_flight = batch.len();
        Some(batch)
    }

    /// Line about dropped ones, with its end; empty if there are none.
    fn notice(&self, dropped: u64) -> String {
        if dropped == 0 { String::new() } else { self.format.dropped_notice(dropped) + "\n" }
    }

    /// Writes all bytes, however long that takes.
    ///
    /// # Errors
    ///
    /// The process ends, and nothing can be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "no worker of the runtime: the thread has no other task"
    )]
    fn write(&self, file: &mut File, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match file.write(first_lines(rest)) {
                Ok(written) if written > 0 => {
                    rest = &rest[written..];
                    self.queue().in_flight = rest.len();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock && self.is_finishing() => {
                    return Err(error);
                }
                _ => thread::sleep(WRITE_RETRY),
            }
        }
        Ok(())
    }

    fn is_finishing(&self) -> bool {
        self.queue().thread == ThreadState::Finishing
    }

    /// The queue is consistent even after a panic: nothing that panics is called under the lock.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines for one write: other processes may write to the same file, and lines must not be mixed.
fn first_lines(bytes: &[u8]) -> &[u8] {
    let start = &bytes[..bytes.len().min(WRITE_BYTES)];
    match start.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => &start[..=end],
        None => start,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::config::log::FLUSH_TIMEOUT;

    #[test]
    fn lines_are_queued_up_to_the_maximum_and_dropped_above_it() {
        let full = File::options().write(true).open("/dev/full").expect("Linux has one");
        let output = Output::start(full.as_fd(), 20, LineFormat::Text).expect("a thread");
        output.push("10 letters");
        output.push("8 letter");
        assert_eq!(output.dropped_lines(), 0);
        output.push("");
        output.push("another");
        assert_eq!(output.dropped_lines(), 2);
    }

    #[test]
    fn an_output_that_cannot_be_written_is_given_up_at_the_end() {
        let full = File::options().write(true).open("/dev/full").expect("Linux has one");
        let output = Output::start(full.as_fd(), 20, LineFormat::Text).expect("a thread");
        output.push("a line");
        // Long before the deadline.
        output.finish(Instant::now() + FLUSH_TIMEOUT * 1_000);
        assert!(output.queue().thread == ThreadState::Ended);
    }

    #[test]
    fn a_notice_is_no_longer_than_the_room_that_is_left_for_it() {
        for format in [LineFormat::Text, LineFormat::ColouredText, LineFormat::Json] {
            let output = Output::new(20, format);
            assert_eq!(output.notice(0), "");
            let length = output.notice(u64::MAX).len();
            assert!(length > 20 && length <= NOTICE_BYTES, "{length}");
        }
    }

    #[test]
    fn a_notice_stands_in_the_place_of_the_dropped_lines() {
        let output = Output::new(600, LineFormat::Text);
        let long = "x".repeat(300);
        // The second does not fit, and the third does.
        output.push(&long);
        output.push(&long);
        output.push("short");
        let batch = String::from_utf8(output.next_batch().expect("lines")).expect("text");
        let lines: Vec<&str> = batch.lines().collect();
        let [first, notice, last] = lines[..] else { panic!("{batch}") };
        assert_eq!([first, last], [&long, "short"]);
        assert!(notice.ends_with(" WARN log lines dropped dropped=1"), "{notice}");
        // The batch is still in flight.
        output.push(&long);
        let batch = String::from_utf8(output.next_batch().expect("lines")).expect("text");
        assert!(batch.ends_with(" WARN log lines dropped dropped=1\n"), "{batch}");
        assert_eq!(output.dropped_lines(), 2);
    }

    #[test]
    fn writes_end_at_the_end_of_a_line() {
        let line = |length: usize| [vec![b'a'; length - 1], vec![b'\n']].concat();
        assert_eq!(first_lines(&line(10)), line(10));
        let two = [line(10), line(WRITE_BYTES - 10)].concat();
        assert_eq!(first_lines(&two), two);
        let two = [line(10), line(WRITE_BYTES - 9)].concat();
        assert_eq!(first_lines(&two), line(10));
        assert_eq!(first_lines(&line(WRITE_BYTES + 1)), &line(WRITE_BYTES + 1)[..WRITE_BYTES]);
    }
}
