//! From a place in a document to the completion that the assistant is asked for.

use gen_lsp_types::Range;
use runabout_assist::{AtCursor, Completion, ContextFile, Form, Generation, Goal, Priority};

use super::document::Document;
use super::documents::Documents;
use super::incoming::SelectedCompletion;
use super::positions::Encoding;
use super::settings::{Multiline, Settings};
use super::window::{Window, WindowSize};
use super::workspace::Workspace;

/// A place in a document at which text is asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) uri: String,
    pub(super) version: Option<i64>,
    /// What the text replaces: nothing at the cursor, or the range of the pop-up list's selected entry.
    pub(super) range: Range,
    /// The index of the character where it begins.
    pub(super) start: usize,
    /// What the text begins with: that entry.
    pub(super) begun: String,
    pub(super) window: Window,
    pub(super) language: String,
}

impl Place {
    /// The place at `cursor`, the index of a character.
    pub(super) fn at(
        uri: String,
        document: &Document,
        cursor: usize,
        selected: Option<SelectedCompletion>,
        encoding: Encoding,
        size: WindowSize,
    ) -> Self {
        let text = &document.text;
        let (chars, begun) = match selected {
            Some(it) => (encoding.chars_of(text, it.range), it.text),
            None => (cursor..cursor, String::new()),
        };
        let mut window = Window::around(text, chars.start, chars.end, size);
        window.prefix.push_str(&begun);
        Self {
            uri,
            version: document.version,
            range: Range::new(encoding.position_of(text, chars.start), encoding.position_of(text, chars.end)),
            start: chars.start,
            begun,
            window,
            language: document.language.clone(),
        }
    }

    /// What the assistant is asked for.
    pub(super) fn completion(
        &self,
        settings: &Settings,
        documents: &Documents,
        workspace: &Workspace,
        priority: Priority,
    ) -> Completion {
        Completion {
            prefix: self.window.prefix.clone(),
            form: Form::AtCursor(AtCursor {
                suffix: Some(self.window.suffix.clone()),
                language: Some(self.language.clone()).filter(|it| !it.is_empty()),
                context: context(self, settings, documents, workspace),
                goal: match settings.multiline {
                    Multiline::Auto => Goal::Auto,
                    Multiline::Never => Goal::Line,
                },
                ..AtCursor::default()
            }),
            path: workspace.path_of(&self.uri),
            document: Some(self.uri.clone()),
            n_choices: 1,
            generation: Generation::of(settings.max_tokens, priority),
            // Compared in `confidence`, so that a person who asks for it after all gets the same text at once.
            min_confidence: 0.0,
            needs_tokens: false,
        }
    }
}

/// The other files that the model sees, the most relevant one last. The only place where they are chosen. They must stay
/// the same while a person types, since otherwise nothing of the cache could be used.
fn context(_: &Place, _: &Settings, _: &Documents, _: &Workspace) -> Vec<ContextFile> {
    Vec::new()
}
