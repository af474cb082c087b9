//! The entry point of this crate: [`Assistant`] takes the requests of one client, checks them and begins their runs.

use std::sync::Arc;

use runabout_engine::{ClientId, Priority};
use runabout_text::{Message, TemplateVariables, TokenId};
use serde_json::Value;

use crate::completion::Completion;
use crate::conversation::{self, Conversation};
use crate::documents::{Documents, Newest};
use crate::encoding::encode;
use crate::error::Error;
use crate::generation::Limits;
use crate::held::HeldTexts;
use crate::model::ModelHandle;
use crate::next_edit::{NextEdit, NextEditReader};
use crate::run::{Accepted, Run};

/// The model, as one client uses it. Clones serve the same client.
#[derive(Clone, Debug)]
pub struct Assistant {
    client: ClientId,
    model: ModelHandle,
    held: Arc<HeldTexts>,
    limits: Limits,
    documents: Arc<Documents>,
}

/// A request whose prompt is to be computed into the cache, so that the request itself starts sooner.
#[derive(Clone, Debug)]
pub enum Warm {
    Completion(Completion),
    Conversation(Conversation),
}

/// A text or conversation whose tokens are to be counted.
#[derive(Clone, Debug)]
pub enum Tokenize {
    Text(String),
    /// The prompt of a conversation, including the start of the assistant's turn.
    Conversation {
        messages: Vec<Message>,
        /// As in [`crate::ToolUse::tools`].
        tools: Vec<Value>,
        template_variables: TemplateVariables,
    },
}

impl Assistant {
    pub fn new(model: ModelHandle, held: Arc<HeldTexts>, limits: Limits) -> Self {
        Self { client: ClientId::new(), model, held, limits, documents: Arc::default() }
    }

    /// The same model for another client, with its own documents and limits, and its own share of the engine.
    #[must_use]
    pub fn for_another_client(&self) -> Self {
        let held = Arc::new(self.held.for_another_client());
        Self { client: ClientId::new(), held, documents: Arc::default(), ..self.clone() }
    }

    pub fn model(&self) -> &ModelHandle {
        &self.model
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn held(&self) -> &HeldTexts {
        &self.held
    }

    /// Begins a completion. The order of calls decides which completion of a document is the newest.
    pub fn complete(&self, request: Completion) -> Result<Run, Error> {
        request.check(&self.limits)?;
        let newest = self.documents.register(&request);
        self.begin_completion(request, newest)
    }

    /// Begins a completion that will probably be asked for next in its document. It supersedes no completion but an
    /// earlier one of this kind; if it is asked for, that completion continues it.
    pub fn complete_ahead(&self, request: Completion) -> Result<Run, Error> {
        request.check(&self.limits)?;
        let newest = self.documents.register_ahead(&request);
        self.begin_completion(request, newest)
    }

    /// Begins to predict the next edit of a document. Its outcome is text for the reader, which says what it changes.
    pub fn next_edit(&self, request: NextEdit) -> Result<(Run, NextEditReader), Error> {
        request.check(&self.limits)?;
        let n_bytes = request.n_bytes();
        let accepted = Accepted {
            client: self.client,
            generation: request.generation.clone(),
            n_choices: 1,
            min_confidence: None,
            // Completions of the same document have other prompts.
            document: request.path.as_ref().map(|it| format!("next edit of {it}")),
            newest: None,
            n_bytes,
            held: self.held.hold(n_bytes)?,
        };
        let reader = NextEditReader::of(&request);
        let planned = reader.clone();
        let run = Run::begin(&self.model, accepted, move |model| planned.plan(&request, model));
        Ok((run, reader))
    }

    /// Begins the assistant's next turn of a conversation.
    pub fn chat(&self, request: Conversation) -> Result<Run, Error> {
        request.check(&self.limits)?;
        let n_bytes = request.n_bytes();
        let accepted = Accepted {
            client: self.client,
            generation: request.generation.clone(),
            n_choices: 1,
            min_confidence: None,
            document: None,
            newest: None,
            n_bytes,
            held: self.held.hold(n_bytes)?,
        };
        Ok(Run::begin(&self.model, accepted, move |model| request.prompt(model)))
    }

    /// Begins to compute a prompt into the cache. No running completion is superseded.
    pub fn warm(&self, request: Warm) -> Result<Run, Error> {
        let run = match request {
            Warm::Conversation(request) => self.chat(request)?,
            Warm::Completion(request) => {
                request.check(&self.limits)?;
                // All choices have the same prompt.
                self.begin_completion(Completion { n_choices: 1, ..request }, None)?
            }
        };
        Ok(run.prefill_only())
    }

    fn begin_completion(&self, request: Completion, newest: Option<Newest>) -> Result<Run, Error> {
        let n_bytes = request.n_bytes();
        let accepted = Accepted {
            client: self.client,
            generation: request.generation.clone(),
            n_choices: request.n_choices,
            min_confidence: (request.min_confidence > 0.0).then_some(request.min_confidence),
            // A newer prompt of the same document, or else of the same file, replaces this one in the engine's cache.
            document: request.document.clone().or_else(|| request.path.clone()),
            newest,
            n_bytes,
            held: self.held.hold(n_bytes)?,
        };
        Ok(Run::begin(&self.model, accepted, move |model| request.prompt(model)))
    }

    /// Encodes a text or a conversation as background work. Dropping the future ends the work.
    pub async fn tokenize(&self, request: Tokenize) -> Result<Vec<TokenId>, Error> {
        let n_bytes = match &request {
            Tokenize::Text(text) => text.len(),
            Tokenize::Conversation { messages, tools, template_variables } => {
                conversation::check_messages(messages)?;
                conversation::request(messages, tools, template_variables).n_bytes()
            }
        };
        let _held = self.held.hold(n_bytes)?;
        let model = self.model.ready().await?;
        encode(Priority::Background, n_bytes, move || {
            let tokenizer = &model.facts.tokenizer;
            Ok(match request {
                Tokenize::Text(text) => tokenizer.encode_text(&text),
                Tokenize::Conversation { messages, tools, template_variables } => {
                    conversation::check_tools(&tools, tokenizer)?;
                    tokenizer.encode_chat(&conversation::request(&messages, &tools, &template_variables))?
                }
            })
        })
        .await
    }
}
