//! The conversation at a terminal: reads messages and commands until the person leaves.
//!
//! Ctrl-C ends an answer, or the loading of another model, and never the program; Ctrl-D leaves. What goes wrong is said
//! and the conversation stays as it was.

use std::io::Write;
use std::path::Path;

use anyhow::{Result, bail};
use runabout_assist::{Assistant, Error, FinishReason, Model, Outcome};

use super::super::figures::Figures;
use super::super::session;
use super::super::show::CUT;
use super::answer::answer;
use super::command::{self, Command, Line};
use super::dialogue::Dialogue;
use super::editor::{Editor, Entry};
use crate::cli::ChatArgs;
use crate::state;

/// A conversation at a terminal.
pub(super) struct Repl {
    args: ChatArgs,
    assistant: Assistant,
    editor: Editor,
    dialogue: Dialogue,
    totals: Totals,
}

/// What all answers so far have cost.
#[derive(Default)]
struct Totals {
    n_answers: usize,
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    last: Option<Figures>,
}

impl Repl {
    pub(super) fn start(mut args: ChatArgs) -> Result<Self> {
        let history = if args.no_history { None } else { state::chat_history() };
        let editor = Editor::new(history)?;
        let assistant = session::start(&args.model)?;
        let dialogue = Dialogue::new(args.system.take());
        Ok(Self { args, assistant, editor, dialogue, totals: Totals::default() })
    }

    pub(super) async fn run(mut self) -> Result<()> {
        session::show_loading(self.assistant.model()).await;
        let model = self.assistant.model().ready().await.map_err(Error::from)?;
        say(&format!("{}; `/help` lists the commands, Ctrl-D leaves", model.facts.name))?;
        loop {
            // Nothing else needs this thread meanwhile: the engine has its own.
            let text = match self.editor.read()? {
                Entry::Text(text) => text,
                Entry::Cleared => continue,
                Entry::End => return Ok(()),
            };
            let result = match Line::parse(&text) {
                Line::Nothing => Ok(()),
                Line::Command(Command::Exit) => return Ok(()),
                Line::Message(message) => self.ask(message).await,
                Line::Command(command) => self.obey(command).await,
                Line::Mistake(mistake) => say(&mistake),
            };
            if let Err(error) = result {
                say(&format!("{error:#}"))?;
            }
        }
    }

    async fn ask(&mut self, message: String) -> Result<()> {
        self.dialogue.ask(message);
        let outcome = answer(&self.assistant, &self.dialogue, &self.args).await;
        writeln!(std::io::stdout(), "\n")?;
        let outcome = outcome.inspect_err(|_| self.dialogue.take_back())?;
        // An answer that was ended early counts: the person may ask the model to go on.
        self.dialogue.answered(&outcome.turn);
        self.totals.add(&outcome, &self.assistant);
        match outcome.finishes[0].reason {
            FinishReason::Length => say(CUT),
            FinishReason::Cancelled => say("(interrupted)"),
            _ => Ok(()),
        }
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Help => say(command::help().trim_end()),
            Command::Reset => {
                self.dialogue.reset();
                say("a new conversation")
            }
            Command::System(None) => {
                say(self.dialogue.system.as_deref().unwrap_or("there is no system prompt"))
            }
            Command::System(Some(text)) => {
                self.dialogue.system = Some(text).filter(|it| it != "-");
                Ok(())
            }
            Command::Model(None) => say(&self.model_name()),
            Command::Model(Some(model)) => self.change_model(model).await,
            Command::Stats => {
                let model = self.assistant.model().ready().await.map_err(Error::from)?;
                say(&self.totals.describe(&model))
            }
            Command::Save(path) => {
                self.dialogue.save(Path::new(&path), &self.model_name())?;
                say(&format!("{} messages written to `{path}`", self.dialogue.n_turns()))
            }
            Command::Load(path) => {
                self.dialogue = Dialogue::load(Path::new(&path))?;
                say(&format!("{} messages read from `{path}`", self.dialogue.n_turns()))
            }
            Command::Exit => Ok(()),
        }
    }

    fn model_name(&self) -> String {
        self.assistant.model().facts().map_or_else(|| self.args.model.model.clone(), |it| it.name.clone())
    }

    /// Changes to another model. If it cannot be loaded, the present one is loaded again: the two need not fit into
    /// memory together.
    async fn change_model(&mut self, model: String) -> Result<()> {
        let mut args = self.args.model.clone();
        args.model = model;
        // They are made for the present one.
        (args.draft_model, args.adapter) = (None, None);
        // A reference that cannot be parsed costs nothing.
        args.model.parse::<runabout_store::ModelRef>()?;
        self.stop().await;
        self.assistant = session::start(&args)?;
        match self.ready().await {
            Ok(model) => {
                self.args.model = args;
                say(&model.facts.name)
            }
            Err(error) => {
                self.stop().await;
                self.assistant = session::start(&self.args.model)?;
                let model = self.ready().await?;
                bail!("{error:#}\n{} is loaded again", model.facts.name)
            }
        }
    }

    /// Ends the present model and frees its memory.
    async fn stop(&self) {
        let engine = self.assistant.model().engine();
        engine.shutdown();
        tokio::select! {
            () = engine.stopped() => {}
            // A download cannot be ended, only left alone.
            _ = tokio::signal::ctrl_c() => {}
        }
    }

    async fn ready(&self) -> Result<Model> {
        let loaded = async {
            session::show_loading(self.assistant.model()).await;
            self.assistant.model().ready().await
        };
        tokio::select! {
            model = loaded => Ok(model.map_err(Error::from)?),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    }
}

impl Totals {
    fn add(&mut self, outcome: &Outcome, assistant: &Assistant) {
        let finish = &outcome.finishes[0];
        self.n_answers += 1;
        self.prompt_tokens += finish.usage.prompt_tokens;
        self.cached_tokens += finish.usage.cached_tokens;
        self.completion_tokens += finish.usage.completion_tokens;
        self.last = Some(Figures::of(finish, assistant.model().engine().status().memory.peak_bytes));
    }

    fn describe(&self, model: &Model) -> String {
        let Some(last) = &self.last else { return "no answers yet".to_owned() };
        let context = model.description.context_length;
        let used = last.prompt_tokens + last.generation_tokens;
        format!(
            "{} answers; {} prompt tokens, {} of them from the cache; {} tokens generated\nThe last answer:\n{}Context: {used} of {context} tokens",
            self.n_answers,
            self.prompt_tokens,
            self.cached_tokens,
            self.completion_tokens,
            last.lines(),
        )
    }
}

/// Tells the person something that is no answer of the model.
fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr(), "{text}")?)
}
