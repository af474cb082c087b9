//! Drafts from text that is known ([`Lookup`]): what followed the last time the same tokens occurred.
//!
//! This is known as prompt lookup decoding. The last tokens of a sequence are searched for in everything before them,
//! including the prompt, and in what the engine has [generated lately](KnownTexts); what follows the longest [`Match`] is
//! drafted. That pays off in edits, which copy most of their prompt, and in completions while somebody types, which
//! mostly repeat the one before. It costs a little in every other text. So the token that the match predicts is compared
//! with each token drawn, whether it was drafted or not. This gives an acceptance rate for each length of a match, and a
//! draft has the length with which tokens are generated fastest. If nothing is copied, nothing is drafted.
//!
//! If a copy deviated and was resumed a little further on, what was written instead is kept as a [`Replacement`], for
//! example for a renamed variable: where the old tokens occur again in the copied text, the new ones are drafted.
//!
//! Pure: it knows only tokens, neither the model nor time.

use std::collections::HashMap;

use runabout_text::TokenId;

use super::{
    acceptance::AcceptanceRate,
    costs::DraftCosts,
    known_texts::{KeyIndex, KnownTexts},
    limits::MAX_DRAFTS,
    match_rates::{KEY, MAX_MATCH, MatchRates},
};

/// The most positions with the same key that are compared in each text, the latest first.
const MAX_POSITIONS: usize = 16;

/// After a copy deviated (a name was changed, a line inserted), it may be resumed within this many tokens, and at most
/// this far after the position where it deviated. Then a single equal token is enough.
const RESUME_WINDOW: usize = 16;

/// Finds drafts for one sequence.
#[derive(Debug)]
pub(crate) struct Lookup {
    index: KeyIndex,
    /// The match that the text is currently a copy of.
    current: Option<Match>,
    /// The last deviation from a copy.
    deviation: Option<Deviation>,
    /// By the first token of the old text.
    replacements: HashMap<TokenId, Replacement>,
    /// Found when the current copy was resumed. It counts once the copy is long enough to be found by its key.
    new_replacement: Option<Replacement>,
    /// For matches in the sequence itself.
    rates: MatchRates,
    replacement_rate: AcceptanceRate,
}

/// The text that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The sequence itself.
    Own,
    /// What the engine generated earlier.
    Known,
}

/// The end of the text so far is the same as the text before a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Match {
    position: Position,
    /// The number of tokens that are the same, or replaced.
    length: usize,
}

/// A position in the copied text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    source: Source,
    next: usize,
    /// The number of tokens already written of the replacement that begins here.
    n_replaced: usize,
}

/// Where a copy deviated.
#[derive(Clone, Copy, Debug)]
struct Deviation {
    source: Source,
    /// The position of the token that was not copied.
    position: usize,
    /// The number of tokens drawn since then.
    age: usize,
}

/// Old tokens and the new tokens written instead. Neither is empty.
#[derive(Clone, Debug)]
struct Replacement {
    old: Vec<TokenId>,
    new: Vec<TokenId>,
}

/// The token that is predicted at a position.
struct Prediction {
    token: TokenId,
    is_replaced: bool,
    /// The position after it.
    position: Position,
}

/// The texts that can be copied.
#[derive(Clone, Copy)]
struct Texts<'a> {
    own: &'a [TokenId],
    known: &'a KnownTexts,
}

impl Position {
    fn at(source: Source, next: usize) -> Self {
        Self { source, next, n_replaced: 0 }
    }
}

impl Texts<'_> {
    /// What follows at a position, as far as a replacement or a resumed copy can concern it.
    fn after(&self, source: Source, position: usize) -> &[TokenId] {
        match source {
            Source::Own => self.own.get(position..).unwrap_or_default(),
            Source::Known => self.known.after(position, RESUME_WINDOW + 1),
        }
    }

    /// The match before a position: the tokens before it that are the same as those at the end.
    fn match_at(&self, source: Source, next: usize) -> Match {
        let before = match source {
            Source::Own => &self.own[..next],
            Source::Known => self.known.before(next),
        };
        let pairs = self.own.iter().rev().zip(before.iter().rev());
        let length = pairs.take(MAX_MATCH).take_while(|(a, b)| a == b).count();
        Match { position: Position::at(source, next), length }
    }
}

impl Lookup {
    /// For a sequence that begins with `prompt`.
    pub(crate) fn new(prompt: &[TokenId], known: &KnownTexts) -> Self {
        let mut lookup = Self {
            index: KeyIndex::of(prompt),
            current: None,
            deviation: None,
            replacements: HashMap::new(),
            new_replacement: None,
            rates: MatchRates::estimated(),
            replacement_rate: AcceptanceRate::estimated(0.7),
        };
        lookup.find(Texts { own: prompt, known });
        lookup
    }

    /// Takes the last `n_new` of `tokens`, which were drawn since the last call.
    pub(crate) fn observe(&mut self, tokens: &[TokenId], n_new: usize, known: &mut KnownTexts) {
        for n in tokens.len() - n_new + 1..=tokens.len() {
            self.observe_last(&tokens[..n], known);
        }
    }

    /// Drafts what may come after `tokens`: at most `max` tokens, and only as many as are worth their cost.
    pub(crate) fn draft(
        &self,
        tokens: &[TokenId],
        known: &KnownTexts,
        costs: &DraftCosts,
        max: usize,
    ) -> Vec<TokenId> {
        let Some(Match { mut position, length }) = self.current else { return Vec::new() };
        let texts = Texts { own: tokens, known };
        let mut drafts: Vec<TokenId> = Vec::new();
        let mut rates = Vec::new();
        for n in 0..max.min(MAX_DRAFTS) {
            let Some(prediction) = self.predict(position, texts, &drafts) else { break };
            rates.push(if prediction.is_replaced {
                self.replacement_rate.value()
            } else {
                self.rates(position.source, known).of(length + n)
            });
            drafts.push(prediction.token);
            position = prediction.position;
        }
        drafts.truncate(costs.n_worth_checking(rates.into_iter()));
        drafts
    }

    /// Whether there will be drafts after the next token, if it is copied too.
    pub(crate) fn will_draft(&self, known: &KnownTexts, costs: &DraftCosts) -> bool {
        self.current.is_some_and(|it| {
            let rates = self.rates(it.position.source, known);
            costs.n_worth_checking((it.length + 1..).map(|length| rates.of(length))) > 0
        })
    }

    fn rates<'a>(&'a self, source: Source, known: &'a KnownTexts) -> &'a MatchRates {
        match source {
            Source::Own => &self.rates,
            Source::Known => &known.rates,
        }
    }

    /// The token predicted at a position of the copied text: from the text, or from the `drafts` after the sequence's
    /// own, since a text that repeats itself is copied from its own drafts.
    fn predict(&self, position: Position, texts: Texts<'_>, drafts: &[TokenId]) -> Option<Prediction> {
        let Position { source, next, n_replaced } = position;
        let rest = texts.after(source, next);
        let of_drafts = || drafts.get(next.checked_sub(texts.own.len())?).filter(|_| source == Source::Own);
        let token = *rest.first().or_else(of_drafts)?;
        Some(match self.replacements.get(&token).filter(|it| rest.starts_with(&it.old)) {
            Some(replacement) => Prediction {
                token: *replacement.new.get(n_replaced)?,
                is_replaced: true,
                position: if n_replaced + 1 < replacement.new.len() {
                    Position { n_replaced: n_replaced + 1, ..position }
                } else {
                    Position::at(source, next + replacement.old.len())
                },
            },
            None => Prediction { token, is_replaced: false, position: Position::at(source, next + 1) },
        })
    }

    fn observe_last(&mut self, tokens: &[TokenId], known: &mut KnownTexts) {
        let Some((&drawn, before)) = tokens.split_last() else { return };
        let aged = self.deviation.map(|it| Deviation { age: it.age + 1, ..it });
        self.deviation = aged.filter(|it| it.age <= RESUME_WINDOW);
        if let Some(current) = self.current.take() {
            self.follow(current, before, drawn, known);
        }
        self.index.push(tokens);
        if self.current.is_none() {
            self.find(Texts { own: tokens, known });
        }
    }

    /// Continues the copy if `drawn`, which came after the tokens `before`, is what it predicts.
    fn follow(
        &mut self,
        Match { position, length }: Match,
        before: &[TokenId],
        drawn: TokenId,
        known: &mut KnownTexts,
    ) {
        let new_replacement = self.new_replacement.take();
        let texts = Texts { own: before, known };
        let Some(prediction) = self.predict(position, texts, &[drawn]) else { return };
        let copied = texts.after(position.source, position.next).first().copied();
        let is_right = prediction.token == drawn;
        if prediction.is_replaced {
            self.replacement_rate.record(is_right);
        } else {
            let rates = match position.source {
                Source::Own => &mut self.rates,
                Source::Known => &mut known.rates,
            };
            rates.record(length, is_right);
        }
        if is_right {
            // Not while another replacement is being written, which this might overwrite.
            if length + 1 >= KEY && prediction.position.n_replaced == 0 {
                self.replacements.extend(new_replacement.map(|it| (it.old[0], it)));
            } else {
                self.new_replacement = new_replacement;
            }
            self.current = Some(Match { position: prediction.position, length: length + 1 });
            return;
        }
        let old = copied.filter(|_| prediction.is_replaced);
        self.replacements.retain(|key, _| Some(*key) != old);
        let Position { source, next, n_replaced } = position;
        if old == Some(drawn) && n_replaced == 0 {
            self.current = Some(Match { position: Position::at(source, next + 1), length: length + 1 });
        } else if length >= KEY {
            self.deviation = Some(Deviation { source, position: next, age: 0 });
        }
    }

    /// Finds the longest match for the end of the text, the latest among equals, in the sequence itself rather than in
    /// what was generated earlier. If a copy has just deviated and there is no good match, the copy is resumed if
    /// possible.
    fn find(&mut self, texts: Texts<'_>) {
        let longest_of = |source, positions: &mut dyn Iterator<Item = usize>| {
            let matches = positions.take(MAX_POSITIONS).map(|next| texts.match_at(source, next));
            // Among equals `max_by_key` takes the last.
            matches.max_by_key(|it| (it.length, it.position.next))
        };
        let own = longest_of(Source::Own, &mut self.index.before_last());
        let known = longest_of(Source::Known, &mut texts.known.positions(texts.own));
        let longest = known.into_iter().chain(own).max_by_key(|it| it.length);
        self.current = longest.filter(|it| it.length >= 2 * KEY);
        if self.current.is_none() {
            self.current = self.resume(texts).or(longest);
        }
    }

    /// Resumes the copy that deviated, at the nearest position where a token equals the last of the text.
    fn resume(&mut self, texts: Texts<'_>) -> Option<Match> {
        let Deviation { source, position, age } = self.deviation?;
        let (last, before) = texts.own.split_last()?;
        let rest = texts.after(source, position);
        // Something must follow that can be copied.
        let n_old =
            rest.iter().take(RESUME_WINDOW).position(|it| it == last).filter(|it| it + 1 < rest.len())?;
        let replacement = Replacement {
            old: rest[..n_old].to_vec(),
            new: before[before.len() - age.min(before.len())..].to_vec(),
        };
        self.new_replacement = Some(replacement).filter(|it| !it.old.is_empty() && !it.new.is_empty());
        Some(texts.match_at(source, position + n_old + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cost of a draft, as a fraction of a step.
    const COST: f64 = 0.35;

    fn tokens(text: &str) -> Vec<TokenId> {
        text.bytes().map(TokenId::from).collect()
    }

    fn text(tokens: &[TokenId]) -> String {
        tokens.iter().filter_map(|it| char::from_u32(*it)).collect()
    }

    /// Nothing was generated earlier.
    fn known() -> KnownTexts {
        KnownTexts::default()
    }

    /// Generates `answer` after `prompt` with drafts. Returns the number of steps and rows.
    fn run(prompt: &str, answer: &str, cost: f64) -> (usize, usize) {
        run_after(&mut known(), prompt, answer, cost)
    }

    /// The same after other texts.
    fn run_after(known: &mut KnownTexts, prompt: &str, answer: &str, cost: f64) -> (usize, usize) {
        let mut held = tokens(prompt);
        let answer = tokens(answer);
        let mut lookup = Lookup::new(&held, known);
        let (mut n_done, mut n_steps, mut n_rows) = (0, 0, 0);
        while n_done < answer.len() {
            let drafts = lookup.draft(&held, known, &DraftCosts::per_draft(cost), MAX_DRAFTS);
            let n_right = drafts.iter().zip(&answer[n_done..]).take_while(|(a, b)| a == b).count();
            let n_new = (n_right + 1).min(answer.len() - n_done);
            held.extend_from_slice(&answer[n_done..n_done + n_new]);
            lookup.observe(&held, n_new, known);
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
        let lookup = Lookup::new(&held, &known());
        assert_eq!(text(&lookup.draft(&held, &known(), &DraftCosts::per_draft(0.1), 5)), "first");
        // A longer match is preferred to a later one.
        let held = tokens("xx abcdefg1 yy cdefg2 zz abcdefg");
        assert_eq!(
            text(&Lookup::new(&held, &known()).draft(&held, &known(), &DraftCosts::per_draft(0.1), 1)),
            "1"
        );
        // Among equals the latest one.
        let held = tokens("1abcdefg1 2abcdefg2 3abcdefg");
        assert_eq!(
            text(&Lookup::new(&held, &known()).draft(&held, &known(), &DraftCosts::per_draft(0.1), 1)),
            "2"
        );
        let held = tokens("nothing of the kind");
        assert!(
            Lookup::new(&held, &known()).draft(&held, &known(), &DraftCosts::per_draft(0.0), 5).is_empty()
        );
    }

    #[test]
    fn a_text_that_repeats_itself_is_drafted_beyond_its_end() {
        let held = tokens("abcabcabc");
        assert_eq!(
            text(&Lookup::new(&held, &known()).draft(&held, &known(), &DraftCosts::per_draft(1e-9), 7)),
            "abcabca"
        );
    }

    #[test]
    fn a_copy_takes_a_fraction_of_the_steps() {
        let (n_steps, n_rows) = run(&format!("Repeat this:\n{CODE}\nHere it is:\n"), CODE, COST);
        assert!(n_steps * 4 < CODE.len(), "{n_steps} steps for {} tokens", CODE.len());
        assert!(n_rows < CODE.len() * 3 / 2, "{n_rows} rows");
    }

    #[test]
    fn what_was_generated_for_another_request_is_copied_too() {
        let (prompt, answer) = ("// A bank account.\n", CODE);
        let mut earlier = known();
        let (n_alone, _) = run(prompt, answer, COST);
        earlier.add(&tokens(&format!("{prompt}{answer}")));
        let (n_steps, n_rows) = run_after(&mut earlier, prompt, answer, COST);
        assert!(n_steps * 4 < n_alone, "{n_steps} steps, {n_alone} without the earlier text");
        assert!(n_rows < answer.len() * 3 / 2, "{n_rows} rows");
        // It was generated up to its end; nothing is drafted beyond, or from the text that was added next.
        earlier.add(&tokens("something else"));
        let held = tokens(&format!("{prompt}{answer}"));
        let lookup = Lookup::new(&held, &earlier);
        let drafts = lookup.draft(&held, &earlier, &DraftCosts::per_draft(1e-9), MAX_DRAFTS);
        assert!(drafts.iter().all(|it| *it < 256) && !text(&drafts).starts_with("so"), "{drafts:?}");
    }

    #[test]
    fn a_changed_name_is_changed_in_what_was_generated_earlier_too() {
        let mut earlier = known();
        earlier.add(&tokens(&format!("Write this:\n{CODE}")));
        let renamed = CODE.replace("sum", "subtotal");
        let (n_steps, _) = run_after(&mut earlier, "Write this:\n", &renamed, COST);
        assert!(n_steps * 2 < renamed.len(), "{n_steps} steps for {} tokens", renamed.len());
    }

    #[test]
    fn texts_that_never_predict_anything_cost_little() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut noise =
            |n| (0..n).map(|_| random.choice(['a', 'b', 'c', 'd']).unwrap_or('a')).collect::<String>();
        let mut earlier = known();
        earlier.add(&tokens(&noise(400)));
        let (mut n_wasted, mut n_drawn) = (0, 0);
        for _ in 0..8 {
            let (prompt, answer) = (noise(20), noise(50));
            let (n_steps, n_rows) = run_after(&mut earlier, &prompt, &answer, COST);
            (n_wasted, n_drawn) = (n_wasted + n_rows - answer.len().max(n_steps), n_drawn + answer.len());
        }
        assert!(n_wasted * 10 < n_drawn, "{n_wasted} rejected drafts for {n_drawn} tokens");
    }

    #[test]
    fn a_copy_continues_after_a_renamed_variable() {
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

    /// The state after `answer` was drawn after `prompt`.
    fn after(prompt: &str, answer: &str) -> (Vec<TokenId>, Lookup) {
        let mut held = words(prompt);
        let n_prompt = held.len();
        let mut lookup = Lookup::new(&held, &known());
        held.extend(words(answer));
        lookup.observe(&held, held.len() - n_prompt, &mut known());
        (held, lookup)
    }

    #[test]
    fn a_changed_name_is_changed_where_it_occurs_again() {
        let prompt = "for x in list do old += x ; print old ; return old + 1 ; end edit this";
        for (new, answer) in
            [("new", "for x in list do new += x ;"), ("the new name", "for x in list do the new name += x ;")]
        {
            let (held, lookup) = after(prompt, answer);
            let expected = words(&"print old ; return old + 1 ; end".replace("old", new));
            let drafts = lookup.draft(&held, &known(), &DraftCosts::per_draft(1e-9), expected.len());
            assert_eq!(drafts, expected, "{new}");
            // Also while the new name is being written.
            let (mut held, mut lookup) = after(prompt, answer);
            for (n, token) in expected.iter().enumerate() {
                assert_eq!(
                    lookup.draft(&held, &known(), &DraftCosts::per_draft(1e-9), MAX_DRAFTS)
                        [..expected.len() - n],
                    expected[n..],
                    "{new}"
                );
                held.push(*token);
                lookup.observe(&held, 1, &mut known());
            }
        }
    }

    #[test]
    fn a_name_that_is_kept_once_is_no_longer_changed() {
        let prompt = "for x in list do old += x ; print old ; return old + 1 ; end edit this";
        let (held, lookup) = after(prompt, "for x in list do new += x ; print old");
        assert_eq!(lookup.draft(&held, &known(), &DraftCosts::per_draft(0.01), 5), words("; return old + 1"));
    }

    #[test]
    fn a_copy_is_followed_if_the_drafted_tokens_are_drawn() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let n_letters = random.u32(2..6);
            let mut held: Vec<TokenId> = (0..60).map(|_| random.u32(0..n_letters)).collect();
            let mut lookup = Lookup::new(&held, &known());
            for _ in 0..200 {
                let mut new = lookup.draft(&held, &known(), &DraftCosts::per_draft(0.01), 8);
                let is_all = random.bool();
                if !is_all {
                    new.truncate(random.usize(0..=new.len()));
                    new.push(random.u32(0..n_letters));
                }
                if new.is_empty() {
                    continue;
                }
                held.extend_from_slice(&new);
                lookup.observe(&held, new.len(), &mut known());
                assert!(!is_all || lookup.current.is_some(), "seed {seed}");
            }
        }
    }

    #[test]
    fn a_text_that_copies_nothing_gets_hardly_any_drafts() {
        // There are few different letters, so short matches are frequent and meaningless.
        let mut random = fastrand::Rng::with_seed(1);
        let mut noise =
            |n| (0..n).map(|_| random.choice(['a', 'b', 'c', 'd']).unwrap_or('a')).collect::<String>();
        let (prompt, answer) = (noise(400), noise(400));
        let (n_steps, n_rows) = run(&prompt, &answer, COST);
        let n_wasted = n_rows - answer.len().max(n_steps);
        assert!(n_wasted * 10 < answer.len(), "{n_wasted} rejected drafts in {n_steps} steps");
    }

    #[test]
    fn an_expensive_draft_is_made_less_often() {
        let prompt = format!("Repeat this:\n{CODE}\nHere it is:\n{}", &CODE[..40]);
        let held = tokens(&prompt);
        let lookup = Lookup::new(&held, &known());
        let length = |cost| lookup.draft(&held, &known(), &DraftCosts::per_draft(cost), MAX_DRAFTS).len();
        assert_eq!(length(1.0), 0);
        assert!(length(0.8) < length(0.3));
        assert_eq!(length(0.01), MAX_DRAFTS);
        assert_eq!(lookup.draft(&held, &known(), &DraftCosts::per_draft(0.01), 3).len(), 3);
    }
}
