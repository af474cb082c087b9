//! The choice for a document, kept from keystroke to keystroke: [`Kept`].

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::ops::Range;

use crate::document::moved;
use crate::kinds::Kinds;
use crate::layers::{self, Here};
use crate::pieces::{Chosen, EXCERPT_BYTES, Excerpt, Nearness, Piece, Source, excerpts};
use crate::recent::Recent;

/// The part of the budget that definitions from imported files may take, in percent. What they leave over, the next
/// layer gets.
const IMPORTED_PERCENT: usize = 45;

/// What a choice depends on, as far as it is known without parsing. Typing in a line changes none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Counts what happens outside of the document.
    pub(crate) n_elsewhere: u64,
    pub(crate) budget_bytes: usize,
    pub(crate) window_start: usize,
    /// Where the line of the cursor begins.
    pub(crate) line_start: usize,
}

/// The choice for a document, kept from keystroke to keystroke.
#[derive(Default)]
pub(crate) struct Kept {
    /// What the layers were chosen for.
    file: u64,
    function: u64,
    /// When they were looked at last.
    moment: Moment,
    imported: Vec<Piece>,
    around: Vec<Piece>,
}

impl Kept {
    /// Brings the choice up to date: a layer is chosen again only if what it was chosen for has changed.
    pub(crate) fn update(
        &mut self,
        kinds: Kinds,
        here: &Here<'_>,
        sources: &[Source<'_>],
        recent: &Recent,
        moment: Moment,
    ) {
        let file = file_key(sources);
        let before = std::mem::replace(&mut self.moment, moment);
        if self.file != file || before.budget_bytes != moment.budget_bytes {
            *self = Self { file, moment, ..Self::default() };
            let share = if kinds.around { IMPORTED_PERCENT } else { 100 };
            let budget = moment.budget_bytes * share / 100;
            let mut taken = HashSet::new();
            let mut chosen = Chosen::new(&mut taken, budget);
            if kinds.imported {
                layers::imported(here, sources, &mut chosen);
            }
            self.imported = chosen.into_pieces();
            self.imported.reverse();
        }
        let function = function_key(here);
        // While a line is incomplete, the parser may take the function around it for something else. Typing in the same
        // line does not lead to another function.
        let is_same_line = before.line_start == moment.line_start;
        let is_elsewhere = self.function == 0 || (self.function != function && !is_same_line);
        if is_elsewhere || self.is_partly_in(here.window) {
            self.function = function;
            let mut taken: HashSet<u64> = self.imported.iter().map(Piece::key).collect();
            let budget = self.n_left();
            let mut chosen = Chosen::new(&mut taken, budget);
            if kinds.edits {
                layers::edits(here, sources, recent, &mut chosen);
            }
            if kinds.views {
                layers::views(here, sources, &mut chosen);
            }
            if kinds.similar {
                layers::similar(here, sources, &mut chosen, budget / 2);
            }
            if kinds.around {
                layers::own_imports(here, &sources[0], &mut chosen);
                layers::around(here, sources, &mut chosen);
            }
            self.around = chosen.into_pieces();
            self.around.reverse();
        }
    }

    /// Whether nothing has happened that could change the choice, so that the document need not be parsed.
    pub(crate) fn holds(&self, moment: Moment, window: &Range<usize>) -> bool {
        self.function != 0 && self.moment == moment && !self.is_partly_in(window)
    }

    /// Whether something that was chosen is shown by the window.
    fn is_partly_in(&self, window: &Range<usize>) -> bool {
        let mut own = self.around.iter().filter_map(|it| it.own.as_ref());
        own.any(|it| it.start < window.end && window.start < it.end)
    }

    /// What changes most stands last.
    pub(crate) fn excerpts(&self) -> Vec<Excerpt> {
        [&self.imported, &self.around].into_iter().flat_map(|it| excerpts(it)).collect()
    }

    /// Moves the places in the document with an edit. A piece whose text was edited is chosen anew with its layer.
    pub(crate) fn edited(&mut self, range: &Range<usize>, n_new: usize) {
        if range.start < self.moment.line_start {
            // The line is at another place now, if it is the same.
            self.moment.line_start = usize::MAX;
        }
        let mut is_touched = false;
        for piece in &mut self.around {
            let Some(own) = &piece.own else { continue };
            match moved(own, range, n_new) {
                Some(now) => piece.own = Some(now),
                None => is_touched = true,
            }
        }
        if is_touched {
            self.function = 0;
        }
    }

    /// The bytes of the budget that are left.
    fn n_left(&self) -> usize {
        let excerpts = self.excerpts();
        let n_bytes: usize = excerpts.iter().map(|it| it.path.len() + it.text.len() + EXCERPT_BYTES).sum();
        self.moment.budget_bytes.saturating_sub(n_bytes)
    }
}

/// What the layer of imported definitions depends on.
fn file_key(sources: &[Source<'_>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for source in sources.iter().filter(|it| it.nearness == Nearness::Imported) {
        (source.path, source.version).hash(&mut hasher);
    }
    hasher.finish()
}

/// What the layer of the function at the cursor depends on.
fn function_key(here: &Here<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    here.inside.map(|it| (&it.name, &it.owner)).hash(&mut hasher);
    // When the window moves, what follows the excerpts in the prompt is computed again anyway.
    here.window.start.hash(&mut hasher);
    hasher.finish() | 1
}
