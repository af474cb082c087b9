//! Checks the guarantees that hold for every conversation: one response per request, deltas numbered from 0 and none
//! after the response, all deltas together equal to the text of the result, and messages of the documented types.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::contract;
use super::message::{WithId, entries, ids};

/// The requests of a conversation, by the text of their ids.
#[derive(Default)]
pub(super) struct Requests(HashMap<String, Request>);

/// What has arrived for a request.
#[derive(Default)]
struct Request {
    method: String,
    is_streamed: bool,
    n_deltas: u64,
    /// The joined deltas, by choice.
    texts: HashMap<u64, String>,
    /// The joined deltas that are reasoning.
    reasoning: String,
    is_answered: bool,
}

impl Requests {
    /// Records the requests that the client sends.
    pub(super) fn note(&mut self, sent: &RawValue) {
        for (message, id) in entries(sent).iter().zip(ids(sent)) {
            let is_request = message["id"].is_string() || message["id"].is_number();
            let is_answer = message.get("result").is_some() || message.get("error").is_some();
            // A request with an id in use is refused, and the earlier request with that id continues.
            let id = id.filter(|it| self.0.get(it).is_none_or(|it| it.is_answered));
            if let Some(id) = id.filter(|_| is_request && !is_answer) {
                let method = message["method"].as_str().unwrap_or_default().to_owned();
                let is_streamed = message["params"]["stream"] != json!(false);
                self.0.insert(id, Request { method, is_streamed, ..Request::default() });
            }
        }
    }

    /// Checks a message of the worker.
    pub(super) fn check(&mut self, raw: &RawValue) -> Result<(), String> {
        entries(raw).iter().zip(ids(raw)).try_for_each(|(message, id)| {
            if message.get("method").is_some() {
                contract::check_notification(message)?;
                return if message["method"] == "delta" { self.check_delta(message, raw) } else { Ok(()) };
            }
            match id.map(|it| self.0.get_mut(&it)) {
                Some(Some(request)) => request.check_response(message),
                Some(None) => Err(format!("a response to no request: {message}")),
                None => contract::check_error(&message["error"]),
            }
        })
    }

    /// Checks that every request has been answered, at the end of the conversation.
    pub(super) fn check_end(&self) -> Result<(), String> {
        match self.0.iter().find(|(_, request)| !request.is_answered) {
            Some((id, _)) => Err(format!("request {id} was never answered")),
            None => Ok(()),
        }
    }

    fn check_delta(&mut self, delta: &Value, raw: &RawValue) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Delta<'a> {
            #[serde(borrow)]
            params: WithId<'a>,
        }
        let Delta { params } = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
        let request = params.id.and_then(|id| self.0.get_mut(id.get()));
        let request = request.ok_or_else(|| format!("a delta of no request: {delta}"))?;
        if request.is_answered {
            return Err(format!("a delta after the response: {delta}"));
        }
        if delta["params"]["seq"] != request.n_deltas {
            return Err(format!("expected delta {}, got {delta}", request.n_deltas));
        }
        request.n_deltas += 1;
        let choice = delta["params"]["choice"].as_u64().unwrap_or(0);
        let piece = delta["params"]["text"].as_str().unwrap_or_default();
        if delta["params"]["reasoning"] == true {
            request.reasoning.push_str(piece);
        } else {
            request.texts.entry(choice).or_default().push_str(piece);
        }
        Ok(())
    }
}

impl Request {
    fn check_response(&mut self, response: &Value) -> Result<(), String> {
        if std::mem::replace(&mut self.is_answered, true) {
            return Err(format!("a second response: {response}"));
        }
        let Some(result) = response.get("result") else {
            contract::check_error(&response["error"])?;
            let partial = response["error"]["data"].get("partial");
            return partial.map_or(Ok(()), |partial| self.check_text(0, partial));
        };
        contract::check_result(&self.method, result)?;
        match self.method.as_str() {
            "complete" => {
                self.check_text(0, &result["text"])?;
                let choices = result["choices"].as_array().into_iter().flatten();
                choices.zip(0..).try_for_each(|(it, choice)| self.check_text(choice, &it["text"]))
            }
            "chat" => {
                // A message that only calls tools has no content.
                let message = &result["message"];
                let content = if message["content"].is_null() { &json!("") } else { &message["content"] };
                self.check_text(0, content)?;
                let reasoning = message["reasoning"].as_str().unwrap_or_default();
                if !self.is_streamed || reasoning == self.reasoning {
                    Ok(())
                } else {
                    Err(format!("the deltas of reasoning are {:?}, but it is {reasoning:?}", self.reasoning))
                }
            }
            _ => Ok(()),
        }
    }

    fn check_text(&self, choice: u64, text: &Value) -> Result<(), String> {
        let streamed = self.texts.get(&choice).map_or("", String::as_str);
        let expected = if self.is_streamed { text.as_str() } else { Some("") };
        if expected == Some(streamed) {
            Ok(())
        } else {
            Err(format!("the deltas of choice {choice} together are {streamed:?}, but the text is {text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"jsonrpc": "2.0", "id": 1, "result": {"text": "ab", "finish_reason": "length",
        "usage": {"prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 2, "drafted_tokens": 0, "accepted_tokens": 0},
        "timing": {"queue_ms": 0, "prefill_ms": 0, "decode_ms": 0, "total_ms": 0}}}"#;
    const DELTA_0: &str =
        r#"{"jsonrpc": "2.0", "method": "delta", "params": {"id": 1, "seq": 0, "text": "a"}}"#;
    const DELTA_1: &str =
        r#"{"jsonrpc": "2.0", "method": "delta", "params": {"id": 1, "seq": 1, "text": "b"}}"#;

    /// The first violation found if a worker answers a completion with these messages.
    fn complaint(answers: &[&str]) -> Option<String> {
        let mut requests = Requests::default();
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        requests.note(&raw(r#"{"jsonrpc": "2.0", "id": 1, "method": "complete", "params": {"prefix": ""}}"#));
        let checked = answers.iter().try_for_each(|it| requests.check(&raw(it)));
        checked.and_then(|()| requests.check_end()).err()
    }

    #[test]
    fn a_correct_conversation_has_no_violation() {
        assert_eq!(complaint(&[DELTA_0, DELTA_1, RESULT]), None);
        let cancelled = r#"{"jsonrpc": "2.0", "id": 1, "error":
            {"code": -32800, "message": "request cancelled", "data": {"partial": "a"}}}"#;
        assert_eq!(complaint(&[DELTA_0, cancelled]), None);
    }

    #[test]
    fn every_violation_is_found() {
        let of_nobody =
            r#"{"jsonrpc": "2.0", "method": "delta", "params": {"id": 1.0, "seq": 0, "text": "a"}}"#;
        let without_usage = r#"{"jsonrpc": "2.0", "id": 1, "result": {"text": "", "finish_reason": "eos"}}"#;
        let of_no_kind = r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": 1003, "message": "full"}}"#;
        let of_another_kind = r#"{"jsonrpc": "2.0", "id": 1, "error":
            {"code": 1003, "message": "full", "data": {"kind": "shutting_down"}}}"#;
        let table: [(&[&str], &str); 10] = [
            (&[DELTA_0, DELTA_1], "never answered"),
            (&[DELTA_0, DELTA_1, RESULT, RESULT], "a second response"),
            (&[DELTA_0, RESULT], "together"),
            (&[DELTA_1, DELTA_0, RESULT], "expected delta 0"),
            (&[DELTA_0, DELTA_0], "expected delta 1"),
            (&[DELTA_0, DELTA_1, RESULT, DELTA_0], "after the response"),
            (&[of_nobody], "a delta of no request"),
            (&[without_usage], "missing field `usage`"),
            (&[of_no_kind], "ErrorData"),
            (&[of_another_kind], "kind and code differ"),
        ];
        for (answers, expected) in table {
            let complaint = complaint(answers);
            assert!(complaint.as_ref().is_some_and(|it| it.contains(expected)), "{expected}: {complaint:?}");
        }
    }
}
