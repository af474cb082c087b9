//! Drafts without a second model: what followed the last time that the text went like this.
//!
//! The last tokens of a sequence are looked up in all that came before them, the prompt included; what stood
//! behind the longest match is guessed to come again. That pays in edits, which copy most of their prompt, and
//! costs a little in every other text; so each guess is also kept as a *prediction* that the next drawn token
//! proves right or wrong, whether it was drafted or not. From those, per length of the match, comes the chance
//! that a guess is right, and a draft is as long as lets tokens come fastest, for what its rows cost in a step. On
//! text with nothing to copy, nothing is drafted.
//!
//! Where a copy was left and taken up again a little further on, what was put in the place of what is a [`Swap`]: a name
//! was changed, say. Where the old comes again in what is copied, the new is guessed.
//!
//! Pure: knows tokens alone, neither the model nor time.

use std::{collections::HashMap, iter};

use runabout_text::TokenId;

use super::{acceptance::Chance, costs::GuessCosts};

/// A match is found by its last tokens, so many.
const KEY: usize = 3;

/// How many places with the same key are compared, the latest first.
const MAX_PLACES: usize = 16;

/// How far back a match is measured.
const MAX_MATCH: usize = 32;

/// After a copy was left (a name was changed, a line put in), its thread is looked for this far on, and for
/// as many tokens. One token alike is then enough to take it up again.
const THREAD: usize = 16;

/// Drafts are at most this long. On the CPUs seen so far 8 rows take 3.6 times as long as one; going on like that,
/// 24 right guesses make a step worth two and a half, and more of them hardly more.
pub const MAX_DRAFT: usize = 24;

/// Looks drafts up for one sequence.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Where each key was last seen: the place behind it.
    last: HashMap<[TokenId; KEY], usize>,
    /// For each place, the place before with the same key.
    before: Vec<Option<usize>>,
    /// Where the text is being copied from.
    source: Option<Source>,
    /// Where a copy was left, and how many tokens ago.
    left: Option<(usize, usize)>,
    /// By the first token of the old.
    swaps: HashMap<TokenId, Swap>,
    /// Found with the source, and counts once that is a match.
    new_swap: Option<Swap>,
    chances: [Chance; Bucket::N],
    swap_chance: Chance,
}

/// The text goes on like the one at `cursor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    cursor: Cursor,
    /// Tokens before it that are alike, or swapped.
    n_alike: usize,
}

/// A place in what is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    next: usize,
    /// So many tokens of the swap that begins here have been written.
    n_swapped: usize,
}

/// What is written in the place of what. Neither is empty.
#[derive(Clone, Debug)]
struct Swap {
    old: Vec<TokenId>,
    new: Vec<TokenId>,
}

/// A guess for one token.
struct Guess {
    token: TokenId,
    is_swapped: bool,
    /// Behind it.
    cursor: Cursor,
}

impl Cursor {
    fn at(next: usize) -> Self {
        Self { next, n_swapped: 0 }
    }
}

/// Matches of about the same length.
#[derive(Clone, Copy, Debug)]
struct Bucket(usize);

impl Bucket {
    const N: usize = 5;

    fn of(n_alike: usize) -> Self {
        Self(match n_alike {
            ..KEY => 0,
            KEY..6 => 1,
            6..12 => 2,
            12..MAX_MATCH => 3,
            MAX_MATCH.. => 4,
        })
    }
}

impl Lookup {
    /// For a sequence that begins with `prompt`.
    pub(crate) fn new(prompt: &[TokenId]) -> Self {
        let mut lookup = Self {
            last: HashMap::new(),
            before: Vec::with_capacity(prompt.len() + 1),
            source: None,
            left: None,
            swaps: HashMap::new(),
            new_swap: None,
            swap_chance: Chance::of_four(2.8),
            // A long match is its own evidence; a short one has to prove itself.
            chances: [1.0, 1.0, 2.0, 3.2, 3.7].map(Chance::of_four),
        };
        for n in 0..=prompt.len() {
            lookup.index(&prompt[..n]);
        }
        lookup.find(prompt);
        lookup
    }

    /// Takes in the last `n_new` of `tokens`, which were drawn since the last time.
    pub(crate) fn observe(&mut self, tokens: &[TokenId], n_new: usize) {
        for n in tokens.len() - n_new + 1..=tokens.len() {
            self.observe_last(&tokens[..n]);
        }
    }

    /// What may come after `tokens`: at most `max` guesses, as many as are worth what they cost.
    pub(crate) fn draft(&self, tokens: &[TokenId], costs: &GuessCosts, max: usize) -> Vec<TokenId> {
        let Some(Source { mut cursor, n_alike }) = self.source else { return Vec::new() };
        let mut drafts: Vec<TokenId> = Vec::new();
        let mut chances = Vec::new();
        for n in 0..max.min(MAX_DRAFT) {
            let Some(guess) = self.guess(cursor, tokens, &drafts) else { break };
            chances.push(if guess.is_swapped { self.swap_chance.value() } else { self.chance(n_alike + n) });
            drafts.push(guess.token);
            cursor = guess.cursor;
        }
        drafts.truncate(costs.n_worthwhile(chances.into_iter()));
        drafts
    }

    /// Whether there will be a draft after the next token, if nothing is left and nothing found.
    pub(crate) fn will_draft(&self, costs: &GuessCosts) -> bool {
        let chances = |source: Source| (source.n_alike + 1..).map(|n_alike| self.chance(n_alike));
        self.source.is_some_and(|it| costs.n_worthwhile(chances(it)) > 0)
    }

    fn chance(&self, n_alike: usize) -> f64 {
        self.chances[Bucket::of(n_alike).0].value()
    }

    /// What comes at a place of what is copied: `tokens`, and the drafts behind them. A text that repeats itself is copied
    /// from the draft's own beginning.
    fn guess(&self, cursor: Cursor, tokens: &[TokenId], drafts: &[TokenId]) -> Option<Guess> {
        let Cursor { next, n_swapped } = cursor;
        let token = tokens.get(next).or_else(|| drafts.get(next - tokens.len())).copied()?;
        let swap = self.swaps.get(&token).filter(|it| tokens[next.min(tokens.len())..].starts_with(&it.old));
        Some(match swap {
            Some(swap) => Guess {
                token: *swap.new.get(n_swapped)?,
                is_swapped: true,
                cursor: if n_swapped + 1 < swap.new.len() {
                    Cursor { next, n_swapped: n_swapped + 1 }
                } else {
                    Cursor::at(next + swap.old.len())
                },
            },
            None => Guess { token, is_swapped: false, cursor: Cursor::at(next + 1) },
        })
    }

    fn observe_last(&mut self, tokens: &[TokenId]) {
        let Some((&drawn, before)) = tokens.split_last() else { return };
        self.left = self.left.map(|(place, age)| (place, age + 1)).filter(|(_, age)| *age <= THREAD);
        if let Some(source) = self.source.take() {
            self.follow(source, before, drawn);
        }
        self.index(tokens);
        if self.source.is_none() {
            self.find(tokens);
        }
    }

    /// Goes on with the source if what was `drawn` after the tokens `before` is what comes there.
    fn follow(&mut self, Source { cursor, n_alike }: Source, before: &[TokenId], drawn: TokenId) {
        let new_swap = self.new_swap.take();
        let Some(guess) = self.guess(cursor, before, &[drawn]) else { return };
        let is_right = guess.token == drawn;
        let chance =
            if guess.is_swapped { &mut self.swap_chance } else { &mut self.chances[Bucket::of(n_alike).0] };
        chance.note(is_right);
        if is_right {
            // Not while another is being written, which it may replace.
            if n_alike + 1 >= KEY && guess.cursor.n_swapped == 0 {
                self.swaps.extend(new_swap.map(|it| (it.old[0], it)));
            } else {
                self.new_swap = new_swap;
            }
            self.source = Some(Source { cursor: guess.cursor, n_alike: n_alike + 1 });
            return;
        }
        let old = before.get(cursor.next).copied().filter(|_| guess.is_swapped);
        self.swaps.retain(|key, _| Some(*key) != old);
        if old == Some(drawn) && cursor.n_swapped == 0 {
            self.source = Some(Source { cursor: Cursor::at(cursor.next + 1), n_alike: n_alike + 1 });
        } else if n_alike >= KEY {
            self.left = Some((cursor.next, 0));
        }
    }

    /// Notes the place behind `tokens`.
    fn index(&mut self, tokens: &[TokenId]) {
        let before = tokens.last_chunk::<KEY>().and_then(|key| self.last.insert(*key, tokens.len()));
        self.before.push(before);
    }

    /// The longest match of the end of `tokens`, of equals the latest; where a copy was left a moment ago and
    /// nothing better is found, the nearest place behind that where a token is alike.
    fn find(&mut self, tokens: &[TokenId]) {
        let newest = self.before.last().copied().flatten();
        let places = iter::successors(newest, |place| self.before.get(*place).copied().flatten());
        let longest = places
            .take(MAX_PLACES)
            .map(|next| Source { cursor: Cursor::at(next), n_alike: n_alike(tokens, next) })
            // Of equals `max_by_key` takes the last.
            .max_by_key(|it| (it.n_alike, it.cursor.next));
        self.source = longest.filter(|it| it.n_alike >= 2 * KEY);
        if self.source.is_none() {
            self.source = self.take_up(tokens).or(longest);
        }
    }

    /// Takes up the thread of the copy that was left.
    fn take_up(&mut self, tokens: &[TokenId]) -> Option<Source> {
        let (place, age) = self.left?;
        let mut places = (place + 1..=place + THREAD).take_while(|it| *it < tokens.len());
        let next = places.find(|it| tokens.get(it - 1) == tokens.last())?;
        let n_drawn = age.min(tokens.len() - 1);
        let swap = Swap {
            old: tokens[place..next - 1].to_vec(),
            new: tokens[tokens.len() - 1 - n_drawn..tokens.len() - 1].to_vec(),
        };
        self.new_swap = Some(swap).filter(|it| !it.old.is_empty() && !it.new.is_empty());
        Some(Source { cursor: Cursor::at(next), n_alike: n_alike(tokens, next) })
    }
}

/// How many tokens before `place` are those at the end.
fn n_alike(tokens: &[TokenId], place: usize) -> usize {
    let before = tokens[..place].iter().rev();
    tokens.iter().rev().zip(before).take(MAX_MATCH).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a guess costs, as a part of a step.
    const COST: f64 = 0.35;

    fn tokens(text: &str) -> Vec<TokenId> {
        text.bytes().map(TokenId::from).collect()
    }

    fn text(tokens: &[TokenId]) -> String {
        tokens.iter().filter_map(|it| char::from_u32(*it)).collect()
    }

    /// Generates `answer` after `prompt` with drafts; steps and rows that it took.
    fn run(prompt: &str, answer: &str, cost: f64) -> (usize, usize) {
        let mut held = tokens(prompt);
        let answer = tokens(answer);
        let mut lookup = Lookup::new(&held);
        let (mut n_done, mut n_steps, mut n_rows) = (0, 0, 0);
        while n_done < answer.len() {
            let drafts = lookup.draft(&held, &GuessCosts::each(cost), MAX_DRAFT);
            let n_right = drafts.iter().zip(&answer[n_done..]).take_while(|(a, b)| a == b).count();
            let n_new = (n_right + 1).min(answer.len() - n_done);
            held.extend_from_slice(&answer[n_done..n_done + n_new]);
            lookup.observe(&held, n_new);
            n_done += n_new;
            n_steps += 1;
            n_rows += 1 + drafts.len();
        }
        (n_steps, n_rows)
    }

    const CODE: &str = "fn total(items: &[Item]) -> f64 {\n    let mut sum = 0.0;\n    for item in items {\n        \
        sum += item.price * item.quantity;\n        if item.is_taxed {\n            sum += item.tax();\n        }\n    \
        }\n    sum\n}\n";

    #[test]
    fn what_followed_the_longest_match_is_the_draft() {
        let held = tokens("let value = first; let other = 1; let value = ");
        let lookup = Lookup::new(&held);
        assert_eq!(text(&lookup.draft(&held, &GuessCosts::each(0.1), 5)), "first");
        // The longest match wins over a later one.
        let held = tokens("xx abcdefg1 yy cdefg2 zz abcdefg");
        assert_eq!(text(&Lookup::new(&held).draft(&held, &GuessCosts::each(0.1), 1)), "1");
        // Of equals the latest.
        let held = tokens("1abcdefg1 2abcdefg2 3abcdefg");
        assert_eq!(text(&Lookup::new(&held).draft(&held, &GuessCosts::each(0.1), 1)), "2");
        let held = tokens("nothing of the kind");
        assert!(Lookup::new(&held).draft(&held, &GuessCosts::each(0.0), 5).is_empty());
    }

    #[test]
    fn a_text_that_repeats_itself_is_drafted_beyond_its_end() {
        let held = tokens("abcabcabc");
        assert_eq!(text(&Lookup::new(&held).draft(&held, &GuessCosts::each(1e-9), 7)), "abcabca");
    }

    #[test]
    fn a_copy_takes_a_fraction_of_the_steps() {
        let (n_steps, n_rows) = run(&format!("Repeat this:\n{CODE}\nHere it is:\n"), CODE, COST);
        assert!(n_steps * 4 < CODE.len(), "{n_steps} steps for {} tokens", CODE.len());
        assert!(n_rows < CODE.len() * 3 / 2, "{n_rows} rows");
    }

    #[test]
    fn a_renamed_variable_is_stepped_over() {
        let renamed = CODE.replace("sum", "subtotal");
        let (n_steps, _) = run(&format!("Rename `sum`:\n{CODE}\nHere it is:\n"), &renamed, COST);
        assert!(n_steps * 2 < renamed.len(), "{n_steps} steps for {} tokens", renamed.len());
    }

    /// A token for each word.
    fn words(text: &str) -> Vec<TokenId> {
        let token =
            |it: &str| it.bytes().fold(7_u32, |sum, it| sum.wrapping_mul(31).wrapping_add(u32::from(it)));
        text.split_whitespace().map(token).collect()
    }

    /// As if `answer` had been drawn after `prompt`.
    fn after(prompt: &str, answer: &str) -> (Vec<TokenId>, Lookup) {
        let mut held = words(prompt);
        let n_prompt = held.len();
        let mut lookup = Lookup::new(&held);
        held.extend(words(answer));
        lookup.observe(&held, held.len() - n_prompt);
        (held, lookup)
    }

    #[test]
    fn a_name_that_was_changed_is_changed_where_it_comes_again() {
        let prompt = "for x in list do old += x ; print old ; return old + 1 ; end edit this";
        for (new, answer) in
            [("new", "for x in list do new += x ;"), ("the new name", "for x in list do the new name += x ;")]
        {
            let (held, lookup) = after(prompt, answer);
            let expected = words(&"print old ; return old + 1 ; end".replace("old", new));
            let drafts = lookup.draft(&held, &GuessCosts::each(1e-9), expected.len());
            assert_eq!(drafts, expected, "{new}");
            // Also while it is being written.
            let (mut held, mut lookup) = after(prompt, answer);
            for (n, token) in expected.iter().enumerate() {
                assert_eq!(
                    lookup.draft(&held, &GuessCosts::each(1e-9), MAX_DRAFT)[..expected.len() - n],
                    expected[n..],
                    "{new}"
                );
                held.push(*token);
                lookup.observe(&held, 1);
            }
        }
    }

    #[test]
    fn a_name_that_is_kept_after_all_is_not_changed_any_more() {
        let prompt = "for x in list do old += x ; print old ; return old + 1 ; end edit this";
        let (held, lookup) = after(prompt, "for x in list do new += x ; print old");
        assert_eq!(lookup.draft(&held, &GuessCosts::each(0.01), 5), words("; return old + 1"));
    }

    #[test]
    fn what_is_drafted_and_comes_is_followed_whatever_the_text() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let n_letters = random.u32(2..6);
            let mut held: Vec<TokenId> = (0..60).map(|_| random.u32(0..n_letters)).collect();
            let mut lookup = Lookup::new(&held);
            for _ in 0..200 {
                let mut new = lookup.draft(&held, &GuessCosts::each(0.01), 8);
                let is_all = random.bool();
                if !is_all {
                    new.truncate(random.usize(0..=new.len()));
                    new.push(random.u32(0..n_letters));
                }
                if new.is_empty() {
                    continue;
                }
                held.extend_from_slice(&new);
                lookup.observe(&held, new.len());
                assert!(!is_all || lookup.source.is_some(), "seed {seed}");
            }
        }
    }

    #[test]
    fn text_with_nothing_to_copy_is_left_alone() {
        // Few letters, so that short matches abound and mean nothing.
        let mut random = fastrand::Rng::with_seed(1);
        let mut noise =
            |n| (0..n).map(|_| random.choice(['a', 'b', 'c', 'd']).unwrap_or('a')).collect::<String>();
        let (prompt, answer) = (noise(400), noise(400));
        let (n_steps, n_rows) = run(&prompt, &answer, COST);
        let n_wasted = n_rows - answer.len().max(n_steps);
        assert!(n_wasted * 10 < answer.len(), "{n_wasted} guesses for nothing in {n_steps} steps");
    }

    #[test]
    fn a_dear_token_is_guessed_less_often() {
        let prompt = format!("Repeat this:\n{CODE}\nHere it is:\n{}", &CODE[..40]);
        let held = tokens(&prompt);
        let lookup = Lookup::new(&held);
        let length = |cost| lookup.draft(&held, &GuessCosts::each(cost), MAX_DRAFT).len();
        assert_eq!(length(1.0), 0);
        assert!(length(0.8) < length(0.3));
        assert_eq!(length(0.01), MAX_DRAFT);
        assert_eq!(lookup.draft(&held, &GuessCosts::each(0.01), 3).len(), 3);
    }
}
