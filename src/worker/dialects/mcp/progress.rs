//! Progress of a tool call, for a client that gave a token for it: [`Progress`].
//!
//! Clients give up on calls that are silent, so there is a report at least once a second, whatever the call waits for.
//! Each has a higher number than the one before, as MCP demands. There is none after the result, and none right before
//! it either, since the clients of one SDK lose what arrives together with the result.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runabout_assist::{LoadProgress, LoadStage, State};
use runabout_rpc::RequestContext;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::client::Client;

/// Calls that are done sooner need no report.
const FIRST: Duration = Duration::from_millis(250);
/// Well below a second, since a report may have to wait for a step of the model's.
const INTERVAL: Duration = Duration::from_millis(500);
/// The time between the last report and the result.
const GAP: Duration = Duration::from_millis(25);
/// How much of the latest text a report shows.
const MAX_TAIL_CHARS: usize = 60;
/// A report counts in units and thousandths of them; if nothing was done, it is one thousandth above the one before.
const PARTS: u64 = 1000;

/// How far a tool call is. Clones are of the same call.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
struct Stage {
    /// How many tokens of the prompt have been computed, of how many.
    prompt: Option<(u64, u64)>,
    /// How many pieces of text have been generated. Most are one token.
    n_pieces: u64,
    /// The most tokens that may be generated.
    most: u64,
    /// The end of the text so far.
    tail: String,
    /// For calls of several parts: how many are done, of how many, and what is being done.
    parts: Option<Parts>,
}

#[derive(Clone, Debug)]
struct Parts {
    done: u64,
    total: u64,
    what: String,
}

impl Progress {
    /// The most tokens that the call may generate.
    pub(super) fn expect(&self, most: u32) {
        self.stage().most = most.into();
    }

    /// `done` of the prompt's `total` tokens have been computed.
    pub(super) fn prompt(&self, done: usize, total: usize) {
        self.stage().prompt = Some((done as u64, total as u64));
    }

    /// More text has been generated.
    pub(super) fn text(&self, text: &str) {
        let mut stage = self.stage();
        stage.n_pieces += 1;
        stage.tail.push_str(text);
        let n_chars = stage.tail.chars().count();
        if n_chars > MAX_TAIL_CHARS {
            stage.tail = stage.tail.chars().skip(n_chars - MAX_TAIL_CHARS).collect();
        }
    }

    /// `done` of the call's `total` parts are done, and now `what` is.
    pub(super) fn parts(&self, done: usize, total: usize, what: impl Into<String>) {
        self.stage().parts = Some(Parts { done: done as u64, total: total as u64, what: what.into() });
    }

    /// What is being done.
    pub(super) fn message(&self, client: &Client) -> String {
        self.stage().message(client)
    }

    /// Does `work`, and tells the client meanwhile, if it gave a token.
    pub(super) async fn reported<T>(
        &self,
        client: &Client,
        request: &RequestContext,
        token: Option<&RawValue>,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(token) = token else { return work.await };
        let mut work = std::pin::pin!(work);
        let mut ticks = interval_at(Instant::now() + FIRST, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latest = 0;
        let mut reported: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    if let Some(reported) = reported {
                        sleep_until(reported + GAP).await;
                    }
                    return result;
                }
                _ = ticks.tick() => {
                    let params = self.report(client, token, &mut latest);
                    // Dropped if the queue is full, since only the latest matters, or if the client has withdrawn the
                    // request.
                    let _ = request.try_notify("notifications/progress", &params);
                    reported = Some(Instant::now());
                }
            }
        }
    }

    /// The params of the next report. `latest` is the number of the one before, in thousandths.
    fn report(&self, client: &Client, token: &RawValue, latest: &mut u64) -> Value {
        let stage = self.stage();
        *latest = (stage.done() * PARTS).max(*latest + 1);
        // What MCP counts are numbers of its own; integers stay exact.
        let mut report = json!({"progressToken": token, "progress": *latest as f64 / PARTS as f64});
        if let Some(total) = stage.total() {
            report["total"] = total.max(latest.div_ceil(PARTS)).into();
        }
        report["message"] = stage.message(client).into();
        report
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // No code can panic in the middle of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn done(&self) -> u64 {
        match &self.parts {
            Some(parts) => parts.done,
            None => self.prompt.map_or(0, |it| it.0) + self.n_pieces,
        }
    }

    fn total(&self) -> Option<u64> {
        match &self.parts {
            Some(parts) => Some(parts.total),
            None if self.n_pieces > 0 => Some(self.prompt.map_or(0, |it| it.1) + self.most),
            None => self.prompt.map(|it| it.1 + self.most),
        }
    }

    fn message(&self, client: &Client) -> String {
        let engine = client.app.model().engine();
        if let State::Loading(progress) = engine.state() {
            return loading(&client.app.model_name(), progress);
        }
        let rate = || {
            let rate = engine.status().speed.decode_tokens_per_second;
            rate.map(|it| format!(" ({it:.0} tokens/s)")).unwrap_or_default()
        };
        match self {
            Self { parts: Some(Parts { done, total, what }), .. } => {
                format!("{done} of {total} done, now {what}{}", rate())
            }
            Self { n_pieces, tail, .. } if *n_pieces > 0 => {
                format!("about {n_pieces} tokens{}: …{}", rate(), tail.replace(['\n', '\r', '\t'], " "))
            }
            Self { prompt: Some((done, total)), .. } => {
                format!("reading the prompt: {done} of {total} tokens")
            }
            _ => match engine.status().n_waiting {
                0 => "started".to_owned(),
                n_waiting => format!("waiting in a queue of {n_waiting}"),
            },
        }
    }
}

fn loading(model: &str, progress: LoadProgress) -> String {
    let LoadProgress { stage, done, total } = progress;
    let stage = match stage {
        LoadStage::Download => "downloading",
        LoadStage::Load => "loading",
    };
    match (done * 100).checked_div(total) {
        Some(percentage) => format!("{stage} {model}: {percentage} %"),
        None => format!("{stage} {model}"),
    }
}
