//! Tells a model's thoughts from its answer: [`Thoughts`].
//!
//! Models that think before they answer write their thoughts between `<think>` and `</think>`, in pieces that may end
//! within such a tag. Only what comes first can be a thought: a tag within an answer is part of it.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Thought(String),
    Answer(String),
}

/// Takes the text of a reply in pieces.
#[derive(Debug)]
pub(super) struct Thoughts {
    stage: Stage,
    /// What may be part of a tag.
    held: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing but white space so far.
    Start,
    Thinking,
    /// Thinking is over, and nothing but white space came since.
    Thought,
    Answering,
}

impl Thoughts {
    /// `is_thinking` says whether the prompt has already opened the thoughts, as the templates of some models do.
    pub(super) fn new(is_thinking: bool) -> Self {
        Self { stage: if is_thinking { Stage::Thinking } else { Stage::Start }, held: String::new() }
    }

    /// Takes more text and returns what it makes certain.
    pub(super) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        self.read(false)
    }

    /// Returns the rest. Nothing comes after it.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        self.read(true)
    }

    fn read(&mut self, is_end: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        loop {
            match self.stage {
                Stage::Start => {
                    let text = self.held.trim_start();
                    if let Some(rest) = text.strip_prefix(BEGIN) {
                        self.held = rest.to_owned();
                        self.stage = Stage::Thinking;
                    } else if !is_end && BEGIN.starts_with(text) {
                        return pieces;
                    } else {
                        self.stage = Stage::Answering;
                    }
                }
                Stage::Thinking => {
                    if let Some((thought, rest)) = self.held.split_once(END) {
                        pieces.extend(thought_piece(thought.trim_end()));
                        self.held = rest.to_owned();
                        self.stage = Stage::Thought;
                    } else {
                        // White space before the end tag is no part of the thought, so it waits.
                        let n_held = if is_end { 0 } else { undecided(&self.held) };
                        let rest = self.held.split_off(self.held.len() - n_held);
                        pieces.extend(thought_piece(&self.held));
                        self.held = rest;
                        return pieces;
                    }
                }
                Stage::Thought => {
                    self.held = self.held.trim_start().to_owned();
                    if self.held.is_empty() {
                        return pieces;
                    }
                    self.stage = Stage::Answering;
                }
                Stage::Answering => {
                    if !self.held.is_empty() {
                        pieces.push(Piece::Answer(std::mem::take(&mut self.held)));
                    }
                    return pieces;
                }
            }
        }
    }
}

fn thought_piece(text: &str) -> Option<Piece> {
    (!text.is_empty()).then(|| Piece::Thought(text.to_owned()))
}

/// The number of bytes at the end that may be the end tag's beginning, with the white space before it.
fn undecided(text: &str) -> usize {
    let n_tag = (0..=END.len().min(text.len())).rev().find(|it| text.ends_with(&END[..*it])).unwrap_or(0);
    text.len() - text[..text.len() - n_tag].trim_end().len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// The thoughts and the answer of a reply that comes in these pieces.
    fn told<'a>(is_thinking: bool, pieces: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let mut thoughts = Thoughts::new(is_thinking);
        let mut all: Vec<Piece> = pieces.into_iter().flat_map(|it| thoughts.push(it)).collect();
        all.extend(thoughts.finish());
        let (mut thought, mut answer) = (String::new(), String::new());
        for piece in all {
            match piece {
                Piece::Thought(text) => {
                    assert!(answer.is_empty(), "a thought after the answer has begun");
                    thought += &text;
                }
                Piece::Answer(text) => answer += &text,
            }
        }
        (thought, answer)
    }

    #[test]
    fn thoughts_are_what_the_tags_enclose_at_the_beginning() {
        for (reply, thought, answer) in [
            ("<think>\nhm\n</think>\n\nYes.\n", "\nhm", "Yes.\n"),
            (" \n<think>hm</think>Yes.", "hm", "Yes."),
            ("<think></think>Yes.", "", "Yes."),
            ("<think>never ends", "never ends", ""),
            ("Yes. <think>hm</think>", "", "Yes. <think>hm</think>"),
            ("<thinker>Yes.", "", "<thinker>Yes."),
            ("  Yes.", "", "  Yes."),
            ("<think>a</think>b</think>c", "a", "b</think>c"),
            ("<thi", "", "<thi"),
            ("<think>a </thin", "a </thin", ""),
            ("", "", ""),
        ] {
            assert_eq!(told(false, [reply]), (thought.to_owned(), answer.to_owned()), "{reply}");
        }
    }

    #[test]
    fn the_prompt_may_have_opened_the_thoughts() {
        assert_eq!(told(true, ["hm</think>Yes."]), ("hm".to_owned(), "Yes.".to_owned()));
        assert_eq!(told(true, ["hm"]), ("hm".to_owned(), String::new()));
    }

    #[test]
    fn what_is_certain_is_told_at_once() {
        let mut thoughts = Thoughts::new(false);
        assert_eq!(thoughts.push("<think>so"), [Piece::Thought("so".into())]);
        assert_eq!(thoughts.push(" </th"), []);
        assert_eq!(thoughts.push("us"), [Piece::Thought(" </thus".into())]);
        assert_eq!(thoughts.push("</think>Y"), [Piece::Answer("Y".into())]);
        assert_eq!(thoughts.push("es"), [Piece::Answer("es".into())]);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(
            reply in "[ \n]{0,2}(<think>)?([a<ä \n]|</think>|</thi){0,12}",
            cuts in prop::collection::vec(0_usize..60, 0..6),
            is_thinking: bool,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|it| reply.is_char_boundary(*it)).collect();
            cuts.extend([0, reply.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|it| &reply[it[0]..it[1]]);
            prop_assert_eq!(told(is_thinking, pieces), told(is_thinking, [reply.as_str()]));
        }
    }
}
