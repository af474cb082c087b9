//! `runabout chat`: answers one message, or holds a conversation at a terminal.

mod answer;
mod command;
mod dialogue;
mod editor;
mod repl;

use std::io::{IsTerminal, Write};

use anyhow::Result;

use self::answer::answer;
use self::dialogue::Dialogue;
use self::repl::Repl;
use super::figures::Figures;
use super::input::text_or_stdin;
use super::session;
use super::show::tell_if_cut;
use crate::cli::ChatArgs;

pub(crate) async fn chat(mut args: ChatArgs) -> Result<()> {
    let message = match args.message.take() {
        Some(message) => text_or_stdin(message)?,
        None if std::io::stdin().is_terminal() => return Repl::start(args)?.run().await,
        // A pipe is one message, however many lines it has.
        None => text_or_stdin("-".to_owned())?,
    };
    let assistant = session::start(&args.model)?;
    let mut dialogue = Dialogue::new(args.system.take());
    dialogue.ask(message);
    session::show_loading(assistant.model()).await;
    let outcome = answer(&assistant, &dialogue, &args).await?;
    let figures = Figures::of(&outcome.finishes[0], assistant.model().engine().status().memory.peak_bytes);
    let end = if args.quiet { String::new() } else { format!("\n{}", figures.lines().trim_end()) };
    writeln!(std::io::stdout(), "{end}")?;
    tell_if_cut(&outcome.finishes[0]);
    Ok(())
}
