//! A model in several ranks, as the engine uses it: [`RankedModel`].

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::panic;
use std::time::{Duration, Instant};

use runabout_engine::LanguageModel;
use runabout_engine::model::{MemoryUse, ModelDescription, Sampled, SlotCopy, SlotId, Span, StepError};

use crate::frames;
use crate::link::Links;
use crate::message::{Command, OwnedSpan, Ready, Reply, Report};

/// A rank that has not answered for a tenth of this time is asked whether it still runs.
const PINGS: u32 = 10;
/// A rank that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// How old the memory use may be that is told without asking.
const MEMORY_AGE: Duration = Duration::from_millis(500);

/// A model whose layers are divided among processes. Each call goes to all of them.
///
/// If one of them ends, or says something else than the others, the model is lost. Then a call panics, as a model of the
/// engine does that cannot go on: every job is answered, and the process ends. There is no message of a panic on stderr.
pub struct RankedModel {
    description: ModelDescription,
    ranks: RefCell<Ranks>,
    /// Rank 0's memory use, and when it was that. The engine wants to know it twice for each step.
    memory: Cell<Option<(Instant, MemoryUse)>>,
}

struct Ranks {
    links: Links,
    /// How long a rank may say nothing.
    silence: Duration,
    /// When each was last heard, or else asked.
    heard: Vec<Instant>,
}

impl RankedModel {
    /// `ready` is what each rank has said; there is at least one.
    pub(crate) fn new(links: Links, ready: Vec<Ready>) -> Self {
        let n_ranks = ready.len();
        let mut all = ready.into_iter().map(|it| it.description);
        let mut description = all.next().expect("there is a rank 0");
        for other in all {
            // What bounds memory must hold on each machine.
            description.weights_bytes = description.weights_bytes.max(other.weights_bytes);
            let (cost, other_cost) = (&mut description.slot_cost, other.slot_cost);
            cost.fixed_bytes = cost.fixed_bytes.max(other_cost.fixed_bytes);
            cost.bytes_per_token = cost.bytes_per_token.max(other_cost.bytes_per_token);
            let (cost, other_cost) = (&mut description.step_cost, other.step_cost);
            cost.fixed_bytes = cost.fixed_bytes.max(other_cost.fixed_bytes);
            cost.bytes_per_token = cost.bytes_per_token.max(other_cost.bytes_per_token);
            cost.bytes_per_draw = cost.bytes_per_draw.max(other_cost.bytes_per_draw);
        }
        description.device = format!("{}, {n_ranks} ranks", description.device);
        let heard = vec![Instant::now(); n_ranks];
        let ranks = RefCell::new(Ranks { links, silence: SILENCE, heard });
        Self { description, ranks, memory: Cell::new(None) }
    }

    /// The same, with another time that a rank may say nothing.
    #[cfg(test)]
    pub(crate) fn with_silence(self, silence: Duration) -> Self {
        self.ranks.borrow_mut().silence = silence;
        self
    }

    /// What all ranks answer.
    fn all(&self, command: &Command) -> Reply {
        let mut ranks = self.ranks.borrow_mut();
        let all = 0..ranks.links.len();
        ranks.tell(all.clone(), command);
        let replies = ranks.replies(all);
        ranks.agreed(replies)
    }

    /// What rank 0 answers, for questions that change nothing.
    fn first(&self, question: &Command) -> Reply {
        let mut ranks = self.ranks.borrow_mut();
        ranks.tell(0..1, question);
        ranks.replies(0..1).remove(0)
    }
}

impl Ranks {
    fn tell(&mut self, to: Range<usize>, command: &Command) {
        let frame =
            frames::encode(command).unwrap_or_else(|error| lost(format!("a step cannot be sent: {error}")));
        for rank in to {
            self.heard[rank] = Instant::now();
            if let Err(error) = self.links.send(rank, &frame) {
                let why = self.links.end_of(rank, &error);
                lost(why);
            }
        }
    }

    /// The replies of these ranks, in their order.
    fn replies(&mut self, of: Range<usize>) -> Vec<Reply> {
        let mut replies: Vec<Option<Reply>> = of.clone().map(|_| None).collect();
        while replies.iter().any(Option::is_none) {
            match self.links.next(self.silence / PINGS) {
                Some((rank, Ok(report))) => {
                    self.heard[rank] = Instant::now();
                    if let (Report::Reply(reply), Some(place)) = (report, replies.get_mut(rank - of.start)) {
                        *place = Some(reply);
                    }
                }
                Some((rank, Err(error))) => {
                    let why = self.links.end_of(rank, &error);
                    lost(why);
                }
                None => {
                    self.give_up_on(&replies, of.start);
                    let silent = of.clone().filter(|it| replies[it - of.start].is_none());
                    self.look_after(silent.collect());
                }
            }
        }
        replies.into_iter().flatten().collect()
    }

    /// If one rank has failed, the others may wait for it without end.
    fn give_up_on(&self, replies: &[Option<Reply>], first: usize) {
        for (rank, reply) in (first..).zip(replies) {
            if let Some(Reply::Failed(message)) = reply
                && self.heard[rank].elapsed() > self.silence
            {
                lost(format!("{} failed: {message}", self.links.name(rank)));
            }
        }
    }

    /// Asks ranks that owe a reply whether they still run.
    fn look_after(&mut self, silent: Vec<usize>) {
        for rank in silent {
            if self.heard[rank].elapsed() > self.silence {
                lost(format!(
                    "{} has not answered for {} seconds",
                    self.links.name(rank),
                    self.silence.as_secs()
                ));
            }
            let sent = frames::encode(&Command::Ping).and_then(|frame| self.links.send(rank, &frame));
            if let Err(error) = sent {
                let why = self.links.end_of(rank, &error);
                lost(why);
            }
        }
    }

    /// The first of the replies, if the others are the same, apart from what only rank 0 knows.
    fn agreed(&mut self, mut replies: Vec<Reply>) -> Reply {
        let first = replies.remove(0);
        for (rank, other) in (1..).zip(replies) {
            let agrees = match (&first, &other) {
                (Reply::Sampled(first), Reply::Sampled(other)) => {
                    let tokens = |it: &[Vec<Sampled>]| -> Vec<Vec<u32>> {
                        it.iter().map(|it| it.iter().map(|it| it.token).collect()).collect()
                    };
                    tokens(first) == tokens(other)
                }
                // Not necessarily in the same words.
                (Reply::Failed(_), Reply::Failed(_)) => true,
                _ => first == other,
            };
            if agrees {
                continue;
            }
            // What one rank cannot do is often the end of another one.
            self.notice_an_end();
            lost(match (&first, &other) {
                (Reply::Failed(message), _) => format!("{} failed: {message}", self.links.name(0)),
                (_, Reply::Failed(message)) => format!("{} failed: {message}", self.links.name(rank)),
                _ => format!("{} does not agree with rank 0: {other:?}, {first:?}", self.links.name(rank)),
            });
        }
        first
    }

    /// If a rank has ended meanwhile, the model is lost.
    fn notice_an_end(&mut self) {
        while let Some((rank, heard)) = self.links.next(Duration::from_millis(100)) {
            if let Err(error) = heard {
                let why = self.links.end_of(rank, &error);
                lost(why);
            }
        }
    }
}

/// Ends the model.
fn lost(why: String) -> ! {
    panic::resume_unwind(Box::new(why))
}

fn unexpected(reply: &Reply) -> ! {
    lost(format!("a rank gave the wrong kind of reply: {reply:?}"))
}

/// Of calls without a result. A rank has no reason to fail in them.
fn done(reply: &Reply) {
    match reply {
        Reply::Done => {}
        Reply::Failed(message) => lost(format!("the ranks failed: {message}")),
        other => unexpected(other),
    }
}

fn count(reply: &Reply) -> usize {
    match reply {
        Reply::Count(n) => *n,
        other => unexpected(other),
    }
}

/// Of calls that may fail.
fn result(reply: Reply) -> Result<Reply, StepError> {
    match reply {
        Reply::Failed(message) => Err(StepError { message }),
        reply => Ok(reply),
    }
}

impl LanguageModel for RankedModel {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        match self.all(&Command::OpenSlot) {
            Reply::Slot(slot) => slot,
            other => unexpected(&other),
        }
    }

    fn resume_point(&self, slot: SlotId, n_tokens: usize) -> usize {
        count(&self.first(&Command::ResumePoint { slot, n_tokens }))
    }

    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize {
        count(&self.all(&Command::Rewind { slot, n_tokens }))
    }

    fn drop_checkpoint(&mut self, slot: SlotId, n_tokens: usize) {
        done(&self.all(&Command::DropCheckpoint { slot, n_tokens }));
    }

    fn slot_room(&self, slot: SlotId) -> usize {
        count(&self.first(&Command::SlotRoom(slot)))
    }

    fn fit_slot(&mut self, slot: SlotId) {
        done(&self.all(&Command::Fit(slot)));
    }

    fn close_slot(&mut self, slot: SlotId) {
        done(&self.all(&Command::Close(slot)));
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotCopy, StepError> {
        match result(self.all(&Command::Copy { from, n_tokens }))? {
            Reply::Copy(copy) => Ok(copy),
            other => unexpected(&other),
        }
    }

    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        result(self.all(&Command::AppendShifted { slot, from, tokens })).map(|it| done(&it))
    }

    fn drop_tokens(&mut self, slot: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        result(self.all(&Command::DropTokens { slot, tokens })).map(|it| done(&it))
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        let mut ranks = self.ranks.borrow_mut();
        let n = ranks.links.len();
        ranks.tell(0..1, &Command::Step { spans: spans.iter().map(OwnedSpan::with_draws).collect() });
        ranks.tell(1..n, &Command::Step { spans: spans.iter().map(OwnedSpan::without_draws).collect() });
        let replies = ranks.replies(0..n);
        match ranks.agreed(replies) {
            Reply::Sampled(sampled) => Ok(sampled),
            // They may have stopped at different places, and the next step would begin where none of them is.
            Reply::Failed(message) => {
                ranks.notice_an_end();
                lost(format!("a step failed in all ranks: {message}"))
            }
            other => unexpected(&other),
        }
    }

    fn memory(&self) -> MemoryUse {
        if let Some((when, memory)) = self.memory.get()
            && when.elapsed() < MEMORY_AGE
        {
            return memory;
        }
        match self.first(&Command::Memory) {
            Reply::Memory(memory) => {
                self.memory.set(Some((Instant::now(), memory)));
                memory
            }
            other => unexpected(&other),
        }
    }
}
