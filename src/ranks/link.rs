//! The leading process's connections to the ranks: [`Links`].

use std::io::{self, Read, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::frames;
use crate::message::Report;

/// What was heard of a rank. After an error, nothing more is.
pub(crate) type Heard = (usize, io::Result<Report>);

/// The connections to all ranks.
pub(crate) struct Links {
    links: Vec<Link>,
    heard: Receiver<Heard>,
    hear: Sender<Heard>,
}

/// The connection to one rank. Dropping it ends the rank.
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
        Self { links: Vec::new(), heard, hear }
    }

    /// Adds the next rank.
    pub(crate) fn add(
        &mut self,
        name: &str,
        child: Option<Child>,
        mut reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<()> {
        let (rank, hear) = (self.links.len(), self.hear.clone());
        let listen = move || {
            loop {
                let report = frames::read(&mut reader);
                let is_last = report.is_err();
                if hear.send((rank, report)).is_err() || is_last {
                    return;
                }
            }
        };
        self.links.push(Link { name: name.to_owned(), writer: Some(Box::new(writer)), child });
        thread::Builder::new().name(format!("rank-{rank}")).spawn(listen)?;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Which rank it is and where, for people.
    pub(crate) fn name(&self, rank: usize) -> String {
        format!("rank {rank} ({})", self.links[rank].name)
    }

    pub(crate) fn send(&mut self, rank: usize, frame: &[u8]) -> io::Result<()> {
        let writer = self.links[rank].writer.as_mut();
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
        match self.links[rank].child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => format!("{name} has ended: {status}"),
            _ if error.kind() == io::ErrorKind::UnexpectedEof => format!("{name} has ended"),
            _ => format!("the connection to {name} is broken: {error}"),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A rank ends when its input does.
        drop(self.writer.take());
        if let Some(child) = &mut self.child {
            // It may be in the middle of a step. It has nothing to lose.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
