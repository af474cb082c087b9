//! Model folders as they occur: written by other programs, or with a tokenizer and weights that do not quite match.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::tiny_model;
use crate::support::{Framing, Worker, named_model, runabout};

/// The first id for which the tiny model's embedding has no row.
const BEYOND: usize = tiny_model::END_TOKEN + 7;

fn tiny(edit: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny_model::write(folder.path());
    edit(folder.path());
    folder
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut json);
    fs::write(path, json.to_string()).unwrap();
}

/// Serves a folder, with the CPU kernels or with MLX's own operations only.
fn serve(folder: &Path, kernels: Option<&str>) -> Worker {
    let mut command = runabout();
    command.arg("serve").arg("--model").arg(folder);
    if let Some(kernels) = kernels {
        command.env("RUNABOUT_KERNELS", kernels);
    }
    Worker::spawn(command, Framing::Lines)
}

#[test]
fn tokens_that_only_the_tokenizer_has_never_reach_the_model() {
    let folder = tiny(|folder| {
        edit_json(&folder.join("tokenizer.json"), |it| {
            it["added_tokens"].as_array_mut().unwrap().push(json!({
                "id": BEYOND, "content": "<tool_call>", "special": false, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false,
            }));
        });
        let more = json!({"eos_token_id": [tiny_model::END_TOKEN, BEYOND, 100_000_000, u32::MAX]});
        fs::write(folder.join("generation_config.json"), more.to_string()).unwrap();
    });
    for kernels in [None, Some("off")] {
        let mut worker = serve(folder.path(), kernels);
        let asked = json!({"prefix": "ab", "max_tokens": 8, "temperature": 1.0, "seed": 1, "xtc_probability": 1.0,
                           "xtc_threshold": 0.0, "top_p": 0.9, "repetition_penalty": 1.1});
        let result = worker.call("complete", &asked);
        assert!(result["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{result}");
        let error = worker
            .call_error("complete", &json!({"prefix": "a<tool_call>b", "mode": "raw", "max_tokens": 2}));
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(1005), &json!("unsupported")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("got {BEYOND}")), "{message}");
        let id = BEYOND.to_string();
        let error =
            worker.call_error("complete", &json!({"prefix": "a", "max_tokens": 2, "logit_bias": {id: 1}}));
        assert_eq!((&error["code"], &error["data"]["field"]), (&json!(-32602), &json!("logit_bias")));
        assert_eq!(
            worker.call("complete", &json!({"prefix": "a", "max_tokens": 2}))["finish_reason"],
            "length"
        );
        assert!(worker.log().contains("end tokens that the model has not"), "{}", worker.log());
    }
}

#[test]
fn a_temperature_close_to_0_gives_the_same_text_as_0() {
    let mut worker = Worker::tiny();
    let mut params = json!({"prefix": "def f(", "max_tokens": 12, "seed": 5});
    let greedy = worker.call("complete", &params)["text"].take();
    for temperature in ["1e-40", "1e-45", "1e-300", "1.1754944e-38"] {
        params["temperature"] = serde_json::from_str(temperature).unwrap();
        assert_eq!(worker.call("complete", &params)["text"], greedy, "{temperature}");
    }
    for (field, value) in [
        ("temperature", json!(1e300)),
        ("min_p", json!(-1e300)),
        ("repetition_penalty", json!(1e-40)),
        ("presence_penalty", json!(1e39)),
        ("logit_bias", json!({"65": 1e39})),
    ] {
        let mut params = json!({"prefix": "a", "max_tokens": 2});
        params[field] = value;
        let error = worker.call_error("complete", &params);
        let named = error["data"]["field"].as_str().unwrap();
        assert!(error["code"] == -32602 && named.starts_with(field), "{error}");
    }
    let tiny = json!({"prefix": "a", "max_tokens": 4, "temperature": 1.0, "min_p": 1e-45, "top_p": 1e-45});
    assert_eq!(worker.call("complete", &tiny)["finish_reason"], "length");
}

#[test]
fn generation_config_json_as_python_writes_it_is_read_field_by_field() {
    let folder = tiny(|folder| {
        let text = r#"{"temperature": 0.0, "top_k": 50.0, "top_p": null, "min_p": "none"}"#;
        fs::write(folder.join("generation_config.json"), text).unwrap();
    });
    let mut worker = serve(folder.path(), None);
    let chat = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 8});
    let said = worker.call("chat", &chat)["message"].take();
    // Greedy, as the file requests.
    assert_eq!(worker.call("chat", &chat)["message"], said);
    assert!(worker.log().contains("min_p"), "{}", worker.log());
}

/// The tests' real model, with the base of its positions written in another way.
fn moved(edit: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let real = named_model("smollm2-135m");
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(&real).unwrap().map(|it| it.unwrap().path()) {
        let name: PathBuf = file.file_name().unwrap().into();
        if name != Path::new("config.json") {
            std::os::unix::fs::symlink(&file, folder.path().join(&name)).unwrap();
        }
    }
    fs::copy(real.join("config.json"), folder.path().join("config.json")).unwrap();
    edit_json(&folder.path().join("config.json"), |it| {
        it.as_object_mut().unwrap().remove("rope_theta");
        edit(it);
    });
    folder
}

#[test]
fn the_base_of_positions_is_found_wherever_config_json_has_it() {
    let said = |folder: &Path| {
        let params = json!({"prefix": "def fibonacci(n):\n    if n", "mode": "raw", "max_tokens": 24, "return_tokens": true});
        let result = serve(folder, None).call("complete", &params);
        result["tokens"].clone()
    };
    // The model's base is 100,000.
    let expected = said(&named_model("smollm2-135m"));
    let object = json!({"rope_theta": 100_000.0, "rope_type": "default"});
    for (field, value) in [("rope_parameters", &object), ("rope_scaling", &object)] {
        let folder = moved(|it| (it["rope_theta"], it[field]) = (Value::Null, value.clone()));
        assert_eq!(said(folder.path()), expected, "{field}");
    }
    assert_ne!(said(moved(|_| ()).path()), expected, "the base matters to this text");
    // Both names of the type at the same time, as in older files.
    let both = json!({"type": "linear", "rope_type": "linear", "factor": 2.0});
    let one = json!({"type": "linear", "factor": 2.0});
    let [both, one] = [both, one].map(|scaling| {
        said(moved(|it| (it["rope_theta"], it["rope_scaling"]) = (json!(1e5), scaling)).path())
    });
    assert_eq!(both, one);
    assert_ne!(one, expected);
}

#[test]
fn numbers_that_would_take_all_memory_are_refused_and_the_process_keeps_running() {
    let config = |field: &'static str, value: Value| {
        tiny(move |folder| edit_json(&folder.join("config.json"), |it| it[field] = value))
    };
    let vocabulary = |id: u32| {
        tiny(move |folder| {
            edit_json(&folder.join("tokenizer.json"), |it| it["model"]["vocab"]["ab"] = json!(id));
        })
    };
    for (folder, expected) in [
        (config("hidden_size", json!(0)), "`hidden_size` must be at least 1, got 0"),
        (config("head_dim", json!(2_147_483_646)), "`head_dim` must be less"),
        (config("head_dim", json!(1 << 28)), "q_proj.weight` has the wrong shape"),
        (
            config("num_hidden_layers", json!(1_i64 << 40)),
            "`model.layers.2.self_attn.q_proj.weight` is missing",
        ),
        (config("rope_theta", json!("1e5")), "`rope_theta` must be"),
        (vocabulary(u32::MAX), "token ids must be below"),
        (vocabulary(u32::MAX - 1), "token ids must be below"),
    ] {
        let mut worker = serve(folder.path(), None);
        let error = worker.call_error("complete", &json!({"prefix": "a", "max_tokens": 2}));
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["data"]["kind"], "model_load_failed", "{error}");
        assert!(message.contains(expected) && !message.contains("src/"), "{message}");
        assert_eq!(worker.call("status", &json!({}))["state"], "failed");
    }
}

#[test]
fn packed_weights_are_kept_for_the_next_start_and_a_damaged_file_does_no_harm() {
    let (model, home) = (named_model("smollm2-135m"), tempfile::tempdir().unwrap());
    let serve = |args: &[&str]| {
        let mut command = runabout();
        command.arg("serve").arg("--model").arg(&model).args(args).env("RUNABOUT_HOME", home.path());
        Worker::spawn(command, Framing::Lines)
    };
    let asked = json!({"prefix": "def mean(values):\n    return ", "mode": "raw", "max_tokens": 12});
    let packed = || {
        fs::read_dir(home.path().join("packed")).map_or(Vec::new(), |it| {
            it.map(|it| it.unwrap().path())
                .filter(|it| it.extension().is_some_and(|it| it == "packed"))
                .collect()
        })
    };

    let mut worker = serve(&["--no-packed-cache"]);
    let expected = worker.call("complete", &asked)["text"].clone();
    drop(worker);
    assert_eq!(packed(), Vec::<PathBuf>::new());

    let mut worker = serve(&[]);
    // It is written while the worker works.
    while packed().is_empty() {
        assert_eq!(worker.call("complete", &asked)["text"], expected);
        assert!(!worker.log().contains("packed weights are not kept"), "{}", worker.log());
    }
    drop(worker);

    let mut worker = serve(&[]);
    assert_eq!(worker.call("complete", &asked)["text"], expected);
    assert!(worker.log().contains("packed weights are taken from an earlier start"));
    drop(worker);

    let [file] = &packed()[..] else { panic!("one model has one file") };
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
    let mut worker = serve(&[]);
    assert_eq!(worker.call("complete", &asked)["text"], expected);
    assert!(worker.log().contains("packed weights cannot be used"));
}
