//! From a place in a document to the completion that the assistant is asked for.

use std::time::Duration;

use gen_lsp_types::Range;
use runabout_assist::{AtCursor, Completion, ContextFile, Form, Generation, Goal, Priority};
use runabout_context::{Cursor, Excerpt, Project};

use super::document::Document;
use super::incoming::SelectedCompletion;
use super::positions::Encoding;
use super::settings::{ContextSource, Multiline, Settings};
use super::window::{Window, WindowSize};
use super::workspace::{self, Workspace};

/// How long a prompt may take before only the text near the cursor is used: a person who has jumped to another place
/// goes on typing sooner than the whole window is computed.
const PATIENCE: Duration = Duration::from_millis(500);

/// A place in a document at which text is asked for.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) uri: String,
    pub(super) version: Option<i64>,
    /// What the text replaces: nothing at the cursor, or the range of the pop-up list's selected entry.
    pub(super) range: Range,
    /// The index of the character where it begins.
    pub(super) start: usize,
    start_byte: usize,
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
            start_byte: text.char_to_byte(chars.start),
            begun,
            window,
            language: document.language.clone(),
        }
    }

    /// The word that is being typed there.
    pub(super) fn word(&self) -> &str {
        let prefix = &self.window.prefix;
        let rest = prefix.trim_end_matches(|it: char| it.is_alphanumeric() || it == '_');
        &prefix[rest.len()..]
    }

    /// What the model sees of other files, and of this one outside of the window: the most relevant last. It stays the
    /// same while the person types in a line, since otherwise nothing of the cache could be used.
    pub(super) fn context(
        &self,
        settings: &Settings,
        project: &mut Project,
        size: WindowSize,
    ) -> Vec<ContextFile> {
        if settings.context == ContextSource::File {
            return Vec::new();
        }
        let path = workspace::file(&self.uri);
        let cursor = Cursor { path: &path, at: self.start_byte, window: self.window.bytes.clone() };
        let excerpts = project.context(&cursor, size.context_bytes());
        excerpts.into_iter().map(|Excerpt { path, text }| ContextFile { path, text }).collect()
    }

    /// What the assistant is asked for.
    pub(super) fn completion(
        &self,
        context: Vec<ContextFile>,
        settings: &Settings,
        workspace: &Workspace,
        priority: Priority,
    ) -> Completion {
        Completion {
            prefix: self.window.prefix.clone(),
            form: Form::AtCursor(AtCursor {
                suffix: Some(self.window.suffix.clone()),
                language: Some(self.language.clone()).filter(|it| !it.is_empty()),
                context,
                goal: match settings.multiline {
                    Multiline::Auto => Goal::Auto,
                    Multiline::Never => Goal::Line,
                },
                patience: Some(PATIENCE),
                ..AtCursor::default()
            }),
            path: workspace.path_of(&self.uri),
            document: Some(self.uri.clone()),
            n_choices: 1,
            generation: Generation::of(settings.max_tokens, priority),
            // Compared in `suggestion`, so that a person who asks for it after all gets the same text at once.
            min_confidence: 0.0,
            needs_tokens: false,
        }
    }
}
