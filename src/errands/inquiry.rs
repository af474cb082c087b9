//! Asks, reads the answer, and asks once more if it has a fault: [`ask_twice`].

use runabout_assist::Message;

use crate::ask::{Asker, Form, Question};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::prompts;
use crate::room::Room;

/// A limit for the answer: some text may be added, such as docstrings.
const GROWTH_TOKENS: usize = 512;
/// The answers to one question: a second one, with the fault of the first one named.
const MAX_ATTEMPTS: u32 = 2;

/// What is asked, and what is expected of the answer.
pub(crate) struct Inquiry {
    pub(crate) messages: Vec<Message>,
    /// The tokens of the answer that is expected. It may have more, but must have room for these.
    pub(crate) n_answer: usize,
    pub(crate) form: Form,
    /// What the model is reminded of when it is asked again.
    pub(crate) reminder: &'static str,
}

/// Asks, and once more if `read` finds a fault in the answer.
pub(crate) async fn ask_twice<T>(
    asker: &Asker,
    inquiry: Inquiry,
    evidence: &mut Evidence,
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let Inquiry { mut messages, n_answer, form, reminder } = inquiry;
    let mut last = None;
    for attempt in 1..=MAX_ATTEMPTS {
        let room = match (Room::of(asker, &messages, n_answer).await, last) {
            (Ok(room), _) => room,
            // The second prompt has the first answer in it, and may not fit: then what was wrong with that one counts.
            (Err(Fault::TooLong { .. }), Some(fault)) | (Err(fault), _) => return Err(fault),
        };
        let max_tokens = room.n_answer.min(n_answer * 2 + GROWTH_TOKENS);
        let question = Question { messages: messages.clone(), max_tokens, attempt, form: form.clone() };
        let answer = asker.ask(question, evidence).await?;
        let said = answer.text.clone();
        match answer.complete().and_then(|it| read(&it)) {
            Ok(result) => return Ok(result),
            Err(fault) if attempt == MAX_ATTEMPTS || !fault.is_answers() => return Err(fault),
            Err(fault) => {
                messages.push(Message::assistant(said));
                messages.push(prompts::again(&fault, reminder));
                last = Some(fault);
            }
        }
    }
    Err(last.unwrap_or(Fault::NoAnswer))
}
