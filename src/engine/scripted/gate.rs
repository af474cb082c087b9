//! Holds a scripted model inside a step until the test lets it continue: [`Gate`].

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use super::recording::FedSpan;
use crate::model::StepError;

/// How long a test waits for a step before it fails. A test that passes does not wait that long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Holds a model at the beginning of each step. After it is dropped, the model runs freely.
#[derive(Debug)]
pub struct Gate {
    arrivals: Receiver<Vec<FedSpan>>,
    verdicts: Sender<Verdict>,
}

/// The model's side of a [`Gate`].
#[derive(Debug)]
pub(super) struct ModelGate {
    arrivals: Sender<Vec<FedSpan>>,
    verdicts: Receiver<Verdict>,
}

#[derive(Debug)]
enum Verdict {
    Go,
    Fail(String),
    Panic(String),
}

/// A gate, and the model's side of it.
pub(super) fn gate() -> (Gate, ModelGate) {
    let (arrive, arrivals) = channel();
    let (judge, verdicts) = channel();
    (Gate { arrivals, verdicts: judge }, ModelGate { arrivals: arrive, verdicts })
}

impl Gate {
    /// Waits until the model is inside a step, and returns what the step feeds. Panics if no step comes.
    pub fn arrived(&self) -> Vec<FedSpan> {
        self.arrivals.recv_timeout(TIMEOUT).expect("the engine takes a step")
    }

    /// Lets the step continue. The next one waits again.
    pub fn release(&self) {
        self.judge(Verdict::Go);
    }

    /// Makes the step fail.
    pub fn fail(&self, message: &str) {
        self.judge(Verdict::Fail(message.to_owned()));
    }

    /// Makes the model panic inside the step.
    pub fn panic(&self, message: &str) {
        self.judge(Verdict::Panic(message.to_owned()));
    }

    /// Waits for a step and lets it continue.
    pub fn pass(&self) -> Vec<FedSpan> {
        let fed = self.arrived();
        self.release();
        fed
    }

    fn judge(&self, verdict: Verdict) {
        self.verdicts.send(verdict).expect("the model waits at the gate");
    }
}

impl ModelGate {
    /// Waits for the test's verdict on a step.
    pub(super) fn pass(&self, fed: Vec<FedSpan>) -> Result<(), StepError> {
        // Without a gate the step continues.
        let _ = self.arrivals.send(fed);
        match self.verdicts.recv() {
            Ok(Verdict::Go) | Err(_) => Ok(()),
            Ok(Verdict::Fail(message)) => Err(StepError { message }),
            Ok(Verdict::Panic(message)) => panic!("{message}"),
        }
    }
}
