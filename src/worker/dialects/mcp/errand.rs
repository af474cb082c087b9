//! Follows an errand over several files to its end, which keeps the call's progress up to date; and what the tools for
//! errands have in common.

use std::time::Duration;

use runabout_assist::Priority;
use runabout_errands::{Effort, Errand, Errands, Event, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::tool::Call;

/// How much each answer of the model may cost.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Limits {
    /// The most tokens that the model writes for one file.
    #[schemars(range(min = 1))]
    pub(super) max_tokens: Option<u32>,
    /// After this time the answer for a file ends, and counts as cut off.
    #[schemars(range(min = 0.001))]
    pub(super) time_limit_seconds: Option<f64>,
    /// The same seed gives the same answers.
    pub(super) seed: Option<u64>,
}

/// Why there is nothing for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Fault {
    /// A short name of the reason, such as `cut_off`, `does_not_parse` or `cancelled`.
    pub(super) code: String,
    pub(super) message: String,
}

impl From<runabout_errands::Fault> for Fault {
    fn from(fault: runabout_errands::Fault) -> Self {
        Self { code: fault.name().to_owned(), message: fault.to_string() }
    }
}

impl Limits {
    pub(super) fn effort(self) -> Result<Effort, Failure> {
        let time_budget = self.time_limit_seconds.map(time_limit).transpose()?;
        Ok(Effort {
            max_tokens: self.max_tokens,
            time_budget,
            priority: Priority::Background,
            seed: self.seed,
            ..Effort::default()
        })
    }
}

/// A time limit in seconds, at least a millisecond.
pub(super) fn time_limit(seconds: f64) -> Result<Duration, Failure> {
    let limit = Duration::try_from_secs_f64(seconds).ok().filter(|it| it.as_millis() > 0);
    limit.ok_or_else(|| Failure::argument("time_limit_seconds", "must be at least 0.001"))
}

/// The errands of this call's model.
pub(super) fn errands(call: &Call) -> Errands {
    Errands::new(call.assistant().clone())
}

/// Follows the errand to its end, and returns its items in the order of `names`, which are those of the files. If the
/// request is cancelled, the errand ends early, and what was not done says so.
pub(super) async fn finish<T>(
    mut errand: Errand<T>,
    names: &[String],
    call: &Call,
) -> Result<Vec<T>, Failure> {
    let mut items: Vec<Option<T>> = names.iter().map(|_| None).collect();
    let mut n_done = 0;
    let mut is_cancelled = false;
    let name = |idx: usize| names.get(idx).map_or("", String::as_str);
    if let Some(first) = names.first() {
        call.progress.parts(0, names.len(), first);
    }
    loop {
        let event = tokio::select! {
            event = errand.next() => event,
            () = call.given_up(), if !is_cancelled => {
                is_cancelled = true;
                errand.cancel();
                continue;
            }
        };
        match event {
            Some(Event::Progress(progress)) => {
                let what = match progress.stage {
                    Stage::Prompt { done, total } => {
                        format!("{}: reading, {done} of {total} tokens", name(progress.item))
                    }
                    Stage::Answer { .. } => {
                        format!("{}: about {} tokens", name(progress.item), progress.n_tokens)
                    }
                };
                call.progress.parts(n_done, names.len(), what);
            }
            Some(Event::Finished { item, result }) => {
                n_done += 1;
                call.progress.parts(n_done, names.len(), name(item));
                if let Some(place) = items.get_mut(item) {
                    *place = Some(result);
                }
            }
            None => break,
        }
    }
    items
        .into_iter()
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::new("the errand ended without all of its results"))
}
