//! The greedy tokens of the real models, compared with those of mlx_lm 0.32.2 for the same folders.
//!
//! `parity/expected.py` made the expected tokens. If mlx_lm found two tokens almost equally likely, two correct
//! programs may differ there; nothing after such a position is compared.

use serde_json::{Value, json};

use crate::support::{Framing, Worker, named_model, runabout};

/// The least difference of logits that does not depend on the order of summation.
const MIN_GAP: f64 = 1e-3;

/// The kernels that a machine may have, the best first; of the slower last ones, a part of the texts is enough.
const PATHS: [(&str, usize); 4] = [("avx512", 1), ("avx2", 2), ("neon", 1), ("portable", 5)];

#[test]
fn smollm2_135m_has_the_tokens_of_mlx_lm() {
    check("smollm2-135m", include_str!("parity/smollm2-135m.json"));
}

#[test]
fn qwen2_5_coder_0_5b_has_the_tokens_of_mlx_lm() {
    check("qwen2.5-coder-0.5b", include_str!("parity/qwen2.5-coder-0.5b.json"));
}

/// All texts with the default kernels, and some with each of the others that the machine has.
fn check(model: &str, expected: &str) {
    let cases: Vec<Value> = serde_json::from_str(expected).unwrap();
    let folder = named_model(model);
    check_cases(&mut Worker::serving(&folder, &[]), model, &cases);
    if !cfg!(target_os = "linux") {
        // MLX's own operations are used.
        return;
    }
    let mut n_paths = 0;
    for (path, every) in PATHS {
        let mut command = runabout();
        command.env("RUNABOUT_KERNELS", path).arg("serve").arg("--model").arg(&folder);
        let mut worker = Worker::spawn(command, Framing::Lines);
        let id = worker.request("tokenize", &json!({"text": "x"}));
        let response = worker.response(id);
        let message = response["error"]["message"].as_str().unwrap_or_default();
        if message.contains(&format!("this machine cannot run the `{path}` kernels")) {
            continue;
        }
        assert!(response["error"].is_null(), "{response}");
        let some: Vec<Value> = cases.iter().step_by(every).cloned().collect();
        check_cases(&mut worker, &format!("{model} on {path}"), &some);
        n_paths += 1;
    }
    assert!(n_paths > 0, "every machine has the portable kernels");
}

fn check_cases(worker: &mut Worker, what: &str, cases: &[Value]) {
    let mut n_compared = 0;
    for case in cases {
        let mut params = json!({"max_tokens": 32, "temperature": 0, "return_tokens": true, "stream": false});
        let method = if case["messages"].is_null() {
            params["prefix"] = case["prompt"].clone();
            params["mode"] = json!("raw");
            "complete"
        } else {
            params["messages"] = case["messages"].clone();
            "chat"
        };
        let result = worker.call(method, &params);
        let name = case["name"].as_str().unwrap();
        let n_prompt_tokens = case["prompt_tokens"].as_array().unwrap().len();
        assert_eq!(
            result["usage"]["prompt_tokens"], n_prompt_tokens,
            "{what}: the prompt of `{name}` has other tokens"
        );
        let (got, expected) = (tokens(&result["tokens"]), tokens(&case["tokens"]));
        let first_difference = (0..got.len().max(expected.len())).find(|&i| got.get(i) != expected.get(i));
        match first_difference {
            None => n_compared += expected.len(),
            // One text ended and the other continued, which a small difference of logits cannot excuse.
            Some(i) if case["gaps"][i].as_f64().is_some_and(|gap| gap <= MIN_GAP) => n_compared += i,
            Some(i) => panic!("{what}: `{name}` differs at token {i}: expected {expected:?}, got {got:?}"),
        }
    }
    let n_expected: usize = cases.iter().map(|it| tokens(&it["tokens"]).len()).sum();
    assert!(n_compared * 10 >= n_expected * 9, "only {n_compared} of {n_expected} tokens could be compared");
}

fn tokens(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect()
}
