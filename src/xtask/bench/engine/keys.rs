//! A user who types in a real source file, with a request at every keystroke.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The file, as it is after all keystrokes.
const FILE: &str = include_str!("../../../text/stop.rs");
/// A fast typist.
const KEY_INTERVAL: Duration = Duration::from_millis(100);

/// A sequence of keystrokes.
pub(super) struct Keys {
    /// The text before the first keystroke.
    pub(super) before: &'static str,
    /// The text behind the cursor, which does not change.
    pub(super) suffix: &'static str,
    /// The text before the cursor after each keystroke.
    prefixes: Vec<&'static str>,
    pub(super) max_tokens: usize,
}

impl Keys {
    pub(super) fn new(n_keys: usize) -> Result<Self> {
        let start = FILE.find("\n    pub").context("a place to type at")?;
        let ends = FILE[start..].char_indices().map(|(at, it)| start + at + it.len_utf8());
        let prefixes: Vec<&str> = ends.take(n_keys).map(|end| &FILE[..end]).collect();
        let end = prefixes.last().context("at least one key")?.len();
        Ok(Self { before: &FILE[..start], suffix: &FILE[end..], prefixes, max_tokens: 32 })
    }

    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// The text before the cursor after each keystroke, returned at the time of the keystroke.
    pub(super) fn paced(&self) -> impl Iterator<Item = &'static str> {
        let mut next = Instant::now();
        self.prefixes.iter().map(move |prefix| {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += KEY_INTERVAL;
            *prefix
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_key_adds_one_character_and_the_result_is_the_file() {
        let keys = Keys::new(50).unwrap();
        assert_eq!(keys.len(), 50);
        let mut n_before = keys.before.chars().count();
        for prefix in &keys.prefixes {
            n_before += 1;
            assert_eq!(prefix.chars().count(), n_before);
            assert!(FILE.starts_with(prefix));
        }
        assert_eq!(format!("{}{}", keys.prefixes[49], keys.suffix), FILE);
    }
}
