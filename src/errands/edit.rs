//! Changes files as an instruction says: [`Errands::edit_files`].
//!
//! Small models write what is new well, and copy what is old badly. So as little as possible is left to them. Names are
//! changed by a grammar and no model; of documentation and type hints, the model writes only the words and the types,
//! and a grammar tells their places. Other edits are rewritten in pieces, each a definition that the instruction concerns, or
//! as a whole if the file is short, in a form in which only a few lines can change; and where there is nothing to cut
//! along, by search-and-replace blocks. Whatever the form, what comes back is checked before it counts.

mod blocks;
mod docs;
mod hints;
mod insertion;
mod instruction;
mod pieces;
mod pinned;
mod rename;

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
use docs::Undocumented;
use hints::Untyped;
use insertion::{Insertion, inserted};
use instruction::has_word;
use pieces::{Chosen, Piece, choose};
use pinned::Allowed;
use rename::Renaming;

/// Up to this size, a file is rewritten as a whole. Longer ones cost more time than their pieces, and small models begin to
/// lose lines.
const MAX_WHOLE_BYTES: usize = 2_500;
/// The room that blocks must have, at least.
const BLOCK_TOKENS: usize = 512;
/// The room for the words of a definition's documentation.
const DOCUMENTATION_TOKENS: usize = 160;
/// The room for the types of a function, besides its first line.
const TYPE_TOKENS: usize = 96;
/// The room for two names.
const NAME_TOKENS: usize = 64;
/// Up to this size, a file is shown whole where only one definition is needed, since its beginning often explains it.
const MAX_SHOWN_BYTES: usize = 1_500;

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
            None => {
                if let Some(done) = self.without_rewriting(evidence).await {
                    return done;
                }
                match chosen() {
                    Some(chosen) => self.pieces(chosen, evidence).await,
                    None if is_short => self.whole(evidence).await,
                    None => self.blocks(evidence).await,
                }
            }
        }
    }

    /// Does what can be done without rewriting code; `None` if this instruction is of another kind.
    async fn without_rewriting(&self, evidence: &mut Evidence) -> Option<Result<New, Fault>> {
        let Self { source, instruction, .. } = self;
        // Without a grammar there are no places.
        source.syntax.as_ref()?;
        if let Some(renaming) = rename::read(instruction) {
            return Some(self.renamed(&renaming));
        }
        if rename::is_asked(instruction) {
            return Some(self.renamed_by_model(evidence).await);
        }
        if let Some(found) = docs::read(source, instruction) {
            return Some(self.documented(&found, evidence).await);
        }
        if let Some(found) = hints::read(source, instruction) {
            return Some(self.typed(&found, evidence).await);
        }
        None
    }

    fn renamed(&self, renaming: &Renaming) -> Result<New, Fault> {
        let text = rename::apply(&self.source, renaming)?;
        if text == self.source.text {
            return Err(Fault::NothingChanged);
        }
        self.source.check_new_faults(&text)?;
        Ok((text, Vec::new()))
    }

    /// The instruction does not say the names, so the model does.
    async fn renamed_by_model(&self, evidence: &mut Evidence) -> Result<New, Fault> {
        let messages = prompts::names(&self.instruction, &self.path, &self.source.text);
        let form = Form::Helpful(rename::format_of_names(&self.source.text));
        let reminder = "write the JSON with both names.";
        let inquiry = Inquiry { messages, n_answer: NAME_TOKENS, form, reminder };
        let read = |answer: &str| self.renamed(&rename::of_answer(answer)?);
        ask_twice(&self.asker, inquiry, evidence, read).await
    }

    async fn documented(&self, found: &[Undocumented], evidence: &mut Evidence) -> Result<New, Fault> {
        let asked = found.iter().map(|it| async move {
            let code = self.shown(&it.code);
            let messages = it.messages(&self.instruction, &self.path, code);
            let reminder = "write the words only.";
            let form = Form::Helpful(it.format(&self.instruction));
            let inquiry = Inquiry { messages, n_answer: DOCUMENTATION_TOKENS, form, reminder };
            let mut evidence = Evidence::default();
            let read = |answer: &str| {
                let insertion = it.insertion(answer)?;
                self.source.check_new_faults(&inserted(&self.source.text, vec![insertion.clone()]))?;
                Ok(vec![insertion])
            };
            let result = ask_twice(&self.asker, inquiry, &mut evidence, read).await;
            (it.name.as_str(), result, evidence)
        });
        let (insertions, left_out) = all_or_some(join_all(asked).await, evidence)?;
        Ok((inserted(&self.source.text, insertions), left_out))
    }

    async fn typed(&self, found: &[Untyped], evidence: &mut Evidence) -> Result<New, Fault> {
        let asked = found.iter().map(|it| async move {
            let mut evidence = Evidence::default();
            (it.name.as_str(), self.types_of(it, &mut evidence).await, evidence)
        });
        let (mut insertions, left_out) = all_or_some(join_all(asked).await, evidence)?;
        insertions.extend(hints::imports(&self.source, &insertions));
        let text = inserted(&self.source.text, insertions);
        self.source.check_new_faults(&text)?;
        Ok((text, left_out))
    }

    async fn types_of(&self, function: &Untyped, evidence: &mut Evidence) -> Result<Vec<Insertion>, Fault> {
        let messages = function.messages(&self.instruction, &self.path, &function.code);
        let n_answer = TYPE_TOKENS + self.asker.n_tokens(function.head()).await?;
        let reminder = "write the line that begins with `def`.";
        let form = Form::Helpful(function.format(&self.instruction));
        let inquiry = Inquiry { messages, n_answer, form, reminder };
        let read = |answer: &str| {
            let insertions = function.insertions(answer)?;
            self.source.check_new_faults(&inserted(&self.source.text, insertions.clone()))?;
            Ok(insertions)
        };
        ask_twice(&self.asker, inquiry, evidence, read).await
    }

    /// The whole file if it is short, or else a part of it.
    fn shown<'t>(&'t self, part: &'t str) -> &'t str {
        if self.source.text.len() <= MAX_SHOWN_BYTES { &self.source.text } else { part }
    }

    async fn whole(&self, evidence: &mut Evidence) -> Result<New, Fault> {
        let text = &self.source.text;
        let messages = prompts::whole_file(&self.instruction, &self.path, text);
        let n_answer = self.asker.n_tokens(text).await?;
        let reminder = "write the whole file in one code block.";
        let inquiry = Inquiry { messages, n_answer, form: self.code_form(text, 0), reminder };
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
        let messages = prompts::part(&self.instruction, &self.path, &shown, piece.n_head > 0);
        let n_answer = self.asker.n_tokens(old).await?;
        let reminder = "write this part in one code block.";
        let inquiry = Inquiry { messages, n_answer, form: self.code_form(&shown, piece.n_head), reminder };
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

    /// The form of an answer that is one code block: with few changes if the code is not too long.
    fn code_form(&self, code: &str, n_head: usize) -> Form {
        if has_fences(code) {
            return Form::Free;
        }
        let tag = prompts::tag(&self.path);
        // An instruction for everything changes many places.
        let is_pass =
            has_word(&self.instruction, &["all", "every", "each", "rewrit", "refactor", "translat", "port"]);
        let pinned = if is_pass { None } else { pinned::format(code, tag, n_head, self.allowed()) };
        Form::Helpful(pinned.unwrap_or_else(|| formats::code_block(tag)))
    }

    fn allowed(&self) -> Allowed {
        let comments = ["comment", "docstring", "document", "doc", "todo", "header", "licen"];
        let head =
            ["param", "arg", "signature", "type", "hint", "annotat", "default", "decorat", "async", "return"];
        Allowed { comments: has_word(&self.instruction, &comments), head: has_word(&self.instruction, &head) }
    }

    /// The changed text of the whole file, if it can be one.
    fn checked(&self, changed: String) -> Result<String, Fault> {
        if changed == self.source.text {
            return Err(Fault::NothingChanged);
        }
        self.source.check(&changed, &self.instruction)?;
        if !self.allowed().comments {
            self.source.check_comments(&changed)?;
        }
        Ok(changed)
    }
}

/// What was found for one definition, by its name.
type OfDefinition<'a> = (&'a str, Result<Vec<Insertion>, Fault>, Evidence);

/// What was found for each definition; those without are left out, unless all are. Faults that are none of the answers'
/// count for all.
fn all_or_some(
    results: Vec<OfDefinition<'_>>,
    evidence: &mut Evidence,
) -> Result<(Vec<Insertion>, Vec<LeftOut>), Fault> {
    let mut insertions = Vec::new();
    let mut left_out = Vec::new();
    for (name, result, of_one) in results {
        evidence.merge(of_one);
        match result {
            Ok(found) => insertions.extend(found),
            Err(fault) if fault.is_answers() => left_out.push(LeftOut { name: name.to_owned(), fault }),
            Err(fault) => return Err(fault),
        }
    }
    match left_out.pop() {
        Some(last) if insertions.is_empty() => Err(last.fault),
        last => {
            left_out.extend(last);
            Ok((insertions, left_out))
        }
    }
}
