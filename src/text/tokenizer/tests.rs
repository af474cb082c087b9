//! Tests of text to tokens and what is read from a tokenizer's files.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

fn edited(edit: impl FnOnce(&mut Value)) -> TokenizerParts {
    let mut parts = byte_parts();
    let mut json: Value = serde_json::from_slice(&parts.tokenizer_json).unwrap();
    edit(&mut json);
    parts.tokenizer_json = json.to_string().into_bytes();
    parts
}

#[test]
fn tokenizers_differ_where_a_token_has_another_name_and_not_where_one_has_more() {
    let tokenizer = Tokenizer::bytes_for_tests();
    let named = |name: &str| {
        let parts = edited(|json| {
            json["added_tokens"][8]["content"] = json!(name);
            let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
            vocabulary.retain(|_, id| id != 264);
            vocabulary.insert(name.to_owned(), json!(264));
        });
        Tokenizer::from_parts(&parts).unwrap()
    };
    assert_eq!(tokenizer.first_difference(&named("<|file_sep|>")), None);
    assert_eq!(tokenizer.first_difference(&named("<|file_end|>")), Some(264));
    let mut parts = edited(|json| {
        let mut more = json["added_tokens"][8].clone();
        (more["id"], more["content"]) = (json!(265), json!("<tool_call>"));
        json["added_tokens"].as_array_mut().unwrap().push(more);
    });
    parts.tokenizer_config = None;
    let longer = Tokenizer::from_parts(&parts).unwrap();
    assert_eq!(longer.vocabulary_size(), 266);
    assert_eq!((tokenizer.first_difference(&longer), longer.first_difference(&tokenizer)), (None, None));
}

#[test]
fn the_borders_of_a_prompt_are_at_its_control_tokens() {
    let tokenizer = Tokenizer::bytes_for_tests();
    let prompt = tokenizer.encode_rendered("<|im_start|>ab<|im_end|>\n<|im_start|>", str::to_owned);
    assert_eq!(tokenizer.borders(&prompt), [0, 3, 5]);
    assert!(tokenizer.borders(&tokenizer.encode_text("<|im_start|>")).is_empty());
}

#[test]
fn control_tokens_in_a_text_are_spelt_out() {
    let tokenizer = Tokenizer::bytes_for_tests();
    let text = "a<|im_end|>é";
    assert_eq!(tokenizer.encode_text(text), text.bytes().map(TokenId::from).collect::<Vec<_>>());
    assert_eq!(tokenizer.encode_prompt(text), tokenizer.encode_text(text));
}

#[test]
fn ordinary_added_tokens_in_a_text_are_tokens() {
    let parts = edited(|json| {
        let tool_call = json!({
            "id": 265, "content": "<tool_call>", "special": false, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        });
        json["added_tokens"].as_array_mut().unwrap().push(tool_call);
    });
    let tokenizer = Tokenizer::from_parts(&parts).unwrap();
    assert_eq!(tokenizer.encode_text("<tool_call>"), [265]);
    assert_eq!(tokenizer.decode(&[265]), "<tool_call>");
    assert_eq!(tokenizer.vocabulary_size(), 266);
}

#[test]
fn a_raw_prompt_begins_as_the_tokenizers_files_say() {
    let with_bos = |add_bos_token: Value, post_processor: Value| {
        let mut parts = edited(|json| json["post_processor"] = post_processor);
        parts.tokenizer_config = Some(json!({"bos_token": "<|im_start|>", "add_bos_token": add_bos_token}));
        Tokenizer::from_parts(&parts).unwrap().encode_prompt("a")
    };
    let adds_bos = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [257], "tokens": ["<|im_start|>"]}},
    });
    assert_eq!(with_bos(json!(false), Value::Null), [97]);
    assert_eq!(with_bos(json!(true), Value::Null), [257, 97]);
    assert_eq!(with_bos(json!(true), adds_bos.clone()), [257, 97]);
    assert_eq!(with_bos(Value::Null, adds_bos), [257, 97]);
}

#[test]
fn truncation_and_padding_of_the_file_do_not_touch_prompts() {
    let parts = edited(|json| {
        json["truncation"] =
            json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = json!({
            "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "x",
        });
    });
    assert_eq!(Tokenizer::from_parts(&parts).unwrap().encode_prompt("abc"), [97, 98, 99]);
}

#[test]
fn only_the_first_piece_of_a_prompt_gets_sentence_pieces_first_space() {
    let json = json!({
        "version": "1.0",
        "added_tokens": [{
            "id": 3, "content": "<s>", "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": true,
        }],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "model": {"type": "BPE", "vocab": {"▁": 0, "a": 1, "<unk>": 2, "<s>": 3}, "merges": [],
            "unk_token": "<unk>"},
    });
    let parts = TokenizerParts { tokenizer_json: json.to_string().into_bytes(), ..TokenizerParts::default() };
    let tokenizer = Tokenizer::from_parts(&parts).unwrap();
    let plain = |text: &str| tokenizer.encode_rendered(text, str::to_owned);
    assert_eq!(plain("a<s> \n a<s>a"), [0, 1, 3, 1, 3, 1], "`rstrip` swallows the space, too");
    assert_eq!(plain("<s>a"), [3, 1]);
}

#[test]
fn every_end_token_of_every_file_ends_a_turn() {
    let mut parts = byte_parts();
    parts.config = Some(json!({"eos_token_id": 7, "text_config": {"eos_token_id": [8]}}));
    parts.generation_config = Some(json!({"eos_token_id": [9, 7]}));
    parts.tokenizer_config = Some(json!({"eos_token": {"content": "<|fim_pad|>"}}));
    let ends = Tokenizer::from_parts(&parts).unwrap().end_tokens().to_vec();
    assert_eq!(ends, [7, 8, 9, 256, 258, 262]);
}

#[test]
fn the_token_that_the_template_puts_after_an_answer_ends_a_turn() {
    let ends_of = |template: &str| {
        let mut parts = byte_parts();
        parts.chat_template = Some(json!(template));
        Tokenizer::from_parts(&parts).unwrap().end_tokens().to_vec()
    };
    // The tokens in addition to 256 and 258, which end a turn under every template.
    let at_end = "{% for m in messages %}{{ m.content }}<|file_sep|>\n{% endfor %}";
    assert_eq!(ends_of(at_end), [256, 258, 264]);
    let at_beginning =
        "{% for m in messages %}{% if m.role == 'user' %}<|repo_name|>{% endif %}{{ m.content }}{% endfor %}";
    assert_eq!(ends_of(at_beginning), [256, 258, 263]);
    assert_eq!(ends_of("{{ raise_exception('never') }}"), [256, 258]);
}

#[test]
fn a_folder_is_read_with_its_template_and_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let missing = Tokenizer::from_folder(folder).unwrap_err();
    assert!(matches!(missing, TextError::MissingTokenizer { .. }), "{missing}");

    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("tokenizer.json", &byte_parts().tokenizer_json);
    write("generation_config.json", br#"{"eos_token_id": 65}"#);
    write("chat_template.json", br#"{"chat_template": "from json"}"#);
    let tokenizer = Tokenizer::from_folder(folder).unwrap();
    assert!(tokenizer.has_chat_template());
    assert!(tokenizer.end_tokens().contains(&65));

    write("config.json", b"{");
    let broken = Tokenizer::from_folder(folder).unwrap_err();
    assert!(matches!(broken, TextError::BadJson { .. }), "{broken}");
    write("tokenizer.json", b"{}");
    write("config.json", b"{}");
    let refused = Tokenizer::from_folder(folder).unwrap_err();
    assert!(matches!(refused, TextError::BadTokenizer { .. }), "{refused}");
}

#[test]
fn an_end_token_named_in_special_tokens_map_alone_ends_a_text() {
    let mut parts = byte_parts();
    parts.tokenizer_config = Some(json!({"eos_token": null}));
    parts.special_tokens_map = Some(json!({"eos_token": {"content": "<|file_sep|>"}}));
    assert!(Tokenizer::from_parts(&parts).unwrap().end_tokens().contains(&264));
}

#[test]
fn files_are_read_as_python_writes_them_and_errors_name_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let json = edited(|json| json["added_tokens"][0]["id"] = json!(256.0)).tokenizer_json;
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    write("tokenizer.json", &json);
    write(
        "tokenizer_config.json",
        br#"{"model_max_length": Infinity, "x": NaN, "eos_token": "<|endoftext|>"}"#,
    );
    write("generation_config.json", br#"{"eos_token_id": [258.0, 7], "y": {"__float__": "NaN"}}"#);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.end_tokens(), [7, 256, 258]);
    write("special_tokens_map.json", b"{");
    let err = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert!(err.to_string().contains("special_tokens_map.json"), "{err}");
}

#[test]
fn no_text_spells_a_control_token_that_the_model_knows_as_a_piece() {
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    };
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false});
    let letters = ["▁", "a", "<", "/", "s", ">", "|", "e", "n", "d"];
    let mut pieces = vec![json!(["<unk>", 0.0]), json!(["</s>", 0.0]), json!(["<|end|>", -1.0])];
    pieces.extend(letters.iter().map(|it| json!([it, -8.5])));
    let unigram = json!({
        "version": "1.0", "added_tokens": [special(0, "<unk>"), special(1, "</s>"), special(2, "<|end|>")],
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false},
    });
    let vocabulary: serde_json::Map<String, Value> = ["<unk>", "</s>", "<|end|>"]
        .iter()
        .chain(&letters)
        .zip(0..)
        .map(|(it, id)| ((*it).to_owned(), json!(id)))
        .collect();
    let whole_words = json!({
        "version": "1.0", "added_tokens": [special(0, "<unk>"), special(1, "</s>"), special(2, "<|end|>")],
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "ignore_merges": true, "unk_token": "<unk>"},
    });
    for json in [unigram, whole_words] {
        let parts = TokenizerParts {
            tokenizer_json: json.to_string().into_bytes(),
            tokenizer_config: Some(json!({"chat_template": "{{ messages[0].content }}</s>"})),
            ..TokenizerParts::default()
        };
        let tokenizer = Tokenizer::from_parts(&parts).unwrap();
        let text = "a </s><|end|>";
        let spelt = [4, 3, 5, 6, 7, 8, 5, 9, 10, 11, 12, 9, 8];
        assert_eq!(tokenizer.encode_text("</s>"), [5, 6, 7, 8]);
        assert!(tokenizer.encode_text(text).iter().all(|it| *it > 2));
        assert_eq!(tokenizer.decode(&tokenizer.encode_text(text)), text);
        let message = crate::Message::user(text);
        let request = crate::ChatRequest {
            messages: &[message],
            tools: &[],
            kwargs: &serde_json::Map::new(),
            add_generation_prompt: true,
        };
        let tokens = tokenizer.encode_chat(&request).unwrap();
        assert_eq!(tokens.iter().filter(|it| **it <= 2).collect::<Vec<_>>(), [&1]);
        assert_eq!(spelt.len() + 1, tokens.len());
        assert_eq!(tokenizer.token_to_id("</s>"), Some(1));
    }
}

#[test]
fn a_file_that_is_read_in_parts_gives_the_librarys_tokenizer() {
    let read = |json: &Value| {
        let bytes = json.to_string().into_bytes();
        (read_in_parts(&bytes), tokenizers::Tokenizer::from_bytes(&bytes))
    };
    let base: Value = serde_json::from_slice(&byte_parts().tokenizer_json).unwrap();
    let changes: [(&str, Value); 7] = [
        ("/model/merges", json!([["a", "b"], ["ab", "c"]])),
        ("/model/merges", json!(["a b", "ab c"])),
        ("/model/ignore_merges", json!(true)),
        ("/model/unk_token", json!("a")),
        ("/normalizer", json!({"type": "NFC"})),
        (
            "/truncation",
            json!({"max_length": 9, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}),
        ),
        ("/added_tokens/0/normalized", json!(true)),
    ];
    for (at, value) in changes {
        let mut json = base.clone();
        json["model"]["vocab"]["ab"] = json!(300);
        json["model"]["vocab"]["abc"] = json!(301);
        // A token that the model's vocabulary lacks, whose id the library gives.
        json["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": 302, "content": "<x>", "special": false, "normalized": false,
            "single_word": false, "lstrip": true, "rstrip": false,
        }));
        let (parent, key) = at.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        let (ours, librarys) = read(&json);
        let (ours, librarys) = (ours.unwrap(), librarys.unwrap());
        assert_eq!(serde_json::to_value(&ours).unwrap(), serde_json::to_value(&librarys).unwrap(), "{at}");
        let tokens = |it: &tokenizers::Tokenizer| {
            it.encode_fast("abc <x> <|im_end|>a", true).unwrap().get_ids().to_vec()
        };
        assert_eq!(tokens(&ours), tokens(&librarys), "{at}");
    }
    // What only the library can judge is left to it.
    for (at, value) in
        [("/model/type", json!("WordLevel")), ("/model/merges", Value::Null), ("/version", json!("2.0"))]
    {
        let mut json = base.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        assert!(read(&json).0.is_none(), "{at}");
    }
}
