//! The leading process's connections to the ranks: [`Links`].

use std::io::{self, Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::frames;
use crate::message::Report;

/// What was heard of a rank. After an error, nothing more is.
pub(crate) type Heard = (usize, io::Result<Report>);

/// The connections to all ranks. Dropping them ends the ranks.
pub(crate) struct Links {
    ranks: Vec<Link>,
    heard: Receiver<Heard>,
    hear: Sender<Heard>,
}

/// The connection to one rank.
struct Link {
    /// Where it runs, for people.
    name: String,
    writer: Option<Box<dyn Write + Send>>,
    /// The rank's process, or ssh's. A rank that was started by hand ends when its connection does.
    child: Option<Child>,
}

impl Links {
    pub(crate) fn new() -> Self {
        let (hear, heard) = channel();
        Self { ranks: Vec::new(), heard, hear }
    }

    /// Adds the next rank.
    pub(crate) fn add(
        &mut self,
        name: &str,
        child: Option<Child>,
        mut reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<()> {
        let (rank, hear) = (self.ranks.len(), self.hear.clone());
        let listen = move || {
            loop {
                let report = frames::read(&mut reader);
                let is_last = report.is_err();
                if hear.send((rank, report)).is_err() || is_last {
                    return;
                }
            }
        };
        self.ranks.push(Link { name: name.to_owned(), writer: Some(Box::new(writer)), child });
        thread::Builder::new().name(format!("rank-{rank}")).spawn(listen)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// Which rank it is and where, for people.
    pub(crate) fn name(&self, rank: usize) -> String {
        format!("rank {rank} ({})", self.ranks[rank].name)
    }

    pub(crate) fn send(&mut self, rank: usize, frame: &[u8]) -> io::Result<()> {
        let writer = self.ranks[rank].writer.as_mut();
        frames::write(writer.ok_or(io::ErrorKind::NotConnected)?, frame)
    }

    /// Waits for what any rank says; `None` if none does for so long.
    pub(crate) fn next(&self, patience: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(patience) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("a sender is kept for ranks to come"),
        }
    }

    /// Why nothing more is heard of a rank.
    pub(crate) fn end_of(&mut self, rank: usize, error: &io::Error) -> String {
        let name = self.name(rank);
        let child = self.ranks[rank].child.as_mut().filter(|_| is_end(error));
        match child.and_then(status_of) {
            Some(status) => format!("{name} has ended: {status}"),
            None if is_end(error) => format!("{name} has ended"),
            None => format!("the connection to {name} is broken: {error}"),
        }
    }
}

/// How a process ended whose pipes have just been closed.
fn status_of(child: &mut Child) -> Option<ExitStatus> {
    // Its pipes are closed a moment earlier.
    (0..50).find_map(|_| {
        let status = child.try_wait().ok().flatten();
        if status.is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        status
    })
}

/// Whether a read or a write failed because there is nobody any more.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

impl Drop for Links {
    fn drop(&mut self) {
        // A rank ends when its input does, unless it is stopped. It may be in the middle of a step, and has nothing to lose.
        for link in &mut self.ranks {
            drop(link.writer.take());
            let _ = link.child.as_mut().map(Child::kill);
        }
        // All are told before one is waited for: the process may not have long itself.
        for child in self.ranks.iter_mut().filter_map(|it| it.child.as_mut()) {
            let _ = child.wait();
        }
    }
}
