//! Chooses what is shown, in layers that change at different rates: [`imported`] with the file, and the others with the
//! function at the cursor.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::outline::Definition;
use crate::pieces::{Chosen, Nearness, Piece, Source};
use crate::recent::Recent;
use crate::words;

/// Names within this many bytes of the cursor count more.
const NEAR: usize = 400;
/// The function at the cursor is read this far around the cursor.
const MAX_FUNCTION: usize = 4_096;
/// A name with more definitions says too little about which is meant.
const MAX_DEFINITIONS: u32 = 6;
/// A score is halved for a piece of this length, since shorter ones leave room for others.
const HALF_BYTES: f64 = 400.0;
/// The most lines around a recent edit, and around the cursor of another document.
const EDIT_LINES: usize = 3;
const VIEW_LINES: usize = 10;
/// The most recent edits that are shown.
const MAX_EDITS: usize = 2;

/// The cursor in its file.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    /// What the prompt shows of the file.
    pub(crate) window: &'a Range<usize>,
    /// The definition around the cursor.
    pub(crate) inside: Option<&'a Definition>,
}

impl Here<'_> {
    /// Whether the prompt shows a piece of `source` already.
    pub(crate) fn is_shown(&self, source: &Source<'_>, range: &Range<usize>) -> bool {
        if source.nearness == Nearness::Own {
            return range.start < self.window.end && self.window.start < range.end;
        }
        let text = source.text.get(range.clone()).unwrap_or_default().trim();
        memchr::memmem::find(&self.text.as_bytes()[self.window.clone()], text.as_bytes()).is_some()
    }

    /// The function around the cursor, or the text near it.
    pub(crate) fn region(&self) -> Range<usize> {
        let whole = self.inside.map_or(self.window.clone(), |it| it.whole.clone());
        let start = whole.start.max(self.at.saturating_sub(MAX_FUNCTION)).min(self.at);
        let end = whole.end.min(self.at + MAX_FUNCTION).max(self.at);
        floor(self.text, start)..floor(self.text, end)
    }
}

/// Where the line of a position begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |it| it + 1)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
}

/// Definitions of other files that this file uses, those it uses most first.
pub(crate) fn imported(here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>) {
    let mut uses: HashMap<&str, f64> = HashMap::new();
    for (_, name) in words::names(here.text) {
        *uses.entry(name).or_default() += 1.0;
    }
    for weight in uses.values_mut() {
        *weight = weight.ln_1p();
    }
    let others = sources.iter().filter(|it| it.nearness == Nearness::Imported);
    let counts = counts(sources, &uses);
    let scored = others.flat_map(|source| {
        let (uses, counts) = (&uses, &counts);
        source.outline.definitions.iter().filter_map(move |definition| {
            let score = by_name(definition, uses, counts)?;
            Some(Scored { score, source, definition })
        })
    });
    choose(scored.collect(), here, chosen);
}

/// The import statements of the file that the window does not show: they have the names that its code uses.
pub(crate) fn own_imports(here: &Here<'_>, own: &Source<'_>, chosen: &mut Chosen<'_>) {
    let mut n_left = MAX_IMPORTS;
    for range in own.outline.imports.iter().filter(|it| !here.is_shown(own, it)) {
        if range.len() <= n_left && chosen.push(Piece::of_lines(own, range.clone())) {
            n_left -= range.len();
        }
    }
}

/// The most bytes of import statements.
const MAX_IMPORTS: usize = 700;

/// Definitions that the function at the cursor uses, and the other members of its type.
pub(crate) fn around(here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>) {
    let region = here.region();
    let weights = weights(here, &region);
    let counts = counts(sources, &weights);
    let own_type = here.inside.and_then(|it| if it.is_type { Some(&it.name) } else { it.owner.as_ref() });
    let scored = sources.iter().flat_map(|source| {
        let (weights, counts) = (&weights, &counts);
        source.outline.definitions.iter().filter_map(move |definition| {
            let mut score = by_name(definition, weights, counts).unwrap_or(0.0);
            if source.nearness == Nearness::Own && here.inside == Some(definition) {
                // Its beginning is above the window.
                score += 20.0;
            }
            if own_type.is_some() && definition.owner.as_ref() == own_type {
                score += 1.0;
            }
            if own_type == Some(&definition.name) {
                score += 3.0;
            }
            if source.nearness == Nearness::Open {
                score *= 0.6;
            }
            (score > 0.0).then_some(Scored { score, source, definition })
        })
    });
    choose(scored.collect(), here, chosen);
}

/// A function elsewhere whose code is most like that at the cursor, whole.
pub(crate) fn similar(here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>, most_bytes: usize) {
    let region = here.region();
    let near = here.at.saturating_sub(1_000).max(region.start)..(here.at + 300).min(region.end);
    let near = floor(here.text, near.start)..floor(here.text, near.end);
    let mut n_compared = 0;
    // Ordered, so that sums are the same each time.
    let wanted: BTreeSet<&str> = words::names(&here.text[near]).map(|it| it.1).collect();
    let candidates: Vec<(&Source<'_>, &Definition, BTreeSet<&str>)> = sources
        .iter()
        .flat_map(|source| source.outline.definitions.iter().map(move |it| (source, it)))
        .filter(|(_, it)| it.is_function && (60..=most_bytes).contains(&it.whole.len()))
        .filter(|(source, it)| {
            !here.is_shown(source, &it.whole) && !chosen.contains(&Piece::of_definition(source, it))
        })
        .take_while(|(_, it)| {
            n_compared += it.whole.len();
            n_compared <= MAX_COMPARED
        })
        .filter_map(|(source, it)| {
            let names = words::names(source.text.get(it.whole.clone())?).map(|it| it.1).collect();
            Some((source, it, names))
        })
        .collect();
    let mut frequency: HashMap<&str, f64> = HashMap::new();
    for (_, _, names) in &candidates {
        for name in names {
            *frequency.entry(name).or_default() += 1.0;
        }
    }
    let n = candidates.len() as f64;
    let rarity = |name: &&str| (1.0 + n / (1.0 + frequency.get(name).copied().unwrap_or(0.0))).ln();
    let sum = |names: &mut dyn Iterator<Item = &&str>| names.map(rarity).sum::<f64>();
    let of_wanted = sum(&mut wanted.iter());
    let best = candidates
        .iter()
        .map(|(source, definition, names)| {
            let shared = sum(&mut names.intersection(&wanted));
            let all = of_wanted + sum(&mut names.iter()) - shared;
            (shared / all.max(1e-9), source, definition)
        })
        .filter(|it| it.0 >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, source, definition)) = best {
        let start = source.text[..definition.whole.start].rfind('\n').map_or(0, |it| it + 1);
        if chosen.push(Piece::of_lines(source, start..definition.whole.end)) {
            chosen.leave_out(&Piece::of_definition(source, definition));
        }
    }
}

/// The most bytes of functions that are compared, those of the nearest files first.
const MAX_COMPARED: usize = 128 << 10;
/// Less similar code is shown by chance.
const MIN_SIMILARITY: f64 = 0.12;

/// The lines around recent edits elsewhere.
pub(crate) fn edits(here: &Here<'_>, sources: &[Source<'_>], recent: &Recent, chosen: &mut Chosen<'_>) {
    let mut n = 0;
    for (path, range) in recent.latest() {
        let Some(source) = sources.iter().find(|it| it.path == path) else { continue };
        let lines = lines_around(source.text, range, EDIT_LINES);
        if !here.is_shown(source, &lines) && n < MAX_EDITS {
            n += usize::from(chosen.push(Piece::of_lines(source, lines)));
        }
    }
}

/// The text around the cursor in other open files.
pub(crate) fn views(here: &Here<'_>, sources: &[Source<'_>], chosen: &mut Chosen<'_>) {
    for source in sources.iter().filter(|it| it.nearness != Nearness::Own) {
        let Some(at) = source.last_at else { continue };
        let lines = lines_around(source.text, &(at..at), VIEW_LINES);
        if !here.is_shown(source, &lines) {
            chosen.push(Piece::of_lines(source, lines));
        }
    }
}

/// A range widened to whole lines, and by `n` lines on both sides.
fn lines_around(text: &str, range: &Range<usize>, n: usize) -> Range<usize> {
    let (start, end) = (range.start.min(text.len()), range.end.min(text.len()));
    let before = text.as_bytes()[..start].iter().enumerate().rev().filter(|(_, it)| **it == b'\n');
    let start = before.map(|(at, _)| at + 1).nth(n).unwrap_or(0);
    let end = memchr::memchr_iter(b'\n', &text.as_bytes()[end..]).nth(n).map_or(text.len(), |it| end + it);
    start..end
}

struct Scored<'s, 'a> {
    score: f64,
    source: &'s Source<'a>,
    definition: &'s Definition,
}

/// How many definitions each of the names has.
fn counts<'n>(sources: &[Source<'_>], names: &HashMap<&'n str, f64>) -> HashMap<&'n str, u32> {
    let mut counts = HashMap::new();
    for definition in sources.iter().flat_map(|it| &it.outline.definitions) {
        if let Some((name, _)) = names.get_key_value(definition.name.as_str()) {
            *counts.entry(*name).or_default() += 1;
        }
    }
    counts
}

fn by_name(
    definition: &Definition,
    weights: &HashMap<&str, f64>,
    counts: &HashMap<&str, u32>,
) -> Option<f64> {
    let of_owner = definition.owner.as_ref().and_then(|it| weights.get(it.as_str())).copied().unwrap_or(0.0);
    let n = counts.get(definition.name.as_str()).copied().unwrap_or(0);
    let of_name = weights.get(definition.name.as_str()).copied().unwrap_or(0.0);
    // A member of a type that is mentioned is more likely meant.
    let of_name = match n {
        0 => 0.0,
        1 => of_name,
        n if n <= MAX_DEFINITIONS || of_owner > 0.0 => of_name / f64::from(n).sqrt(),
        _ => 0.0,
    };
    let score = of_name + of_owner * 0.25;
    (score > 0.0).then_some(score)
}

/// The names in `region` and how much each matters.
fn weights<'a>(here: &Here<'a>, region: &Range<usize>) -> HashMap<&'a str, f64> {
    let head = here.inside.map_or(0..0, |it| it.head.clone());
    let mut weights: HashMap<&str, f64> = HashMap::new();
    for (start, name) in words::names(&here.text[region.clone()]) {
        let start = region.start + start;
        let weight = weights.entry(name).or_insert(1.0);
        *weight += 0.3;
        if here.at.abs_diff(start) < NEAR {
            *weight += 0.7;
        }
        if head.contains(&start) {
            *weight += 1.0;
        }
        *weight = weight.min(6.0);
    }
    weights
}

fn choose(mut scored: Vec<Scored<'_, '_>>, here: &Here<'_>, chosen: &mut Chosen<'_>) {
    for it in &mut scored {
        it.score /= 1.0 + it.definition.shown.len() as f64 / HALF_BYTES;
    }
    // Stable, so that equal scores keep the order of the files.
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    for Scored { source, definition, .. } in scored {
        if !here.is_shown(source, &definition.head) {
            chosen.push(Piece::of_definition(source, definition));
        }
    }
}
