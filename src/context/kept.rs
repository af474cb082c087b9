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
/// The choice for a document, kept from keystroke to keystroke.
#[derive(Default)]
pub(crate) struct Kept {
    /// What the layers were chosen for.
    file: u64,
    function: u64,
    /// Where the line of the last cursor begins.
    line_start: usize,
    imported: Vec<Piece>,
    around: Vec<Piece>,
    budget_bytes: usize,
}

impl Kept {
    /// Brings the choice up to date: a layer is chosen again only if what it was chosen for has changed.
    pub(crate) fn update(
        &mut self,
        kinds: Kinds,
        here: &Here<'_>,
        sources: &[Source<'_>],
        recent: &Recent,
        budget_bytes: usize,
    ) {
        let file = file_key(sources);
        if self.file != file || self.budget_bytes != budget_bytes {
            *self = Self { file, budget_bytes, ..Self::default() };
            let budget = if kinds.around { budget_bytes * IMPORTED_PERCENT / 100 } else { budget_bytes };
            let mut taken = HashSet::new();
            let mut chosen = Chosen::new(&mut taken, budget);
            if kinds.imported {
                layers::imported(here, sources, &mut chosen);
            }
            self.imported = chosen.into_pieces();
            self.imported.reverse();
        }
        let function = function_key(here);
        let is_shown = |it: &Piece| it.own.as_ref().is_some_and(|range| here.is_shown(&sources[0], range));
        let line_start = here.line_start();
        // While a line is incomplete, the parser may take the function around it for something else. Typing in the same
        // line does not lead to another function.
        let is_elsewhere = self.function == 0 || (self.function != function && self.line_start != line_start);
        self.line_start = line_start;
        if is_elsewhere || self.around.iter().any(is_shown) {
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

    /// What changes most stands last.
    pub(crate) fn excerpts(&self) -> Vec<Excerpt> {
        [&self.imported, &self.around].into_iter().flat_map(|it| excerpts(it)).collect()
    }

    /// Moves the places in the document with an edit. A piece whose text was edited is chosen anew with its layer.
    pub(crate) fn edited(&mut self, range: &Range<usize>, n_new: usize) {
        if range.start < self.line_start {
            // The line is at another place now, if it is the same.
            self.line_start = usize::MAX;
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
        self.budget_bytes.saturating_sub(n_bytes)
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
