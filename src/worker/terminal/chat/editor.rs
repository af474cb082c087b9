//! The line editor at the prompt, by reedline: history, several lines, pasted text as one message.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use reedline::{
    EditCommand, Emacs, FileBackedHistory, KeyCode, KeyModifiers, Prompt, PromptEditMode,
    PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent, Signal, ValidationResult,
    Validator, default_emacs_keybindings,
};

use super::command::QUOTES;

/// Lines that the history keeps.
const HISTORY_LINES: usize = 1000;

/// Reads lines from the terminal.
pub(super) struct Editor(Reedline);

/// What was entered.
pub(super) enum Entry {
    Text(String),
    /// Ctrl-C, which only clears the line.
    Cleared,
    /// Ctrl-D on an empty line, or the end of the terminal.
    End,
}

impl Editor {
    /// `history` is the file of earlier lines; `None` keeps none.
    pub(super) fn new(history: Option<PathBuf>) -> Result<Self> {
        let mut keys = default_emacs_keybindings();
        let new_line = ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
        keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, new_line.clone());
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::Enter, new_line.clone());
        // Terminals that do not mark pasted text send its line ends like this.
        keys.add_binding(KeyModifiers::CONTROL, KeyCode::Char('j'), new_line);
        let mut editor = Reedline::create()
            .use_bracketed_paste(true)
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_validator(Box::new(SeveralLines));
        if let Some(path) = history {
            let file = FileBackedHistory::with_file(HISTORY_LINES, path.clone())
                .with_context(|| format!("cannot read the history `{}`", path.display()))?;
            editor = editor.with_history(Box::new(file));
        }
        Ok(Self(editor))
    }

    /// Blocks until something is entered.
    pub(super) fn read(&mut self) -> Result<Entry> {
        let signal = self.0.read_line(&Mark).context("cannot read from the terminal")?;
        // Kept even if the program is killed later.
        self.0.sync_history().context("cannot write the history")?;
        Ok(match signal {
            Signal::Success(text) => Entry::Text(text),
            Signal::CtrlD => Entry::End,
            _ => Entry::Cleared,
        })
    }
}

/// Waits for the end of a message that has one of its own: closing quotes, or the end of a block of code.
struct SeveralLines;

impl Validator for SeveralLines {
    fn validate(&self, text: &str) -> ValidationResult {
        let is_quoted = text.trim_start().starts_with(QUOTES) && text.matches(QUOTES).count() < 2;
        let n_fences = text.lines().filter(|it| it.trim_start().starts_with("```")).count();
        if is_quoted || n_fences % 2 == 1 { ValidationResult::Incomplete } else { ValidationResult::Complete }
    }
}

/// What stands before a line.
struct Mark;

impl Prompt for Mark {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "  ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failed =
            if matches!(search.status, PromptHistorySearchStatus::Failing) { "not found: " } else { "" };
        format!("({failed}{}) ", search.term).into()
    }
}
