//! How many answers a line must get: [`Expected`].
//!
//! A request has one answer, and so has what is no message at all. A notification and a response have none. For some
//! lines the protocol leaves it open, such as one that lacks an id and is no valid notification either.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde_json::Value;

/// The most entries of a batch.
const MAX_BATCH: usize = 256;
/// What ends the worker is not sent.
const ENDING: [&str; 2] = ["exit", "shutdown"];

/// The answers that some lines must get.
#[derive(Debug, Default)]
pub(super) struct Expected {
    least: usize,
    most: usize,
    /// For each id, as it is written: the most answers with it. The others have the id null.
    of_ids: HashMap<String, usize>,
    /// The most answers to lines that are JSON but cannot be read here, because they are nested too deeply or have too
    /// large a number. Their ids are not known.
    n_unread: usize,
}

impl Expected {
    /// Whether the line may be sent; then its answers are added.
    pub(super) fn add(&mut self, line: &[u8]) -> bool {
        if line.trim_ascii().is_empty() {
            return false;
        }
        let message = match serde_json::from_slice::<Value>(line) {
            Ok(message) => message,
            Err(error) => {
                let error = error.to_string();
                let is_json =
                    error.starts_with("recursion limit") || error.starts_with("number out of range");
                self.n_unread += if is_json { MAX_BATCH } else { 0 };
                self.add_number(if is_json { 0..=MAX_BATCH } else { 1..=1 });
                return true;
            }
        };
        let entries = match &message {
            Value::Array(entries) if (1..=MAX_BATCH).contains(&entries.len()) => entries.as_slice(),
            other => std::slice::from_ref(other),
        };
        if entries.iter().any(|it| it["method"].as_str().is_some_and(|it| ENDING.contains(&it))) {
            return false;
        }
        // An object with a name twice may be refused, also if it is meant as a notification.
        let n_names = line.windows(2).filter(|it| it == b"\":").count();
        let may_repeat = n_names > entries.iter().map(n_names_in).sum::<usize>();
        for entry in entries {
            let number = number_of_answers(entry);
            self.add_number(if may_repeat { *number.start()..=1 } else { number });
            if let Some(id) = entry.get("id") {
                *self.of_ids.entry(id.to_string()).or_default() += 1;
            }
        }
        true
    }

    fn add_number(&mut self, number: RangeInclusive<usize>) {
        self.least += number.start();
        self.most += number.end();
    }

    pub(super) fn least(&self) -> usize {
        self.least
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Ids, as they are written, that have fewer answers than requests.
    pub(super) fn unanswered(&self, of_ids: &HashMap<String, usize>) -> Vec<&str> {
        let is_open = |id: &str, n: usize| of_ids.get(id).copied().unwrap_or_default() < n;
        let is_valid = |id: &str| !id.starts_with(['{', '[', 'n', 't', 'f']);
        self.of_ids
            .iter()
            .filter(|(id, n)| is_valid(id) && is_open(id, **n))
            .map(|it| it.0.as_str())
            .collect()
    }

    /// What is wrong with these answers, of which `of_ids` have the id that is written so.
    pub(super) fn fault(&self, n_answers: usize, of_ids: &HashMap<String, usize>) -> Option<String> {
        if !(self.least..=self.most).contains(&n_answers) {
            return Some(format!(
                "expected {} to {} answers, got {n_answers}, of which {} without an id",
                self.least,
                self.most,
                of_ids.get("null").copied().unwrap_or_default()
            ));
        }
        let excess = of_ids.iter().filter(|it| it.0 != "null").map(|(id, n)| {
            let most = self.of_ids.get(id).copied().unwrap_or_default();
            (id, n.saturating_sub(most))
        });
        let excess: Vec<_> = excess.filter(|it| it.1 > 0).collect();
        let n_excess: usize = excess.iter().map(|it| it.1).sum();
        (n_excess > self.n_unread).then(|| format!("too many answers with these ids: {excess:?}"))
    }
}

/// The names of all objects in it.
fn n_names_in(value: &Value) -> usize {
    match value {
        Value::Array(entries) => entries.iter().map(n_names_in).sum(),
        Value::Object(entries) => entries.len() + entries.values().map(n_names_in).sum::<usize>(),
        _ => 0,
    }
}

fn number_of_answers(message: &Value) -> RangeInclusive<usize> {
    let Some(object) = message.as_object() else { return 1..=1 };
    let is_response =
        !object.contains_key("method") && (object.contains_key("result") || object.contains_key("error"));
    if is_response {
        return 0..=0;
    }
    let is_valid = object.get("jsonrpc").is_some_and(|it| it == "2.0")
        && object.get("method").is_some_and(Value::is_string)
        && object.get("params").is_none_or(|it| it.is_object() || it.is_array());
    match (object.contains_key("id"), is_valid) {
        (true, _) => 1..=1,
        (false, true) => 0..=0,
        // It might be meant as a notification, which is never answered.
        (false, false) => 0..=1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(lines: &[&str], answers: &[&str]) -> Option<String> {
        let mut expected = Expected::default();
        for line in lines {
            assert!(expected.add(line.as_bytes()), "{line}");
        }
        let mut of_ids: HashMap<String, usize> = HashMap::new();
        for id in answers {
            *of_ids.entry((*id).to_owned()).or_default() += 1;
        }
        expected.fault(answers.len(), &of_ids)
    }

    #[test]
    fn a_request_has_one_answer_and_a_notification_none() {
        let request = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
        assert_eq!(fault(&[request], &["1"]), None);
        assert_eq!(fault(&[request], &["null"]), None, "an id in use");
        assert!(fault(&[request], &[]).is_some_and(|it| it.contains("got 0")));
        assert!(fault(&[request], &["1", "1"]).is_some_and(|it| it.contains("got 2")));
        assert!(fault(&[request], &["2"]).is_some_and(|it| it.contains("\"2\"")));
        assert!(fault(&[r#"{"jsonrpc":"2.0","method":"m"}"#], &["null"]).is_some());
        let twice = r#"{"jsonrpc":"2.0","method":"m","method":"m"}"#;
        assert_eq!((fault(&[twice], &[]), fault(&[twice], &["null"])), (None, None));
        assert_eq!(fault(&[r#"{"id":4,"result":5}"#, r#"{"jsonrpc":"2.0","method":"m"}"#], &[]), None);
    }

    #[test]
    fn what_is_no_message_and_each_entry_of_a_batch_has_an_answer() {
        assert_eq!(fault(&["{", "7", "[]"], &["null", "null", "null"]), None);
        assert_eq!(fault(&[r#"[{"id":"a","method":"m"},8]"#], &["\"a\"", "null"]), None);
        assert!(fault(&[r#"[{"id":"a","method":"m"},8]"#], &["\"a\""]).is_some());
    }

    #[test]
    fn what_ends_the_worker_and_empty_lines_are_not_sent() {
        let mut expected = Expected::default();
        assert!(!expected.add(br#"{"jsonrpc":"2.0","method":"exit"}"#));
        assert!(!expected.add(br#"[{"id":1,"method":"shutdown"}]"#));
        assert!(!expected.add(b" "));
        assert_eq!(expected.least(), 0);
    }
}
