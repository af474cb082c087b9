//! Files with impossible values are refused before anything is written, and the error names the key or the tensor.

use serde_json::json;

use super::import;
use crate::gguf::sample::{Sample, texts};
use crate::gguf::{GgmlType, Value};

/// The error for a model in which one key was set.
fn refusal(key: &str, value: &Value) -> String {
    let mut sample = Sample::model("llama");
    sample.set(key, value.clone());
    match import(&sample) {
        Ok(_) => panic!("`{key}` = {value} was accepted"),
        Err(text) => text,
    }
}

#[test]
fn an_impossible_number_is_refused_and_its_key_named() {
    let float = Value::Float;
    let signed = Value::Signed;
    let wrong_kinds = [Value::Text("4".into()), Value::Bool(true), float(f64::NAN)];
    let counts = ["block_count", "context_length", "embedding_length", "attention.key_length"];
    let counts = counts.into_iter().chain(["attention.value_length", "rope.dimension_count"]);
    let of_layers = ["attention.head_count", "attention.head_count_kv", "feed_forward_length"];
    let zero_or_less = [Value::Unsigned(0), signed(-1), Value::Unsigned(1 << 60), float(2.0)];
    let mut cases: Vec<(&str, Vec<Value>)> =
        counts.chain(of_layers).map(|it| (it, [&zero_or_less[..], &wrong_kinds].concat())).collect();
    cases.push((
        "rope.freq_base",
        [&[float(0.0), float(-1.0), float(f64::INFINITY), float(1e300), float(1e-300)][..], &wrong_kinds]
            .concat(),
    ));
    let epsilons = [float(-1e-5), float(f64::INFINITY), float(2.0)];
    cases.push(("attention.layer_norm_rms_epsilon", [&epsilons[..], &wrong_kinds].concat()));
    let factors = [float(-4.0), float(f64::INFINITY)];
    cases.push(("rope.scaling.factor", [&factors[..], &wrong_kinds].concat()));
    cases.push(("rope.scale_linear", factors.to_vec()));
    cases.push(("expert_count", vec![signed(-1), float(0.0), Value::Text("0".into())]));
    for (key, values) in cases {
        let key = format!("llama.{key}");
        for value in values {
            let text = refusal(&key, &value);
            assert!(text.contains(&format!("`{key}` must be ")), "{key} = {value}: {text}");
            assert!(text.contains(&format!("got {value}")) && text.contains("\nhint: "), "{text}");
        }
    }
    assert!(refusal("split.count", &signed(-1)).contains("`split.count` must be "));
}

#[test]
fn a_text_flag_or_list_of_the_wrong_kind_is_refused() {
    for (key, value, expected) in [
        ("tokenizer.ggml.model", Value::Unsigned(1), "a text, got 1"),
        ("tokenizer.ggml.pre", Value::Bool(true), "a text, got true"),
        ("tokenizer.chat_template", texts(&["a", "b"]), "a text, got a list of 2"),
        ("tokenizer.chat_template.tool_use", Value::Float(0.5), "a text, got 0.5"),
        ("llama.rope.scaling.type", Value::Unsigned(0), "a text, got 0"),
        ("tokenizer.ggml.add_bos_token", Value::Unsigned(1), "true or false, got 1"),
        ("tokenizer.ggml.add_eos_token", Value::Text("no".into()), "true or false, got \"no\""),
        ("tokenizer.ggml.tokens", Value::Text("x".repeat(100)), "a list, got a text of 100 bytes"),
        ("tokenizer.ggml.token_type", Value::Unsigned(3), "a list, got 3"),
        ("tokenizer.ggml.merges", Value::Bool(false), "a list, got false"),
    ] {
        let text = refusal(key, &value);
        assert!(text.contains(&format!("`{key}` must be {expected}")), "{text}");
    }
}

#[test]
fn an_unknown_kind_of_token_is_refused() {
    for kind in [Value::Float(3.0), Value::Text("control".into()), Value::Bool(true), Value::Signed(-1)]
        .into_iter()
        .chain([Value::Unsigned(0), Value::Unsigned(7)])
    {
        // The items of a list are all of one kind.
        let text = refusal("tokenizer.ggml.token_type", &Value::Array(vec![kind.clone(); 11]));
        let expected =
            format!("`tokenizer.ggml.token_type[0]` must be a whole number from 1 to 6, got {kind}");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn a_token_without_a_row_in_the_embedding_is_refused() {
    let mut sample = Sample::model("llama");
    let mut tokens = vec!["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "c", "ab", "abc", "1"];
    tokens.extend(["\u{120}", "\u{120}ab", "<tool_call>"]);
    sample.set("tokenizer.ggml.tokens", texts(&tokens));
    let kinds = (0..12).map(|id| Value::Signed(if id < 3 { 3 } else { 4 })).collect();
    sample.set("tokenizer.ggml.token_type", Value::Array(kinds));
    let text = import(&sample).err().unwrap();
    let expected = "`tokenizer.ggml.tokens` must have at most 11 tokens, one for each row of `token_embd.weight`, got 12";
    assert!(text.contains(expected), "{text}");

    // The reverse is allowed: many models have rows without a token.
    sample.tensors.remove(0);
    sample.tensor("token_embd.weight", &[32, 16], GgmlType::Q8_0);
    assert_eq!(import(&sample).unwrap().json("config.json")["vocab_size"], json!(16));
}

#[test]
fn the_id_of_a_special_token_must_be_in_the_vocabulary() {
    for role in ["bos", "eos", "eot", "eom", "unknown", "padding"] {
        let key = format!("tokenizer.ggml.{role}_token_id");
        let wrong = [Value::Unsigned(11), Value::Signed(-2), Value::Float(1.0), Value::Text("</s>".into())];
        for value in wrong.into_iter().chain([Value::Unsigned(1 << 60)]) {
            let text = refusal(&key, &value);
            assert!(text.contains(&format!("`{key}` must be a token's id, below 11, got {value}")), "{text}");
        }
        for none in [Value::Signed(-1), Value::Unsigned(u64::from(u32::MAX))] {
            let mut sample = Sample::model("llama");
            sample.set(&key, none);
            import(&sample).unwrap();
        }
    }
}

#[test]
fn a_number_for_each_layer_is_accepted_if_all_are_equal() {
    let with = |items: &[u64]| {
        let mut sample = Sample::model("llama");
        let items = items.iter().map(|it| Value::Unsigned(*it)).collect();
        sample.set("llama.attention.head_count_kv", Value::Array(items));
        import(&sample).map(|it| it.json("config.json")["num_key_value_heads"].clone())
    };
    assert_eq!(with(&[1, 1]).unwrap(), json!(1));
    assert!(with(&[1, 2]).unwrap_err().contains("layers that differ in `llama.attention.head_count_kv`"));
    assert!(with(&[0, 0]).unwrap_err().contains("`llama.attention.head_count_kv` must be whole numbers"));
    assert!(with(&[]).unwrap_err().contains("a number for each layer"));
}

#[test]
fn a_tensor_with_an_unknown_name_is_refused() {
    for name in ["blk.00.attn_q.weight", "blk.+0.attn_q.weight", "blk.1.attn_q.weight", "blk.0.attn_q", "x"] {
        let mut sample = Sample::model("llama");
        sample.tensor(name, &[32, 32], GgmlType::F32);
        let text = import(&sample).err().unwrap();
        assert!(text.contains(&format!("needs the tensor `{name}`")), "{text}");
    }
    // Biases that the model would not apply.
    for (architecture, name) in [
        ("llama", "blk.0.attn_v.bias"),
        ("qwen2", "blk.0.attn_output.bias"),
        ("qwen2", "blk.0.ffn_down.bias"),
        ("qwen3", "blk.0.ffn_down.bias"),
        ("llama", "token_embd.bias"),
        ("llama", "output_norm.bias"),
    ] {
        let mut sample = Sample::model(architecture);
        sample.tensor(name, &[32], GgmlType::F32);
        let text = import(&sample).err().unwrap();
        assert!(text.contains(&format!("needs the tensor `{name}`")), "{text}");
    }
    let mut sample = Sample::model("llama");
    sample.tensors.iter_mut().find(|it| it.0 == "output_norm.weight").unwrap().1 = vec![32, 1];
    let text = import(&sample).err().unwrap();
    assert!(text.contains("tensor `output_norm.weight` must have 1 dimensions, got 2"), "{text}");
}

#[test]
fn values_of_another_size_than_keys_are_refused() {
    let text = refusal("llama.attention.value_length", &Value::Unsigned(8));
    assert!(text.contains("needs values of size 8 with keys of size 16"), "{text}");
}
