//! The data path of one direction: read, copy to the observer, write, and nothing else.
//!
//! One thread per direction, blocking calls, raw bytes. What was read is always written whole
//! before the next read, whatever the other direction does. When either side ends, both of this
//! direction's descriptors are closed, so that each peer sees what it would see without the tap:
//! a reader its end of file, a writer its broken pipe.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::Clock;
use crate::observer::Direction;
use crate::queue::Queue;

/// The largest chunk; a pipe holds as much.
const CHUNK: usize = 64 * 1024;

/// One direction, ready to run.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) from: File,
    pub(super) to: File,
    pub(super) direction: Direction,
    pub(super) queue: Arc<Queue>,
    pub(super) flow: Arc<Flow>,
    pub(super) clock: Clock,
}

/// How far a pump has come, for who waits for it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    chunks: AtomicU64,
    writing: AtomicBool,
}

/// Why a pump stopped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    /// The source ended.
    EndOfFile,
    /// The source could not be read.
    Unreadable,
    /// The destination takes no more.
    Unwritable,
}

impl Flow {
    /// The chunks read so far, and whether one is being written.
    pub(super) fn read(&self) -> (u64, bool) {
        (self.chunks.load(Ordering::Relaxed), self.writing.load(Ordering::Relaxed))
    }
}

impl Pump {
    /// Runs until either side ends; then tells the observer and closes both descriptors.
    pub(super) fn run(mut self) -> Stop {
        let stop = self.copy();
        // Whose side ended decides how the open calls are counted: a server that went away
        // failed them, a client that went away gave them up. A server that only stopped reading
        // may still answer.
        match (stop, self.direction) {
            (Stop::Unwritable, Direction::ToServer) => {}
            (Stop::Unwritable, Direction::ToClient) => {
                self.queue.close(Direction::ToServer, self.clock.now());
            }
            (_, direction) => self.queue.close(direction, self.clock.now()),
        }
        stop
    }

    fn copy(&mut self) -> Stop {
        let mut buffer = vec![0; CHUNK];
        loop {
            let chunk = match read(&mut self.from, &mut buffer) {
                Ok(0) => return Stop::EndOfFile,
                Ok(length) => &buffer[..length],
                Err(error) => {
                    tracing::debug!(direction = ?self.direction, %error, "the source broke");
                    return Stop::Unreadable;
                }
            };
            // Queued before it is written, so that no reply can be queued before its request.
            let wake = self.queue.push(self.direction, self.clock.now(), chunk);
            self.flow.writing.store(true, Ordering::Relaxed);
            let written = write_all(&mut self.to, chunk);
            self.flow.writing.store(false, Ordering::Relaxed);
            self.flow.chunks.fetch_add(1, Ordering::Relaxed);
            self.queue.wake(wake);
            if let Err(error) = written {
                tracing::debug!(direction = ?self.direction, %error, "the destination broke");
                return Stop::Unwritable;
            }
        }
    }
}

fn read(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready(from, PollFlags::IN)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready(to, PollFlags::OUT)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits on a descriptor that our parent made non-blocking; it may be shared, so it stays so.
fn ready(file: &File, flags: PollFlags) -> io::Result<()> {
    poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), flags)], None)?;
    Ok(())
}
