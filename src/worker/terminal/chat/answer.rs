//! Shows one answer as it comes: [`answer`].

use std::env;
use std::io::IsTerminal;

use anyhow::Result;
use runabout_assist::{Assistant, Outcome};

use super::super::markdown::Markdown;
use super::super::show::{Plain, follow};
use super::dialogue::Dialogue;
use crate::cli::ChatArgs;

/// Shows the answer to a dialogue as it comes, with styles on a terminal.
pub(super) async fn answer(assistant: &Assistant, dialogue: &Dialogue, args: &ChatArgs) -> Result<Outcome> {
    let run = assistant.chat(dialogue.request(args))?;
    let stdout = std::io::stdout();
    if !stdout.is_terminal() || !has_styles() {
        return follow(run, &mut Plain::new(stdout)).await;
    }
    let mut markdown = Markdown::new(stdout);
    let outcome = follow(run, &mut markdown).await;
    markdown.finish()?;
    outcome
}

/// Whether the person and the terminal take styles (no-color.org).
fn has_styles() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|it| !it.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|it| it != "dumb")
}
