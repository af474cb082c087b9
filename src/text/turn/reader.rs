//! Reads a model's turn piece by piece: [`TurnReader`].

use super::format::{Frame, TurnFormat};
use super::harmony::Harmony;
use super::tagged::Tagged;
use super::tools::Tools;
use super::written::{Piece, Turn, Written};

/// Takes the text of a turn in pieces.
#[derive(Debug)]
pub struct TurnReader {
    reader: Reader,
    written: Written,
}

#[derive(Debug)]
enum Reader {
    Tagged(Tagged),
    Harmony(Harmony),
}

impl TurnReader {
    /// `tools` are those that the model may call; without any, nothing is a call. `is_reasoning` says whether the
    /// prompt ends within reasoning. Ids of calls follow from `seed`, which should tell this turn from others.
    pub fn new(format: TurnFormat, tools: Tools, is_reasoning: bool, seed: u64) -> Self {
        let calls = format.calls.filter(|_| tools.names().next().is_some());
        let reader = match format.frame {
            Frame::Tags(tags) => Reader::Tagged(Tagged::new(tags, calls, is_reasoning)),
            Frame::Harmony => Reader::Harmony(Harmony::default()),
        };
        Self { reader, written: Written::new(tools, seed) }
    }

    /// Takes more text and returns what it makes certain.
    pub fn push(&mut self, text: &str) -> Vec<Piece> {
        match &mut self.reader {
            Reader::Tagged(it) => it.push(text, &mut self.written),
            Reader::Harmony(it) => it.push(text, &mut self.written),
        }
        self.written.take_pieces()
    }

    /// Returns the rest. Nothing comes after it.
    pub fn finish(&mut self) -> Vec<Piece> {
        match &mut self.reader {
            Reader::Tagged(it) => it.finish(&mut self.written),
            Reader::Harmony(it) => it.finish(&mut self.written),
        }
        self.written.take_pieces()
    }

    /// The turn so far.
    pub fn turn(self) -> Turn {
        self.written.into_turn()
    }
}

#[cfg(test)]
mod tests;
