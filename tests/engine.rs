//! The engine's guarantees with a real model: a text does not depend on other requests, on how its prompt was divided
//! into chunks, on the cache, or on drafts; typing continues a suggestion; memory is limited.
//!
//! The texts are greedy. Each is compared with that of a worker that gets no other request.

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout, tiny_model};

/// The tests' real model.
const MODEL: &str = "smollm2-135m";

const SOURCE: &str = "\
def read_lines(path):\n    with open(path) as file:\n        return [line.rstrip() for line in file]\n\n\n\
def count_words(lines):\n    counts = {}\n    for line in lines:\n        for word in line.split():\n            \
counts[word] = counts.get(word, 0) + 1\n    return counts\n\n\n\
def most_common(counts, n):\n    return sorted(counts.items(), key=lambda item: -item[1])[:n]\n\n\n";

/// Where there is a choice, the model computes with integers, whose sums are the same in any order. So results are the
/// same to the last bit, on every machine and in every batch. (MLX's own operations offer no choice.)
fn serve(args: &[&str]) -> Worker {
    serve_in("int16", args)
}

fn serve_in(precision: &str, args: &[&str]) -> Worker {
    let chosen = if IS_CHOSEN { vec!["--precision", precision] } else { Vec::new() };
    Worker::serving(&named_model(MODEL), &[chosen.as_slice(), args].concat())
}

/// Whether the CPU kernels are used instead of MLX's operations.
const IS_CHOSEN: bool = cfg!(target_os = "linux");

fn chat(question: &str, max_tokens: u32) -> Value {
    let messages = json!([{"role": "user", "content": question}]);
    json!({"messages": messages, "max_tokens": max_tokens, "temperature": 0, "speculation": "off"})
}

fn completion(prefix: &str) -> Value {
    json!({"prefix": prefix, "mode": "raw", "max_tokens": 24})
}

fn text(result: &Value) -> String {
    let content = if result["text"].is_string() { &result["text"] } else { &result["message"]["content"] };
    content.as_str().unwrap().to_owned()
}

/// The texts for these requests from a new worker, one after the other and without drafts.
fn alone(requests: &[(&str, Value)]) -> Vec<String> {
    requests
        .iter()
        .map(|(method, params)| {
            let mut params = params.clone();
            params["speculation"] = json!("off");
            text(&serve(&[]).call(method, &params))
        })
        .collect()
}

#[test]
fn a_long_chat_and_completions_that_overtake_it_have_the_same_texts_as_alone() {
    let mut slow = chat("Tell me a long story about a lighthouse keeper and a storm.", 400);
    // Against both end tokens, so that the text has its full length.
    slow["logit_bias"] = json!({"0": -100, "2": -100});
    let prefixes = [SOURCE.to_owned() + "def main():\n", "import os\nimport sys\n\ndef ".to_owned()];
    let mut requests = vec![("chat", slow.clone())];
    requests.extend(prefixes.iter().map(|it| ("complete", completion(it))));
    let expected = alone(&requests);

    let mut worker = serve(&[]);
    let slow = worker.request("chat", &slow);
    worker.wait_for_delta(slow);
    for round in 0..4 {
        for (prefix, expected) in prefixes.iter().zip(&expected[1..]) {
            let quick = worker.request("complete", &completion(prefix));
            assert_eq!(&text(&worker.result(quick)), expected, "round {round}");
        }
    }
    worker.assert_unanswered(slow);
    let result = worker.result(slow);
    assert_eq!(text(&result), expected[0]);
    assert_eq!(result["usage"]["completion_tokens"], 400);
}

#[test]
fn chats_that_run_together_have_the_same_texts_as_alone() {
    let questions = [
        "What is a compiler?",
        "Name three rivers.",
        "Why is the sky blue?",
        "Write a function that adds numbers.",
    ];
    let requests = questions.map(|it| ("chat", chat(it, 60)));
    let expected = alone(&requests);
    let mut worker = serve(&[]);
    let ids = requests.map(|(method, params)| worker.request(method, &params));
    for (id, expected) in ids.into_iter().zip(expected) {
        assert_eq!(text(&worker.result(id)), expected);
    }
}

/// The log probabilities of a text, with those of the most likely alternatives.
fn logprobs(result: &Value) -> &Vec<Value> {
    result["logprobs"].as_array().filter(|it| it.len() > 5).unwrap_or_else(|| panic!("{result}"))
}

#[test]
fn integer_products_give_the_same_bits_in_every_batch() {
    for precision in ["int16", "int8"].into_iter().filter(|_| IS_CHOSEN) {
        let requests = [
            "What is a compiler?",
            "Name three rivers.",
            "Repeat this word for word: one, two, one, two, one.",
        ]
        .map(|question| {
            let mut params = chat(question, 60);
            (params["logprobs"], params["return_tokens"]) = (json!(2), json!(true));
            params
        });
        let mut worker = serve_in(precision, &[]);
        let said = requests.clone().map(|it| worker.call("chat", &it));
        assert_eq!(worker.call("status", &json!({}))["model"]["precision"], precision);
        // In small steps, together, with drafts.
        let mut worker = serve_in(precision, &["--step-target-ms", "1"]);
        let ids = requests.map(|mut params| {
            params["speculation"] = json!("auto");
            worker.request("chat", &params)
        });
        for (id, alone) in ids.into_iter().zip(&said) {
            let result = worker.result(id);
            assert_eq!(text(&result), text(alone), "{precision}");
            assert_eq!(result["tokens"], alone["tokens"], "{precision}");
            assert_eq!(logprobs(&result), logprobs(alone), "{precision}");
        }
    }
}

#[test]
fn a_seeded_text_does_not_depend_on_earlier_or_concurrent_requests() {
    let mut params = completion(SOURCE);
    (params["temperature"], params["seed"], params["max_tokens"]) = (json!(0.8), json!(11), json!(60));
    let expected = text(&serve(&[]).call("complete", &params));
    let mut worker = serve(&["--step-target-ms", "1"]);
    worker.call("complete", &completion(&SOURCE.repeat(2)));
    assert_eq!(text(&worker.call("complete", &params)), expected, "from the cache");
    let beside = worker.request("chat", &chat("What is a compiler?", 200));
    worker.wait_for_delta(beside);
    assert_eq!(text(&worker.call("complete", &params)), expected, "beside a chat");
}

#[test]
fn text_does_not_depend_on_chunks_or_the_cache() {
    let longer = SOURCE.repeat(3) + "def main():\n";
    let (first, second) = (completion(SOURCE), completion(&longer));
    let expected = alone(&[("complete", first.clone()), ("complete", second.clone())]);
    // The shortest possible steps.
    let mut worker = serve(&["--step-target-ms", "1"]);
    assert_eq!(text(&worker.call("complete", &second)), expected[1]);
    assert_eq!(text(&worker.call("complete", &first)), expected[0]);
    // From the cache: all of it, then the beginning of a longer prompt, then the longer one truncated.
    let mut worker = serve(&[]);
    for (params, expected) in
        [(&first, 0), (&first, 0), (&second, 1), (&first, 0)].map(|(it, i)| (it, &expected[i]))
    {
        assert_eq!(&text(&worker.call("complete", params)), expected);
    }
    let status = worker.call("status", &json!({}));
    assert_eq!((&status["cache"]["lookups"], &status["cache"]["hits"]), (&json!(4), &json!(3)));
}

#[test]
fn text_after_an_edit_is_moved_if_that_is_enabled() {
    // Such a small model copies what it has seen more than once.
    let (begun, rest) = SOURCE.split_at(89);
    let before = format!("# version 1\n{}{begun}", SOURCE.repeat(3));
    let after = before.replace("# version 1", "# the second version, with another first line");
    let [before, after] = [before, after].map(|prefix| {
        let mut params = completion(&prefix);
        params["speculation"] = json!("off");
        params
    });
    let expected = alone(&[("complete", before.clone()), ("complete", after.clone())]);
    // The texts after the edit, the number of prompt tokens computed for the second, and its prompt's length.
    let said = |args: &[&str]| {
        let mut worker = serve(args);
        let first = text(&worker.call("complete", &before));
        let result = worker.call("complete", &after);
        let count = |key: &str| result["usage"][key].as_u64().unwrap();
        let n_prompt = count("prompt_tokens");
        ([first, text(&result)], n_prompt - count("cached_tokens"), n_prompt)
    };
    let (texts, n_computed, n_prompt) = said(&[]);
    assert_eq!(texts.as_slice(), expected);
    assert!(n_computed + 5 > n_prompt, "{n_computed} of {n_prompt}");
    // The changed line and the last token. Quantized keys and values can be moved too.
    let (texts, n_computed, _) = said(&["--cache-reuse", "64"]);
    assert!((2..20).contains(&n_computed), "{n_computed}");
    assert_eq!(texts[0], expected[0]);
    let (coded, n_computed, _) = said(&["--cache-reuse", "64", "--kv-bits", "8"]);
    assert!((2..20).contains(&n_computed), "{n_computed}");
    // It sees the same functions and continues with them.
    for text in [&texts[1], &coded[1]] {
        assert!(text.len() > 40 && rest.starts_with(text), "{text}");
    }
}

#[test]
fn drafts_change_the_speed_of_a_copy_and_not_its_text() {
    // Such a small model copies what it has seen more than once.
    let prefix = SOURCE.repeat(3) + &SOURCE[..90];
    let params = json!({"prefix": prefix, "mode": "raw", "max_tokens": 100});
    let expected = alone(&[("complete", params.clone())]);
    let mut worker = serve(&[]);
    let result = worker.call("complete", &params);
    assert_eq!(text(&result), expected[0]);
    let usage = &result["usage"];
    let count = |key: &str| usage[key].as_u64().unwrap();
    // The number of drafts depends on the machine's load.
    assert!((1..=count("drafted_tokens")).contains(&count("accepted_tokens")), "{usage}");
    // With seeded sampling too, a drafted token is the one that would be drawn.
    let mut sampled = params.clone();
    (sampled["temperature"], sampled["seed"]) = (json!(0.5), json!(7));
    let with = text(&worker.call("complete", &sampled));
    sampled["speculation"] = json!("off");
    assert_eq!(with, text(&worker.call("complete", &sampled)));
}

#[test]
fn a_draft_model_equal_to_the_model_is_always_right() {
    let model = named_model(MODEL);
    let model = model.to_str().unwrap();
    let story = json!({"prefix": "Once upon a time there was a compiler", "mode": "raw", "max_tokens": 60,
                       "logprobs": 2, "return_tokens": true, "speculation": "off"});
    let mut sampled = story.clone();
    (sampled["temperature"], sampled["top_p"], sampled["seed"]) = (json!(0.9), json!(0.95), json!(11));
    let expected = [&story, &sampled].map(|params| serve(&[]).call("complete", params));
    let mut worker = serve(&["--draft-model", model, "--num-draft-tokens", "4"]);
    let mut call = |params: &Value, expected: &Value| {
        let mut params = params.clone();
        params["speculation"] = json!("auto");
        let result = worker.call("complete", &params);
        assert_eq!(text(&result), text(expected));
        assert_eq!(result["tokens"], expected["tokens"]);
        if IS_CHOSEN {
            assert_eq!(logprobs(&result), logprobs(expected));
        }
        result
    };
    // A text that does not repeat itself, and the worker has generated nothing before it: all drafts are from the draft
    // model.
    let usage = call(&sampled, &expected[1])["usage"].take();
    assert_eq!(usage["accepted_tokens"], usage["drafted_tokens"], "{usage}");
    // Four of five tokens were drafted.
    assert!(usage["accepted_tokens"].as_u64().unwrap() >= 44, "{usage}");
    call(&story, &expected[0]);
    // The weights, keys and values of both models count.
    let memory = &worker.call("status", &json!({}))["memory"];
    assert!(memory["weights_bytes"].as_u64().unwrap() > 150_000_000, "{memory}");
    assert!(memory["active_bytes"].as_u64().unwrap() > memory["weights_bytes"].as_u64().unwrap(), "{memory}");
}

#[test]
fn a_draft_model_with_another_vocabulary_is_refused() {
    let draft = named_model(MODEL);
    let mut worker = Worker::serving(tiny_model::folder(), &["--draft-model", draft.to_str().unwrap()]);
    let error = worker.call_error("complete", &completion("x"));
    assert_eq!(error["data"]["kind"], "model_load_failed");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("must have the vocabulary of") && message.contains("hint: "), "{message}");
}

#[test]
fn choices_share_their_prompt_and_the_first_one_is_the_text_of_a_single_choice() {
    let mut worker = serve(&[]);
    let mut params = completion(SOURCE);
    (params["temperature"], params["seed"]) = (json!(0.8), json!(3));
    let single = text(&worker.call("complete", &params));
    let mut worker = serve(&[]);
    params["n"] = json!(3);
    let result = worker.call("complete", &params);
    assert_eq!(text(&result), single);
    let status = worker.call("status", &json!({}));
    let n_prompt = result["usage"]["prompt_tokens"].as_u64().unwrap();
    // The second and third choice found all but the last token.
    assert_eq!(status["cache"]["cached_tokens"], 2 * (n_prompt - 1));
}

/// A completion that generates `A` again and again.
fn typing(prefix: &str, max_tokens: u32) -> Value {
    json!({"prefix": prefix, "max_tokens": max_tokens, "document": "file:///a", "mode": "raw",
           "logit_bias": {"65": 100}})
}

#[test]
fn typing_what_was_suggested_keeps_the_suggestion() {
    let mut worker = Worker::slow();
    let older = worker.request("complete", &typing("x", 3000));
    worker.wait_for_delta(older);
    let newer = worker.request("complete", &typing("xA", 3000));
    let superseded = worker.result(older);
    assert_eq!(superseded["finish_reason"], "superseded");
    assert_eq!(superseded["text"], worker.streamed_text(older));
    let result = worker.result(newer);
    assert_eq!(result["text"], worker.streamed_text(newer));
    assert_eq!((&result["text"], &result["finish_reason"]), (&json!("A".repeat(3000)), &json!("length")));
    let usage = &result["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["cached_tokens"]), (&json!(2), &json!(2)));
    // One token was typed; all others were drawn once.
    let count = |result: &Value| result["usage"]["completion_tokens"].as_u64().unwrap();
    assert_eq!(count(&superseded) + count(&result), 3001);
}

#[test]
fn a_finished_suggestion_is_continued_without_computation() {
    let mut worker = Worker::tiny();
    assert_eq!(worker.call("complete", &typing("x", 4))["text"], "AAAA");
    for (prefix, rest) in [("xA", "AAA"), ("xAA", "AA"), ("xAAA", "A")] {
        let id = worker.request("complete", &typing(prefix, 4));
        let result = worker.result(id);
        assert_eq!((&result["text"], &result["finish_reason"]), (&json!(rest), &json!("length")));
        assert_eq!(worker.streamed_text(id), rest);
        assert_eq!(result["usage"]["completion_tokens"], 0);
    }
    // Typed completely, or something else: a new completion.
    let result = worker.call("complete", &typing("xAAAA", 4));
    assert_eq!((&result["text"], &result["usage"]["completion_tokens"]), (&json!("AAAA"), &json!(4)));
    let result = worker.call("complete", &typing("xAAAAb", 4));
    assert_eq!(result["usage"]["completion_tokens"], 4);
}

#[test]
fn quantized_keys_and_values_take_less_memory() {
    let kv_bytes = |args: &[&str]| {
        let mut worker = serve(args);
        assert_ne!(text(&worker.call("complete", &completion(SOURCE))), "");
        worker.call("status", &json!({}))["memory"]["kv_bytes"].as_u64().unwrap()
    };
    let all = kv_bytes(&[]);
    // Compared with 16 bits; there is a scale and a bias of 16 bits each for 32 numbers.
    assert_eq!((kv_bytes(&["--kv-bits", "8"]), kv_bytes(&["--kv-bits", "4"])), (all * 9 / 16, all * 5 / 16));
}

#[test]
fn with_mlx_alone_a_step_that_started_early_does_not_change_a_text() {
    let without_kernels = || {
        let mut command = runabout();
        command.env("RUNABOUT_KERNELS", "off").arg("serve").arg("--model").arg(tiny_model::folder());
        Worker::spawn(command, Framing::Lines)
    };
    let request = |prefix: &str, more: &Value| {
        let mut params = json!({"prefix": prefix, "mode": "raw", "max_tokens": 80, "speculation": "off",
                                "priority": "background"});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let requests = [
        request("alpha = ", &json!({})),
        request("beta(", &json!({"temperature": 0.9, "seed": 4})),
        request("gamma", &json!({"temperature": 0.7, "seed": 9, "top_p": 0.9, "logprobs": 2})),
    ];
    let expected = requests.each_ref().map(|it| text(&without_kernels().call("complete", it)));
    let mut worker = without_kernels();
    let ids = requests.each_ref().map(|it| worker.request("complete", it));
    for idx in 0..8 {
        worker.call("complete", &json!({"prefix": format!("quick {idx}"), "mode": "raw", "max_tokens": 3}));
    }
    assert_eq!(ids.map(|it| text(&worker.result(it))), expected);
    // An additional token of a text that has ended does not affect the next one.
    assert_eq!(text(&worker.call("complete", &requests[0])), expected[0]);
}

#[test]
fn a_model_over_the_memory_limit_is_refused_before_it_is_read() {
    let mut worker = serve(&["--memory-limit", "10"]);
    let error = worker.call_error("complete", &completion("x"));
    assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(1007), &json!("out_of_memory")));
    assert_eq!(error["data"]["available_bytes"], 10 << 20);
    assert!(error["data"]["needed_bytes"].as_u64().unwrap() > 50_000_000, "{error}");
    let status = worker.call("status", &json!({}));
    assert_eq!((&status["state"], &status["error"]["kind"]), (&json!("failed"), &json!("out_of_memory")));
}
