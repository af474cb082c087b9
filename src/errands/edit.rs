//! Changes files as an instruction says: [`Errands::edit_files`].
//!
//! Small models rewrite short code well and quote long code badly. So a short file is rewritten whole; a longer one in
//! pieces, each a definition that the instruction concerns; and where there is nothing to cut along, by
//! search-and-replace blocks. Whatever the form, what comes back is checked before it counts.

mod blocks;
mod pieces;

use std::sync::Arc;

use futures_util::future::join_all;
use runabout_files::{FilePath, Snapshot, unified_diff};

use crate::ask::{Asker, Form};
use crate::check::Source;
use crate::effort::Effort;
use crate::errand::{Errand, Errands};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::fenced::{code_of, has_fences};
use crate::formats;
use crate::inquiry::{Inquiry, ask_twice};
use crate::lines::{dedented, in_lf, indentation, indented, restored};
use crate::prompts;
use pieces::{Chosen, Piece, choose};

/// Up to this size, a file is rewritten as a whole. Longer ones cost more time than their pieces, and small models begin to
/// lose lines.
const MAX_WHOLE_BYTES: usize = 2_500;
/// The room that blocks must have, at least.
const BLOCK_TOKENS: usize = 512;

/// An instruction, and the files that it goes for, each by itself.
#[derive(Clone, Debug)]
pub struct EditFiles {
    pub instruction: String,
    pub files: Vec<Snapshot>,
    /// How the model is to answer; `None` decides for each file.
    pub form: Option<EditForm>,
    pub effort: Effort,
}

/// How the model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditForm {
    /// The whole file.
    Whole,
    /// The definitions that the instruction concerns, each by itself. The whole file, if there are none.
    Functions,
    /// Search-and-replace blocks.
    Blocks,
}

/// What became of one file.
#[derive(Clone, Debug)]
pub struct Edited {
    pub path: FilePath,
    pub outcome: EditOutcome,
    pub evidence: Evidence,
}

#[derive(Clone, Debug)]
pub enum EditOutcome {
    /// The file's new text, and its unified diff. Nothing is written.
    Changed {
        text: String,
        diff: String,
        /// Parts that stay as they were, since the answers for them had faults. Only of an instruction for all
        /// functions, each of which is a change of its own.
        left_out: Vec<LeftOut>,
    },
    /// The model was asked, and leaves the file as it is.
    Unchanged,
    Failed(Fault),
}

/// A part of a file that could not be changed.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The definition's name.
    pub name: String,
    pub fault: Fault,
}

/// A changed text, and the parts that are not changed.
type New = (String, Vec<LeftOut>);

impl Errands {
    /// Changes each file as the instruction says. The items are the files.
    pub fn edit_files(&self, request: EditFiles) -> Errand<Edited> {
        let EditFiles { instruction, files, form, effort } = request;
        let instruction: Arc<str> = instruction.trim().into();
        self.begin(effort, files, move |asker, file| edit(asker, Arc::clone(&instruction), file, form))
    }
}

async fn edit(asker: Asker, instruction: Arc<str>, file: Snapshot, form: Option<EditForm>) -> Edited {
    let mut evidence = Evidence::default();
    let path = file.path.clone();
    let source = Source::new(path.file_name(), in_lf(&file.text));
    let editor = Editor { asker, instruction, source, path: path.relative().to_owned() };
    let result = editor.edit(form, &mut evidence).await;
    let outcome = match result {
        Ok((text, left_out)) => {
            let text = restored(&file.text, &text);
            evidence.parse = editor.source.parse_check(&in_lf(&text));
            match unified_diff(path.relative(), Some(&file.text), &text) {
                diff if diff.is_empty() => EditOutcome::Unchanged,
                diff => EditOutcome::Changed { text, diff, left_out },
            }
        }
        Err(Fault::NothingChanged) => EditOutcome::Unchanged,
        Err(fault) => EditOutcome::Failed(fault),
    };
    Edited { path, outcome, evidence }
}

struct Editor {
    asker: Asker,
    instruction: Arc<str>,
    /// With `\n` only.
    source: Source,
    path: String,
}

impl Editor {
    async fn edit(&self, form: Option<EditForm>, evidence: &mut Evidence) -> Result<New, Fault> {
        let is_short = self.source.text.len() <= MAX_WHOLE_BYTES;
        let chosen = || choose(&self.source, &self.instruction);
        match form {
            Some(EditForm::Whole) => self.whole(evidence).await,
            Some(EditForm::Blocks) => self.blocks(evidence).await,
            Some(EditForm::Functions) => match chosen() {
                Some(chosen) => self.pieces(chosen, evidence).await,
                None => self.whole(evidence).await,
            },
            None if is_short => self.whole(evidence).await,
            None => match chosen() {
                Some(chosen) => self.pieces(chosen, evidence).await,
                None => self.blocks(evidence).await,
            },
        }
    }

    async fn whole(&self, evidence: &mut Evidence) -> Result<New, Fault> {
        let text = &self.source.text;
        let messages = prompts::whole_file(&self.instruction, &self.path, text);
        let n_answer = self.asker.n_tokens(text).await?;
        let reminder = "write the whole file in one code block.";
        let inquiry = Inquiry { messages, n_answer, form: self.code_form(text), reminder };
        let read = |answer: &str| {
            let changed = restored(text, &code_of(answer, text)?);
            self.checked(changed)
        };
        Ok((ask_twice(&self.asker, inquiry, evidence, read).await?, Vec::new()))
    }

    async fn blocks(&self, evidence: &mut Evidence) -> Result<New, Fault> {
        let text = &self.source.text;
        let messages = prompts::blocks(&self.instruction, &self.path, text);
        let reminder = "write SEARCH/REPLACE blocks.";
        let form = formats::blocks(text).map_or(Form::Free, Form::Helpful);
        let inquiry = Inquiry { messages, n_answer: BLOCK_TOKENS, form, reminder };
        let read = |answer: &str| {
            let changed = blocks::apply(text, &blocks::parse(answer)?)?;
            self.checked(changed)
        };
        Ok((ask_twice(&self.asker, inquiry, evidence, read).await?, Vec::new()))
    }

    /// Rewrites pieces of the file, all at once.
    async fn pieces(&self, chosen: Chosen, evidence: &mut Evidence) -> Result<New, Fault> {
        let Chosen { pieces, is_pass } = chosen;
        let answers = join_all(pieces.iter().map(|piece| async move {
            let mut evidence = Evidence::default();
            (self.piece(piece, &mut evidence).await, evidence)
        }));
        let mut text = self.source.text.clone();
        let mut left_out = Vec::new();
        let mut worst = None;
        // From the end, so that the ranges of those before stay right.
        for (piece, (result, of_piece)) in pieces.iter().zip(answers.await).rev() {
            evidence.merge(of_piece);
            match result {
                Ok(new) => text.replace_range(piece.range.clone(), &new),
                Err(Fault::NothingChanged) => {}
                Err(fault) if is_pass && fault.is_answers() => {
                    left_out.push(LeftOut { name: piece.name.clone(), fault });
                }
                Err(fault) => worst = Some(fault),
            }
        }
        left_out.reverse();
        if let Some(fault) = worst {
            return Err(fault);
        }
        if text == self.source.text {
            // If every part failed, so did the whole.
            return Err(left_out.pop().map_or(Fault::NothingChanged, |it| it.fault));
        }
        Ok((self.checked(text)?, left_out))
    }

    async fn piece(&self, piece: &Piece, evidence: &mut Evidence) -> Result<String, Fault> {
        let old = &self.source.text[piece.range.clone()];
        let margin = indentation(old);
        let shown = dedented(old);
        let messages = prompts::part(&self.instruction, &self.path, &piece.name, &shown);
        let n_answer = self.asker.n_tokens(old).await?;
        let reminder = "write this part in one code block.";
        let inquiry = Inquiry { messages, n_answer, form: self.code_form(&shown), reminder };
        let read = |answer: &str| {
            let code = dedented(&code_of(answer, &shown)?);
            let new = restored(old, &indented(&code, margin));
            let mut text = self.source.text.clone();
            text.replace_range(piece.range.clone(), &new);
            self.checked(text)?;
            Ok(new)
        };
        ask_twice(&self.asker, inquiry, evidence, read).await
    }

    /// The form of an answer that is one code block.
    fn code_form(&self, code: &str) -> Form {
        if has_fences(code) {
            return Form::Free;
        }
        Form::Helpful(formats::code_block(prompts::tag(&self.path)))
    }

    /// The changed text of the whole file, if it can be one.
    fn checked(&self, changed: String) -> Result<String, Fault> {
        if changed == self.source.text {
            return Err(Fault::NothingChanged);
        }
        self.source.check(&changed, &self.instruction)?;
        Ok(changed)
    }
}
