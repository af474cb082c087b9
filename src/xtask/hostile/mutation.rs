//! Valid messages made hostile: [`Mutator`] changes a value in them, or their bytes.

use serde_json::{Map, Value, json};

/// The depth of the nested values that are put in. Two of them within each other are beyond what JSON parsers take.
const DEPTH: usize = 100;
const LONG: usize = 20_000;

pub(crate) struct Mutator {
    random: fastrand::Rng,
    /// What is changed: messages of the protocol's transcripts.
    seeds: Vec<Value>,
    n_made: u64,
}

impl Mutator {
    /// `seeds` are messages; there is at least one.
    pub(crate) fn new(seeds: Vec<Value>, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), seeds, n_made: 0 }
    }

    /// A line, without its end.
    pub(super) fn line(&mut self) -> Vec<u8> {
        let mut message = self.seeds[self.random.usize(0..self.seeds.len())].clone();
        self.n_made += 1;
        for entry in message.as_array_mut().map_or_else(Vec::new, |it| it.iter_mut().collect()) {
            self.n_made += 1;
            renumber(entry, self.n_made);
        }
        renumber(&mut message, self.n_made);
        for _ in 0..self.random.usize(0..3) {
            let mut n = count(&message);
            n = self.random.usize(0..n.max(1));
            self.change(&mut message, &mut n);
        }
        let mut line = message.to_string().into_bytes();
        if self.random.u8(0..4) == 0 {
            for _ in 0..self.random.usize(1..4) {
                self.damage(&mut line);
            }
        }
        line.retain(|it| !matches!(it, b'\n' | b'\r'));
        line
    }

    /// The contents of a file, damaged. Of JSON, a value is changed as often as bytes are.
    pub(crate) fn file(&mut self, contents: &[u8]) -> Vec<u8> {
        if self.random.bool()
            && let Ok(mut value) = serde_json::from_slice::<Value>(contents)
        {
            let mut n = self.random.usize(0..count(&value));
            self.change(&mut value, &mut n);
            return value.to_string().into_bytes();
        }
        let mut damaged = contents.to_vec();
        for _ in 0..self.random.usize(1..4) {
            self.damage(&mut damaged);
        }
        damaged
    }

    /// Changes the `n`th value in `value`, counted as [`count`] does.
    fn change(&mut self, value: &mut Value, n: &mut usize) -> bool {
        if *n == 0 {
            *value = self.replacement(value);
            return true;
        }
        *n -= 1;
        match value {
            Value::Array(entries) => entries.iter_mut().any(|it| self.change(it, n)),
            Value::Object(entries) => {
                if *n == 0 {
                    self.change_names(entries);
                    return true;
                }
                *n -= 1;
                entries.values_mut().any(|it| self.change(it, n))
            }
            _ => false,
        }
    }

    fn change_names(&mut self, entries: &mut Map<String, Value>) {
        let Some(name) = entries.keys().nth(self.random.usize(0..entries.len().max(1))).cloned() else {
            return;
        };
        let value = entries.remove(&name).unwrap_or_default();
        match self.random.u8(0..3) {
            0 => {}
            1 => drop(entries.insert(format!("{name}s"), value)),
            _ => {
                entries.insert("x".repeat(self.random.usize(0..3)), value.clone());
                entries.insert(name, value);
            }
        }
    }

    fn replacement(&mut self, old: &Value) -> Value {
        match self.random.u8(0..16) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(0),
            4 => json!(u64::MAX),
            5 => json!(i64::MIN),
            6 => json!(1e308),
            7 => json!(0.5),
            8 => json!(""),
            9 => json!("\u{0}\u{2028}\u{feff}\u{1f469}\u{200d}\u{1f4bb}"),
            10 => json!("a ".repeat(self.random.usize(0..LONG))),
            11 => json!([]),
            12 => json!({}),
            13 => json!([old, old]),
            14 => (0..self.random.usize(1..DEPTH)).fold(old.clone(), |inner, _| json!([inner])),
            _ => json!({"x": old}),
        }
    }

    fn damage(&mut self, line: &mut Vec<u8>) {
        let at = self.random.usize(0..=line.len());
        match self.random.u8(0..5) {
            0 => line.truncate(at),
            1 => line.insert(at, self.random.u8(..)),
            2 => drop(line.drain(..at)),
            3 if at < line.len() => line[at] ^= 1 << self.random.u8(0..8),
            _ => {
                let copy = line[at..(at + 40).min(line.len())].to_vec();
                line.splice(at..at, copy);
            }
        }
    }
}

/// The values in `value`, and for each object one more, which stands for its names.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(entries) => 1 + entries.iter().map(count).sum::<usize>(),
        Value::Object(entries) => 2 + entries.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Gives a request an id of its own.
fn renumber(message: &mut Value, number: u64) {
    if let Some(id) = message.as_object_mut().and_then(|it| it.get_mut("id")) {
        *id = json!(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_can_be_changed() {
        let message = json!({"id": 1, "params": {"list": [1, "two"], "deep": {"x": null}}});
        let mut mutator = Mutator::new(vec![message.clone()], 3);
        for n in 0..count(&message) {
            let changed = (0..50).any(|_| {
                let mut copy = message.clone();
                assert!(mutator.change(&mut copy, &mut n.clone()), "{n}");
                copy != message
            });
            assert!(changed, "{n}");
        }
        assert!(!mutator.change(&mut message.clone(), &mut count(&message)));
    }

    #[test]
    fn a_damaged_file_is_another_one() {
        let mut mutator = Mutator::new(Vec::new(), 7);
        for contents in [&b"{\"a\": [1, 2]}"[..], b"GGUF\x03\0\0\0"] {
            assert!((0..50).any(|_| mutator.file(contents) != contents));
        }
    }

    #[test]
    fn a_line_has_no_end_of_line_in_it() {
        let mut mutator = Mutator::new(vec![json!({"id": 1, "method": "x"})], 5);
        let lines: Vec<Vec<u8>> = (0..500).map(|_| mutator.line()).collect();
        assert!(lines.iter().flatten().all(|it| *it != b'\n'));
        assert!(lines.iter().any(|it| serde_json::from_slice::<Value>(it).is_err()));
        assert!(lines.iter().any(|it| serde_json::from_slice::<Value>(it).is_ok()));
    }
}
