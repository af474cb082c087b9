//! `/edit`: changes the files that a person points at as an instruction says, each with the person's permission.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use agent_client_protocol_schema::v1::ToolKind;
use runabout_assist::Priority;
use runabout_errands::{EditFiles, EditOutcome, Edited, Effort, Errands, Event};
use serde_json::Value;

use super::agent::Agent;
use super::block::{self, Block};
use super::files::{self, Editable};
use super::record::Record;
use super::session::Session;
use super::step::Step;
use super::updates::Updates;
use super::wording;

/// What came of the command.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) steps: Vec<Value>,
    /// What was done, in words.
    pub(super) summary: String,
}

/// A file that is being changed.
struct Task {
    name: String,
    step: Step,
    file: Editable,
    /// Whether the person has allowed the change.
    is_writing: bool,
}

/// Changes the files of the prompt, or else those of the latest turn that had any. Ends early if the request is
/// cancelled; what was written stays written.
pub(super) async fn edit(
    agent: &Agent,
    session: &Session,
    blocks: &[Block],
    instruction: &str,
    updates: &Updates,
) -> Done {
    let paths = files_of(blocks).or_else(|| latest_files(&session.record())).unwrap_or_default();
    if instruction.trim().is_empty() || paths.is_empty() {
        let summary = "Write what is to be changed after `/edit`, and point at the files.".to_owned();
        return Done { summary, ..Done::default() };
    }
    let mut done = Done::default();
    let mut tasks = Vec::new();
    for path in paths {
        let name = wording::name(&path.display().to_string(), &session.cwd());
        let mut step = Step::begin(format!("Edit `{name}`"), ToolKind::Edit, path.to_str(), updates).await;
        let opened = tokio::select! {
            biased;
            _ = updates.request().cancelled() => Err("cancelled".to_owned()),
            opened = files::open(agent, session, &path) => opened,
        };
        match opened {
            Ok(file) => tasks.push(Task { name, step, file, is_writing: false }),
            Err(why) => {
                step.fail(&why, updates).await;
                done.steps.extend(step.to_replay());
                done.say(&format!("`{name}` cannot be changed: {why}."));
            }
        }
    }
    let mut errand = Errands::new(agent.client.assistant.clone()).edit_files(EditFiles {
        instruction: instruction.to_owned(),
        files: tasks.iter().map(|it| it.file.snapshot.clone()).collect(),
        form: None,
        effort: Effort { priority: Priority::Interactive, ..Effort::default() },
    });
    let mut is_cancelled = false;
    loop {
        let event = tokio::select! {
            event = errand.next() => event,
            _ = updates.request().cancelled(), if !is_cancelled => {
                is_cancelled = true;
                errand.cancel();
                continue;
            }
        };
        match event {
            Some(Event::Finished { item, result }) => {
                let Some(task) = tasks.get_mut(item) else { continue };
                let sentence = tokio::select! {
                    biased;
                    _ = updates.request().cancelled() => None,
                    sentence = settle(agent, session, task, result, updates) => Some(sentence),
                };
                if let Some(sentence) = sentence {
                    done.say(&sentence);
                } else {
                    let why = if task.is_writing { "cancelled while it was written" } else { "cancelled" };
                    task.step.fail(why, updates).await;
                }
                done.steps.extend(task.step.to_replay());
            }
            Some(Event::Progress(_)) => {}
            None => return done,
        }
    }
}

/// Shows what the model has made of a file, and writes it if the person allows that. Says what came of it.
async fn settle(
    agent: &Agent,
    session: &Session,
    task: &mut Task,
    edited: Edited,
    updates: &Updates,
) -> String {
    let Task { name, step, file, is_writing } = task;
    let (text, left_out) = match edited.outcome {
        EditOutcome::Changed { text, left_out, .. } => (text, left_out),
        EditOutcome::Unchanged => {
            step.complete(updates).await;
            return format!("The model leaves `{name}` as it is.");
        }
        EditOutcome::Failed(fault) => {
            let why = fault.to_string();
            step.fail(&why, updates).await;
            return format!("`{name}` is not changed: {why}.");
        }
    };
    step.propose(&file.path, &file.snapshot.text, &text, updates).await;
    let written = match files::is_allowed(agent, session, step).await {
        Ok(true) => {
            *is_writing = true;
            files::write(agent, session, file, &text).await
        }
        Ok(false) => Err("you did not allow it".to_owned()),
        Err(why) => Err(why),
    };
    if let Err(why) = written {
        step.fail(&why, updates).await;
        return format!("`{name}` is not changed: {why}.");
    }
    step.complete(updates).await;
    let mut sentence = format!("`{name}` is changed.");
    for part in left_out {
        let _ = write!(sentence, " In it, `{}` is not: {}.", part.name, part.fault);
    }
    sentence
}

impl Done {
    fn say(&mut self, sentence: &str) {
        if !self.summary.is_empty() {
            self.summary.push('\n');
        }
        self.summary.push_str(sentence);
    }
}

/// The files that blocks point at, each once; `None` if there are none.
fn files_of(blocks: &[Block]) -> Option<Vec<PathBuf>> {
    let uris = blocks.iter().filter_map(|it| match it {
        Block::Link { uri, .. } | Block::Resource { uri, .. } => Some(uri),
        Block::Text(_) => None,
    });
    let mut seen = HashSet::new();
    let paths: Vec<PathBuf> =
        uris.filter_map(|it| wording::file(it)).filter(|it| seen.insert(it.clone())).collect();
    (!paths.is_empty()).then_some(paths)
}

/// The files of the latest turn that points at any.
fn latest_files(record: &Record) -> Option<Vec<PathBuf>> {
    record.turns.iter().rev().find_map(|it| files_of(&block::read_all(&it.said).ok()?))
}
