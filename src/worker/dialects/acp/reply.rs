//! Follows a run and tells the client its text, thoughts apart from the answer: [`follow`].

use agent_client_protocol_schema::v1::SessionUpdate;
use runabout_assist::{Error, FinishReason, Run, Update, Usage};

use super::updates::{Updates, id, message};
use crate::dialects::following::Following;

/// What the model said.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) thought: String,
    pub(super) answer: String,
    pub(super) reason: FinishReason,
    pub(super) usage: Usage,
}

/// Tells the client what the model says, to the end or until the request is cancelled.
pub(super) async fn follow(run: Run, updates: &Updates) -> Result<Reply, Error> {
    let mut run = Following::new(run, updates.request());
    // The identifiers of both messages.
    let (thought, answer) = (id(), id());
    loop {
        let update = match run.next().await? {
            Update::Prefill { .. } => continue,
            Update::Reasoning { text } => SessionUpdate::AgentThoughtChunk(message(&text, &thought)),
            Update::Text { text, .. } => SessionUpdate::AgentMessageChunk(message(&text, &answer)),
            Update::Done(mut outcome) => {
                let finish = outcome.finishes.swap_remove(0);
                let (thought, answer) = (outcome.turn.reasoning, finish.text);
                return Ok(Reply { thought, answer, reason: finish.reason, usage: finish.usage });
            }
        };
        updates.send(update).await;
    }
}
