//! Follows a run and tells the client its text, thoughts apart from the answer: [`follow`].

use agent_client_protocol_schema::v1::SessionUpdate;
use runabout_assist::{Error, Facts, FinishReason, Message, Run, TemplateVariables, Update, Usage};
use runabout_text::ChatRequest;

use super::thoughts::{Piece, Thoughts};
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
pub(super) async fn follow(run: Run, facts: &Facts, updates: &Updates) -> Result<Reply, Error> {
    let mut run = Following::new(run, updates.request());
    let mut thoughts = Thoughts::new(begins_thinking(facts));
    let mut told = Told { thought: String::new(), answer: String::new(), ids: (id(), id()) };
    loop {
        match run.next().await? {
            Update::Prefill { .. } => {}
            Update::Text { text, .. } => told.tell(thoughts.push(&text), updates).await,
            Update::Done(mut outcome) => {
                told.tell(thoughts.finish(), updates).await;
                let finish = outcome.finishes.swap_remove(0);
                let Told { thought, answer, .. } = told;
                return Ok(Reply { thought, answer, reason: finish.reason, usage: finish.usage });
            }
        }
    }
}

/// What was told so far.
struct Told {
    thought: String,
    answer: String,
    /// The identifiers of both messages.
    ids: (String, String),
}

impl Told {
    async fn tell(&mut self, pieces: Vec<Piece>, updates: &Updates) {
        for piece in pieces {
            let update = match piece {
                Piece::Thought(text) => {
                    self.thought.push_str(&text);
                    SessionUpdate::AgentThoughtChunk(message(&text, &self.ids.0))
                }
                Piece::Answer(text) => {
                    self.answer.push_str(&text);
                    SessionUpdate::AgentMessageChunk(message(&text, &self.ids.1))
                }
            };
            updates.send(update).await;
        }
    }
}

/// Whether the model's template begins each of its turns with the tag that opens its thoughts.
fn begins_thinking(facts: &Facts) -> bool {
    let request = ChatRequest {
        messages: &[Message::user("?")],
        tools: &[],
        kwargs: &TemplateVariables::new(),
        add_generation_prompt: true,
    };
    facts.tokenizer.render_chat(&request).is_ok_and(|it| it.trim_end().ends_with("<think>"))
}
