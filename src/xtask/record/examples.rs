//! The examples of a page, answered anew: see [`renewed`].

use std::ops::Range;

use anyhow::{Context, Result};
use serde_json::{Deserializer, Number, Value};

use crate::client::Client;

/// The notifications that clients send; every other one is the worker's.
const FROM_CLIENT: [&str; 3] = ["cancel", "$/cancelRequest", "exit"];
const MAX_COLUMNS: usize = 120;

/// A message in a block of the page.
struct Message {
    json: Value,
    /// Where it stands in the page.
    at: Range<usize>,
}

/// Messages that belong together: a block, and the blocks behind it that begin with what it is answered with.
type Exchange = Vec<Message>;

/// Sends the requests in the JSON blocks of `page` to the worker, by ascending ids, and puts its answers in the place of
/// those in the page. Between two requests of one block there are as many messages of the worker as in the page.
/// Blocks without a request that is answered in the page stay as they are.
pub(super) fn renewed(page: &str, mut client: Client) -> Result<String> {
    let mut exchanges: Vec<(u64, Exchange)> =
        exchanges(page)?.into_iter().filter_map(|it| Some((first_answered(&it)?, it))).collect();
    exchanges.sort_by_key(|(id, _)| *id);

    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for (i, (_, exchange)) in exchanges.iter().enumerate() {
        edits.extend(replayed(page, exchange, &mut client)?);
        if i == 0 {
            // So that the time to load the model is in no later answer.
            client.wait_until_ready()?;
        }
    }
    edits.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
    let mut renewed = page.to_owned();
    for (at, text) in edits {
        renewed.replace_range(at, &text);
    }
    Ok(renewed)
}

fn exchanges(page: &str) -> Result<Vec<Exchange>> {
    const OPEN: &str = "```json\n";
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut from = 0;
    while let Some(start) = page[from..].find(OPEN).map(|it| from + it + OPEN.len()) {
        let end = start + page[start..].find("```").context("a block does not end")?;
        let block = &page[start..end];
        let mut messages = Vec::new();
        let mut read = Deserializer::from_str(block).into_iter::<Value>();
        let mut begin = 0;
        while let Some(json) = read.next() {
            let at = start + begin..start + read.byte_offset();
            begin = read.byte_offset() + usize::from(block[read.byte_offset()..].starts_with('\n'));
            messages.push(Message { json: json?, at });
        }
        match exchanges.last_mut() {
            Some(last) if messages.first().is_some_and(|it| answers_a_request(&it.json)) => {
                last.extend(messages);
            }
            _ => exchanges.push(messages),
        }
        from = end;
    }
    Ok(exchanges)
}

fn is_from_client(message: &Value) -> bool {
    let method = message["method"].as_str();
    method.is_some_and(|it| message.get("id").is_some() || FROM_CLIENT.contains(&it))
}

/// Whether a message is a delta or a response.
fn answers_a_request(message: &Value) -> bool {
    message["method"].as_str().is_none_or(|it| it == "delta")
}

/// The id of the first request that the page shows an answer to.
fn first_answered(exchange: &Exchange) -> Option<u64> {
    exchange.iter().find(|it| it.json.get("method").is_none()).and_then(|it| it.json["id"].as_u64())
}

/// The places of the worker's messages, and what it says this time.
fn replayed(page: &str, exchange: &Exchange, client: &mut Client) -> Result<Vec<(Range<usize>, String)>> {
    let is_open = |message: &&Message| message.json.get("method").is_none();
    let mut unanswered: Vec<Value> =
        exchange.iter().filter(is_open).map(|it| it.json["id"].clone()).collect();
    let ids = unanswered.clone();
    let last_sent = exchange.iter().rposition(|it| is_from_client(&it.json)).unwrap_or(0);
    let last = exchange.len() - 1;

    let mut edits = Vec::new();
    for (i, message) in exchange.iter().enumerate() {
        if is_from_client(&message.json) {
            let one_line = message.json.to_string();
            client.send(&one_line)?;
            continue;
        }
        let mut answers = String::new();
        // In the place of the last one stands all that still comes.
        while if i < last_sent { answers.is_empty() } else { i == last && !unanswered.is_empty() } {
            let answer = client.wait_for(|it| concerns(it, &ids))?;
            if answer.get("method").is_none() {
                unanswered.retain(|id| *id != answer["id"]);
            }
            if !answers.is_empty() {
                answers.push('\n');
            }
            answers += &written(&answer);
        }
        let mut at = message.at.clone();
        if answers.is_empty() && page[at.end..].starts_with('\n') {
            at.end += 1;
        }
        edits.push((at, answers));
    }
    Ok(edits)
}

/// Whether a message is a delta of one of these requests, or the answer to it.
fn concerns(message: &Value, ids: &[Value]) -> bool {
    match message["method"].as_str() {
        None => ids.contains(&message["id"]),
        Some(method) => method == "delta" && ids.contains(&message["params"]["id"]),
    }
}

/// A message as the page shows it: with spaces, times rounded, and broken into lines where it is long.
fn written(message: &Value) -> String {
    let line = spaced(message);
    if line.len() <= MAX_COLUMNS {
        return line;
    }
    let key = if message.get("result").is_some() { "result" } else { "error" };
    let mut text = format!("{{\"jsonrpc\": \"2.0\", \"id\": {}, \"{key}\": {{", message["id"]);
    fill(&mut text, &message[key], 2, MAX_COLUMNS);
    text += "}}";
    text
}

/// Writes the members of `value` in lines that are as full as they can be, from `column` of a line on.
fn fill(text: &mut String, value: &Value, indent: usize, mut column: usize) {
    let room = MAX_COLUMNS - 1;
    let members = value.as_object().into_iter().flatten();
    for (i, (name, value)) in members.enumerate() {
        let member = format!("\"{name}\": {}", rounded(name, value));
        if i > 0 {
            text.push(',');
        }
        // Objects begin a line of their own.
        if column + member.len() > room || value.is_object() {
            text.push('\n');
            *text += &" ".repeat(indent);
            column = indent;
        } else if i > 0 {
            text.push(' ');
        }
        if value.is_object() && indent + member.len() > room {
            let opening = format!("\"{name}\": {{");
            *text += &opening;
            fill(text, value, indent + 2, indent + opening.len());
            text.push('}');
            column = MAX_COLUMNS;
        } else {
            column += member.len() + 2;
            *text += &member;
        }
    }
}

/// JSON with a space behind each comma and colon.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, it)| format!("\"{name}\": {}", rounded(name, it)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// Milliseconds and rates are rounded to a tenth.
fn rounded(name: &str, value: &Value) -> String {
    let is_measured = name.ends_with("_ms") || name.ends_with("_per_second");
    match value.as_f64().filter(|_| is_measured && !value.is_u64()) {
        Some(number) => Number::from_f64((number * 10.0).round() / 10.0)
            .map_or_else(|| value.to_string(), |it| it.to_string()),
        None => spaced(value),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_that_begin_with_an_answer_belong_to_the_one_before() {
        let page = "a\n```json\n{\"id\": 1, \"method\": \"x\"}\n```\nb\n```json\n{\"id\": 1, \"result\": 1}\n\
                    {\"id\": 2, \"method\": \"y\"}\n```\n```json\n{\"id\": 3, \"method\": \"z\"}\n```\n\
                    ```json\n{\"method\": \"progress\"}\n```\n";
        let exchanges = exchanges(page).unwrap();
        let texts: Vec<Vec<&str>> =
            exchanges.iter().map(|it| it.iter().map(|it| &page[it.at.clone()]).collect()).collect();
        assert_eq!(
            texts,
            [
                vec![
                    r#"{"id": 1, "method": "x"}"#,
                    r#"{"id": 1, "result": 1}"#,
                    r#"{"id": 2, "method": "y"}"#
                ],
                vec![r#"{"id": 3, "method": "z"}"#],
                vec![r#"{"method": "progress"}"#],
            ]
        );
    }

    #[test]
    fn long_messages_are_broken_into_lines_and_stay_the_same() {
        let usage =
            json!({"prompt_tokens": 29, "cached_tokens": 0, "completion_tokens": 7, "drafted_tokens": 0});
        let message = json!({"jsonrpc": "2.0", "id": 2, "result": {
            "text": "sum(values) / len(values)", "finish_reason": "rule", "usage": usage,
            "names": (0..8).map(|i| format!("method{i}")).collect::<Vec<_>>(), "more": {"usage": usage, "again": usage}}});
        let text = written(&message);
        assert!(text.lines().count() > 3, "{text}");
        assert!(text.lines().all(|it| it.len() <= MAX_COLUMNS + 3), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), message);
    }

    #[test]
    fn times_are_rounded() {
        let text = spaced(&json!({"queue_ms": 0.1234, "uptime_ms": 12, "other": 0.1234}));
        assert_eq!(text, r#"{"queue_ms": 0.1, "uptime_ms": 12, "other": 0.1234}"#);
    }
}
