//! The rank's end of its connection: [`Post`].

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use runabout_engine::LanguageModel;
use serde::Serialize;

use crate::frames;
use crate::message::{Command, OwnedSpan, Ready, Reply, Report, Setup, Welcome};

/// Where a rank gets its commands from, and where it reports.
pub struct Post {
    commands: Receiver<Command>,
    output: Output,
}

/// What both threads write to, a whole message at a time.
#[derive(Clone)]
struct Output(Arc<Mutex<Box<dyn Write + Send>>>);

/// Reads how this process becomes a rank: the first message, and not a byte more. The error says why not, if the other end
/// does.
pub fn read_setup(input: &mut impl Read) -> io::Result<Setup> {
    match frames::read_json(input)? {
        Welcome::Setup(setup) => Ok(*setup),
        Welcome::Refused(why) => Err(io::Error::other(why)),
    }
}

impl Post {
    /// Starts to read what follows the setup. `at_end` is called on a thread of its own when no more can come, perhaps in
    /// the middle of a step, in which the process may wait for other ranks without end: so it should end the process.
    pub fn open(
        mut input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        at_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let output = Output(Arc::new(Mutex::new(Box::new(output))));
        let pongs = output.clone();
        let (send, commands) = channel();
        let take_in = move || {
            loop {
                let goes_on = match frames::read(&mut input) {
                    Ok(Command::Ping) => pongs.write(&Report::Pong).is_ok(),
                    Ok(command) => send.send(command).is_ok(),
                    Err(error) => {
                        tracing::debug!(%error, "no more commands");
                        false
                    }
                };
                if !goes_on {
                    return at_end();
                }
            }
        };
        thread::Builder::new().name("commands".to_owned()).spawn(take_in)?;
        Ok(Self { commands, output })
    }

    /// Reports that this rank is connected with the others.
    pub fn joined(&self) -> io::Result<()> {
        self.output.write(&Report::Joined)
    }

    /// Reports that `done` of `total` bytes of the weights have been read.
    pub fn loading(&self, done: u64, total: u64) -> io::Result<()> {
        self.output.write(&Report::Loading { done, total })
    }

    /// Reports that this rank cannot take part.
    pub fn failed(&self, why: String) -> io::Result<()> {
        self.output.write(&Report::Failed(why))
    }

    /// Reports that this rank has its part of the model, and does with it what is asked until no more can come.
    pub fn obey(&self, ready: Ready, model: &mut dyn LanguageModel) -> io::Result<()> {
        self.output.write(&Report::Ready(Box::new(ready)))?;
        for command in &self.commands {
            self.output.write(&Report::Reply(execute(model, command)))?;
        }
        Ok(())
    }
}

impl Output {
    fn write(&self, message: &impl Serialize) -> io::Result<()> {
        let frame = frames::encode(message)?;
        frames::write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), &frame)
    }
}

fn execute(model: &mut dyn LanguageModel, command: Command) -> Reply {
    let result = match command {
        Command::OpenSlot => Ok(Reply::Slot(model.open_slot())),
        Command::ResumePoint { slot, n_tokens } => Ok(Reply::Count(model.resume_point(slot, n_tokens))),
        Command::Rewind { slot, n_tokens } => Ok(Reply::Count(model.rewind_slot(slot, n_tokens))),
        Command::DropCheckpoint { slot, n_tokens } => {
            model.drop_checkpoint(slot, n_tokens);
            Ok(Reply::Done)
        }
        Command::SlotRoom(slot) => Ok(Reply::Count(model.slot_room(slot))),
        Command::Fit(slot) => {
            model.fit_slot(slot);
            Ok(Reply::Done)
        }
        Command::Close(slot) => {
            model.close_slot(slot);
            Ok(Reply::Done)
        }
        Command::Copy { from, n_tokens } => model.copy_slot(from, n_tokens).map(Reply::Copy),
        Command::AppendShifted { slot, from, tokens } => {
            model.append_shifted(slot, from, tokens).map(|()| Reply::Done)
        }
        Command::DropTokens { slot, tokens } => model.drop_tokens(slot, tokens).map(|()| Reply::Done),
        Command::Step { spans } => {
            let spans: Vec<_> = spans.iter().map(OwnedSpan::borrow).collect();
            model.step(&spans).map(Reply::Sampled)
        }
        Command::Memory => Ok(Reply::Memory(model.memory())),
        // Answered as soon as it is read.
        Command::Ping => Ok(Reply::Done),
    };
    result.unwrap_or_else(|error| Reply::Failed(error.message))
}
