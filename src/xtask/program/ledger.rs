//! What was asked and what came back: [`Ledger`]. Each request gets one answer, and nothing comes after it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

/// How the answer of a request is looked at.
pub(crate) type Check = fn(&Value) -> Result<(), String>;

/// What has come for a request.
#[derive(Default)]
struct Kept {
    has_text: bool,
    answer: Option<Value>,
}

/// The requests of one program.
#[derive(Default)]
pub(crate) struct Ledger {
    open: HashMap<u64, Check>,
    /// Requests that may stay without an answer, since they were cancelled in a protocol where that ends them.
    dropped: HashSet<u64>,
    pub(crate) n_asked: u64,
    pub(crate) n_answered: u64,
    /// The number of errors, by their message's kind.
    pub(crate) errors: BTreeMap<String, u64>,
    /// What has come for the requests whose answers are wanted whole.
    kept: HashMap<u64, Kept>,
    /// What must not happen, such as a second answer.
    pub(crate) faults: Vec<String>,
}

impl Ledger {
    pub(crate) fn ask(&mut self, id: u64, check: Check) {
        self.n_asked += 1;
        self.open.insert(id, check);
    }

    /// Keeps the whole message that will answer a request.
    pub(crate) fn keep(&mut self, id: u64) {
        self.kept.insert(id, Kept::default());
    }

    /// Takes the message that answered a request which is [kept](Self::keep), if it has come.
    pub(crate) fn take(&mut self, id: u64) -> Option<Value> {
        let answer = self.kept.get_mut(&id)?.answer.take();
        if answer.is_some() {
            self.kept.remove(&id);
        }
        answer
    }

    /// Whether a part of the text of a request that is [kept](Self::keep), or its answer, has come.
    pub(crate) fn has_begun(&self, id: u64) -> bool {
        self.kept.get(&id).is_none_or(|it| it.has_text || it.answer.is_some())
    }

    /// Records that a request was cancelled and need not be answered.
    pub(crate) fn drop_answer(&mut self, id: u64) {
        if self.open.remove(&id).is_some() {
            self.dropped.insert(id);
        }
    }

    pub(crate) fn n_open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn n_dropped(&self) -> usize {
        self.dropped.len()
    }

    /// Takes in a line that the program wrote.
    pub(crate) fn hear(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return self.faults.push(format!("a line that is no JSON: `{}`", shortened(line)));
        };
        match (message.get("id").and_then(Value::as_u64), message["method"].as_str()) {
            (Some(id), None) => self.hear_answer(id, message),
            (_, Some("delta")) => {
                let of = message["params"]["id"].as_u64().filter(|it| self.open.contains_key(it));
                if let Some(kept) = of.and_then(|it| self.kept.get_mut(&it)) {
                    kept.has_text = true;
                }
                if of.is_none() {
                    self.faults.push(format!("a text for no request: {}", shortened(line)));
                }
            }
            (_, Some(_)) => {}
            (None, None) => self.faults.push(format!("an answer without an id: {}", shortened(line))),
        }
    }

    fn hear_answer(&mut self, id: u64, message: Value) {
        if self.dropped.remove(&id) {
            return;
        }
        let Some(check) = self.open.remove(&id) else {
            return self.faults.push(format!("a second answer to request {id}"));
        };
        self.n_answered += 1;
        if let Some(error) = message.get("error") {
            let kind =
                error["data"]["kind"].as_str().map_or_else(|| error["code"].to_string(), str::to_owned);
            *self.errors.entry(kind).or_default() += 1;
        } else if let Err(fault) = check(&message["result"]) {
            self.faults.push(format!("request {id}: {fault}"));
        }
        if let Some(kept) = self.kept.get_mut(&id) {
            kept.answer = Some(message);
        }
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(lines: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.ask(1, |_| Ok(()));
        ledger.ask(2, |result| if result["ok"] == true { Ok(()) } else { Err("not ok".to_owned()) });
        for line in lines {
            ledger.hear(line);
        }
        ledger
    }

    #[test]
    fn an_answer_each_and_nothing_else_is_as_it_should_be() {
        let delta = r#"{"method":"delta","params":{"id":1,"seq":0,"text":"x"}}"#;
        let answers = [
            r#"{"id":1,"error":{"code":-32800,"data":{"kind":"overloaded"}}}"#,
            r#"{"id":2,"result":{"ok":true}}"#,
        ];
        let ledger = ledger(&[delta, r#"{"method":"status","params":{}}"#, answers[0], answers[1]]);
        assert_eq!((ledger.faults.len(), ledger.n_open(), ledger.n_asked, ledger.n_answered), (0, 0, 2, 2));
        assert_eq!(ledger.errors["overloaded"], 1);
    }

    #[test]
    fn each_fault_is_told() {
        let answer = r#"{"id":1,"result":{}}"#;
        let cases: [(&[&str], &str); 6] = [
            (&[answer, answer], "a second answer to request 1"),
            (&[r#"{"id":9,"result":{}}"#], "a second answer to request 9"),
            (&[answer, r#"{"method":"delta","params":{"id":1}}"#], "a text for no request"),
            (&["not json"], "a line that is no JSON"),
            (&[r#"{"id":null,"error":{}}"#], "an answer without an id"),
            (&[r#"{"id":2,"result":{"ok":false}}"#], "request 2: not ok"),
        ];
        for (lines, fault) in cases {
            let ledger = ledger(lines);
            assert!(ledger.faults.len() == 1 && ledger.faults[0].contains(fault), "{:?}", ledger.faults);
        }
        assert_eq!(ledger(&[answer]).n_open(), 1);
    }

    #[test]
    fn a_dropped_request_may_be_answered_once() {
        let mut ledger = ledger(&[]);
        ledger.drop_answer(1);
        assert_eq!((ledger.n_open(), ledger.n_dropped()), (1, 1));
        ledger.hear(r#"{"id":1,"result":{}}"#);
        assert!(ledger.faults.is_empty());
        ledger.hear(r#"{"id":1,"result":{}}"#);
        assert_eq!(ledger.faults.len(), 1);
    }
}
