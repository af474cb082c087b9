//! The confidence of completions by a real model, compared with the log probabilities of the same request.

use serde_json::{Value, json};

use crate::support::{Worker, named_model};

const SOURCE: &str = "\
def read_lines(path):\n    with open(path) as file:\n        return [line.rstrip() for line in file]\n\n\n\
def count_words(lines):\n    counts = {}\n    for line in lines:\n        for word in line.split():\n            \
counts[word] = counts.get(word, 0) + 1\n    return counts\n\n\n";

/// Places at which the model says something that no rule cuts off entirely.
const CURSORS: [&str; 4] = [
    "def most_common(counts, n):\n    return sorted(",
    "def main():\n    lines = read_lines(",
    "def total(counts):\n    return sum(",
    "def print_words(counts):\n    for word in",
];

fn worker() -> Worker {
    Worker::serving(&named_model("smollm2-135m"), &[])
}

fn completion(cursor: &str) -> Value {
    json!({"prefix": format!("{SOURCE}{cursor}"), "path": "a.py", "max_tokens": 32, "healing": false})
}

/// The tokens of a result that was asked for them: their texts, and their log probabilities.
fn tokens(result: &Value) -> Vec<(String, f64)> {
    let logprobs = result["logprobs"].as_array().unwrap();
    let token = |it: &Value| (it["text"].as_str().unwrap().to_owned(), it["logprob"].as_f64().unwrap());
    logprobs.iter().map(token).collect()
}

fn first_line(text: &str) -> &str {
    let n_blank = text.len() - text.trim_start().len();
    text[n_blank..].find('\n').map_or(text, |at| &text[..n_blank + at])
}

/// The log probability of the tokens that spell the bytes `from..to` of the generated text.
fn log_probability(tokens: &[(String, f64)], from: usize, to: usize) -> f64 {
    let (mut start, mut sum) = (0, 0.0);
    for (text, logprob) in tokens {
        if start < to && start + text.len() > from {
            sum += logprob;
        }
        start += text.len();
    }
    sum
}

fn confidence(result: &Value) -> f64 {
    result["confidence"].as_f64().unwrap_or_else(|| panic!("no confidence: {result}"))
}

/// On a device, sums depend on the size of a step.
fn assert_near(got: f64, expected: f64, context: &Value) {
    assert!((got - expected).abs() < 1e-3, "{got} is not {expected}: {context}");
}

#[test]
fn the_confidence_is_the_probability_of_the_tokens_that_spell_the_first_line() {
    let mut worker = worker();
    let mut n_cut = 0;
    for cursor in CURSORS {
        let mut params = completion(cursor);
        params["logprobs"] = json!(0);
        let result = worker.call("complete", &params);
        let (text, tokens) = (result["text"].as_str().unwrap(), tokens(&result));
        let drawn: String = tokens.iter().map(|it| it.0.as_str()).collect();
        assert!(drawn.starts_with(text), "{result}");
        n_cut += usize::from(drawn.len() > text.len());
        let expected = log_probability(&tokens, 0, first_line(text).len()).exp();
        assert!(expected > 0.0 && expected < 1.0, "{result}");
        assert_near(confidence(&result), expected, &result);
        // The same without being asked for log probabilities, with and without drafts, and sampled as the model is.
        for change in [json!({"speculation": "off"}), json!({"speculation": "auto"}), json!({"n": 2})] {
            let mut params = completion(cursor);
            params.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let again = worker.call("complete", &params);
            assert_eq!(again["text"], result["text"]);
            assert_near(confidence(&again), expected, &again);
        }
    }
    assert!(n_cut > 0, "rules cut some of the texts");
}

#[test]
fn a_word_that_is_generated_again_is_taken_as_given() {
    let mut worker = worker();
    let prefix = "def most_common(counts, n):\n    ret";
    let mut params = completion(prefix);
    params["healing"] = json!(true);
    params["logprobs"] = json!(20);
    let result = worker.call("complete", &params);
    let (text, tokens) = (result["text"].as_str().unwrap(), tokens(&result));
    let drawn: String = tokens.iter().map(|it| it.0.as_str()).collect();
    let given = drawn.len() - drawn.trim_start().len() + "ret".len();
    assert!(drawn[given..].starts_with(text) && tokens[0].0.trim_start() == "return", "{result}");
    // The first token is one of those that begin with what was typed, of which the most likely are listed.
    let is_allowed = |it: &&Value| {
        let (text, given) = (it["text"].as_str().unwrap(), &drawn[..given]);
        !text.is_empty() && (text.starts_with(given) || given.starts_with(text))
    };
    let listed = result["logprobs"][0]["top"].as_array().unwrap();
    let allowed: f64 = listed.iter().filter(is_allowed).map(|it| it["logprob"].as_f64().unwrap().exp()).sum();
    let line = log_probability(&tokens, given, given + first_line(text).len()).exp();
    let (least, most) = (line / (allowed + 0.05), line / allowed);
    assert!((least..=most + 1e-3).contains(&confidence(&result)), "{least} to {most}: {result}");
    assert!(confidence(&result) > line, "more than if it had not been given");
}

#[test]
fn what_was_typed_no_longer_counts() {
    let mut worker = worker();
    let cursor = CURSORS[0];
    let mut params = completion(cursor);
    params["logprobs"] = json!(0);
    let whole = worker.call("complete", &params);
    let (text, tokens) = (whole["text"].as_str().unwrap(), tokens(&whole));
    let document = |typed: &str| {
        let mut params = completion(&format!("{cursor}{typed}"));
        params["document"] = json!("file:///a.py");
        params
    };
    assert_near(confidence(&worker.call("complete", &document(""))), confidence(&whole), &whole);
    let typed = &text[..tokens[0].0.len()];
    let rest = worker.call("complete", &document(typed));
    assert_eq!(
        (&rest["text"], &rest["usage"]["completion_tokens"]),
        (&json!(text[typed.len()..]), &json!(0))
    );
    let expected = log_probability(&tokens, typed.len(), first_line(text).len()).exp();
    assert_near(confidence(&rest), expected, &rest);
    assert!(confidence(&rest) > confidence(&whole));
}

#[test]
fn a_text_is_withheld_if_and_only_if_its_confidence_is_below_the_least() {
    let mut worker = worker();
    for cursor in CURSORS {
        let whole = worker.call("complete", &completion(cursor));
        for (factor, is_withheld) in [(0.9, false), (1.1, true)] {
            let mut params = completion(cursor);
            params["min_confidence"] = json!((confidence(&whole) * factor).min(1.0));
            let id = worker.request("complete", &params);
            let result = worker.result(id);
            assert_eq!(worker.streamed_text(id), result["text"]);
            if is_withheld {
                assert_eq!(
                    (&result["text"], &result["finish_reason"]),
                    (&json!(""), &json!("low_confidence"))
                );
                assert!(confidence(&result) <= confidence(&whole) * factor);
                let n_tokens = |it: &Value| it["usage"]["completion_tokens"].as_u64();
                assert!(n_tokens(&result) <= n_tokens(&whole));
            } else {
                assert_eq!(result["text"], whole["text"]);
                assert_near(confidence(&result), confidence(&whole), &result);
            }
        }
    }
}
