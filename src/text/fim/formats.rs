//! The prompts of every family, token by token, as the model cards and the families' own code write them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::families::{FAMILIES, Family};
use super::*;
use crate::tokenizer::bytes_with;

/// A tokenizer with all the tokens of a family that its format mentions.
fn tokenizer_of(family: &Family) -> Tokenizer {
    // A token that distinguishes GLM from CodeGeeX4.
    let more: &[&str] = if family.name == "glm" { &["<think>"] } else { &[] };
    let tokens: BTreeSet<_> = family.needs.iter().chain(family.stop).chain(more).copied().collect();
    bytes_with(&tokens.into_iter().collect::<Vec<_>>())
}

const CONTEXT: [ContextFile<'static>; 2] =
    [ContextFile { path: "a.py", text: "A = 1\n" }, ContextFile { path: "b.py", text: "B = 2" }];

const ALONE: Surroundings<'static> =
    Surroundings { prefix: "x = A", suffix: "\ny\n", path: None, language: None, context: &[] };

const AMONG_OTHERS: Surroundings<'static> =
    Surroundings { path: Some("c.py"), language: Some("Python"), context: &CONTEXT, ..ALONE };

use Order::{Psm, Spm};

/// Family, order, the prompt for a single file, and the prompt with context files, if the family has a form for that.
const CARDS: [(&str, Order, &str, Option<&str>); 19] = [
    (
        "qwen",
        Psm,
        "<|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>",
        Some(
            "<|repo_name|>project\n<|file_sep|>a.py\nA = 1\n\n<|file_sep|>b.py\nB = 2\n<|file_sep|>c.py\n\
             <|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>",
        ),
    ),
    (
        "codegemma",
        Psm,
        "<|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>",
        Some(
            "a.py\nA = 1\n<|file_separator|>b.py\nB = 2<|file_separator|>c.py\n\
             <|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>",
        ),
    ),
    ("granite", Psm, "<|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>", None),
    ("pipes", Psm, "<|fim_prefix|>x = A<|fim_suffix|>\ny\n<|fim_middle|>", None),
    (
        "mellum",
        Spm,
        "<fim_suffix>\ny\n<fim_prefix>x = A<fim_middle>",
        Some(
            "<filename>a.py\nA = 1\n\n<filename>b.py\nB = 2\n<filename>c.py\n\
             <fim_suffix>\ny\n<fim_prefix>x = A<fim_middle>",
        ),
    ),
    (
        "starcoder2",
        Psm,
        "<fim_prefix>x = A<fim_suffix>\ny\n<fim_middle>",
        Some(
            "<repo_name>project<file_sep>a.py\nA = 1\n<file_sep>b.py\nB = 2<file_sep>\
             <fim_prefix>c.py\nx = A<fim_suffix>\ny\n<fim_middle>",
        ),
    ),
    (
        "starcoder2",
        Spm,
        "<fim_prefix><fim_suffix>\ny\n<fim_middle>x = A",
        Some(
            "<repo_name>project<file_sep>a.py\nA = 1\n<file_sep>b.py\nB = 2<file_sep>\
             <fim_prefix><fim_suffix>\ny\n<fim_middle>c.py\nx = A",
        ),
    ),
    ("starcoder", Psm, "<fim_prefix>x = A<fim_suffix>\ny\n<fim_middle>", None),
    ("starcoder", Spm, "<fim_prefix><fim_suffix>\ny\n<fim_middle>x = A", None),
    ("santacoder", Psm, "<fim-prefix>x = A<fim-suffix>\ny\n<fim-middle>", None),
    ("santacoder", Spm, "<fim-prefix><fim-suffix>\ny\n<fim-middle>x = A", None),
    (
        "deepseek",
        Psm,
        "<｜fim▁begin｜>x = A<｜fim▁hole｜>\ny\n<｜fim▁end｜>",
        Some("<｜fim▁begin｜>#a.py\nA = 1\n\n#b.py\nB = 2\n#c.py\nx = A<｜fim▁hole｜>\ny\n<｜fim▁end｜>"),
    ),
    ("codellama", Psm, "▁<PRE>x = A▁<SUF>\ny\n▁<MID>", None),
    ("codellama", Spm, "▁<PRE>▁<SUF>\ny\n▁<MID>x = A", None),
    (
        "codestral",
        Spm,
        "[SUFFIX]\ny\n[PREFIX]x = A",
        Some("[SUFFIX]\ny\n[PREFIX]+++++ a.py\nA = 1\n\n+++++ b.py\nB = 2\n+++++ c.py\nx = A"),
    ),
    ("seed-coder", Spm, "<[fim-suffix]>\ny\n<[fim-prefix]>x = A<[fim-middle]>", None),
    (
        "codegeex4",
        Spm,
        "<|user|>\n###PATH:untitled\n###LANGUAGE:\n###MODE:BLOCK\n\
         <|code_suffix|>\ny\n<|code_prefix|>x = A<|code_middle|><|assistant|>\n",
        Some(
            "<|user|>\n###REFERENCE:\n###PATH:a.py\nA = 1\n\n###REFERENCE:\n###PATH:b.py\nB = 2\n\
             ###PATH:c.py\n###LANGUAGE:Python\n###MODE:BLOCK\n\
             <|code_suffix|>\ny\n<|code_prefix|>x = A<|code_middle|><|assistant|>\n",
        ),
    ),
    ("glm", Psm, "<|code_prefix|>x = A<|code_suffix|>\ny\n<|code_middle|>", None),
    ("falcon", Psm, "<|prefix|>x = A<|suffix|>\ny\n<|middle|>", None),
];

fn family(name: &str) -> &'static Family {
    FAMILIES.iter().find(|it| it.name == name).unwrap()
}

/// The tokens of a prompt as a card writes it, with control tokens as such.
fn card(tokenizer: &Tokenizer, text: &str) -> Vec<TokenId> {
    tokenizer.encode_rendered(text, str::to_owned)
}

/// The card's prompt with the prefix replaced by `above` and then `begun`. In the order with the prefix first, `begun`
/// comes after the suffix, as the beginning of the middle.
fn card_of_lines(tokenizer: &Tokenizer, text: &str, order: Order, above: &str, begun: &str) -> Vec<TokenId> {
    let (prefix, middle) =
        if order == Psm { (above.to_owned(), begun) } else { (above.to_owned() + begun, "") };
    card(tokenizer, &(text.replace(ALONE.prefix, &prefix) + middle))
}

#[test]
fn every_family_is_told_from_its_vocabulary_and_asks_as_its_card_says() {
    let above = "above\n".repeat(LINES_AT_A_TIME);
    let begun = "begun\n".repeat(MIN_LINES_BEGUN) + "x = A";
    let prefix = &(above.clone() + &begun);
    for (name, order, alone, among_others) in CARDS {
        let tokenizer = tokenizer_of(family(name));
        let format = FimFormat::detect(&tokenizer).unwrap();
        assert_eq!(format.name(), name);
        let format = format.in_order(order).unwrap();
        let prompt = format.prompt(&tokenizer, &Surroundings { prefix, ..ALONE }, 1000);
        let expected = card_of_lines(&tokenizer, alone, order, &above, &begun);
        assert_eq!(prompt.tokens, expected, "{name}, {order:?}");
        let prompt = format.prompt(&tokenizer, &Surroundings { prefix, ..AMONG_OTHERS }, 1000);
        let expected = card_of_lines(&tokenizer, among_others.unwrap_or(alone), order, &above, &begun);
        assert_eq!(prompt.tokens, expected, "{name}, {order:?}");
        let n_left_out = if among_others.is_some() { 0 } else { CONTEXT.len() };
        assert_eq!(prompt.trimmed, Trimmed { context_files: n_left_out, ..Trimmed::default() });
    }
}

/// Types the end of a text key by key, and returns the share of the prompts' tokens that were the same in the prompt
/// before.
fn share_kept(format: &FimFormat, tokenizer: &Tokenizer, text: &str, n_keys: usize, limit: usize) -> f64 {
    let (mut n_tokens, mut n_kept) = (0, 0);
    let mut before: Vec<TokenId> = Vec::new();
    for at in text.len() - n_keys..=text.len() {
        let whole = Surroundings { prefix: &text[..at], suffix: text, ..AMONG_OTHERS };
        let tokens = format.prompt(tokenizer, &whole, limit).tokens;
        if !before.is_empty() {
            n_tokens += tokens.len();
            n_kept += before.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        }
        before = tokens;
    }
    n_kept as f64 / n_tokens as f64
}

#[test]
fn typing_keeps_the_cache_in_every_order_even_where_the_window_is_too_small() {
    let lines: Vec<_> = (0..50).map(|i| format!("    let value_{i} = compute({i});\n")).collect();
    let text = lines.concat();
    for (name, order) in [("qwen", Psm), ("deepseek", Psm), ("starcoder2", Spm), ("codestral", Spm)] {
        let tokenizer = tokenizer_of(family(name));
        let format = FimFormat::detect(&tokenizer).unwrap();
        assert_eq!(format.order(), order);
        // A limit for all of the text, and one for a third of it.
        for limit in [10_000, 1000] {
            let share = share_kept(&format, &tokenizer, &text, 300, limit);
            assert!(share > 0.95, "{name} in {limit} tokens: {share}");
        }
    }
}

#[test]
fn every_row_of_the_table_has_a_card_in_each_of_its_orders() {
    for family in &FAMILIES {
        for order in [Psm, Spm].into_iter().filter(|it| family.pieces(*it).is_some()) {
            assert!(CARDS.iter().any(|(name, of, ..)| *name == family.name && *of == order), "{family:?}");
        }
        assert!(family.pieces(family.order()).is_some());
    }
}

#[test]
fn a_completion_is_over_at_every_control_token_of_its_prompt() {
    for family in &FAMILIES {
        let tokenizer = tokenizer_of(family);
        let format = FimFormat::detect(&tokenizer).unwrap();
        for control in format.prompt(&tokenizer, &AMONG_OTHERS, 1000).tokens.iter().filter(|&&it| it > 255) {
            let is_turn = tokenizer.control_token("<|assistant|>") == Some(*control);
            assert!(format.stop_tokens().contains(control) || is_turn, "{}: {control}", family.name);
        }
    }
}

#[test]
fn families_that_share_tokens_are_told_apart_by_what_else_they_have() {
    let detected = |tokens: &[&str]| FimFormat::detect(&bytes_with(tokens)).map(|it| it.name());
    let star = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"];
    let with = |more: &[&'static str]| [&star[..], more].concat();
    assert_eq!(detected(&with(&["<filename>", "<reponame>", "<gh_stars>"])), Some("starcoder"));
    assert_eq!(detected(&with(&["<filename>", "<|im_start|>"])), Some("mellum"));
    assert_eq!(
        detected(&with(&["<repo_name>", "<file_sep>", "<filename>", "<|im_start|>"])),
        Some("starcoder2")
    );
    let glm = ["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|user|>", "<|assistant|>"];
    assert_eq!(detected(&glm), Some("codegeex4"));
    assert_eq!(detected(&[&glm[..], &["<think>"]].concat()), Some("glm"));
    assert_eq!(detected(&["<PRE>", "<SUF>", "<MID>", "<EOT>"]), Some("codellama"));
    // SmolLM2 has tokens for files, but none to fill in with.
    assert_eq!(detected(&["<repo_name>", "<file_sep>", "<filename>", "<|im_start|>"]), None);
}

#[test]
fn a_model_that_knows_both_orders_is_asked_in_the_one_that_keeps_all_of_the_cache() {
    let format = FimFormat::detect(&tokenizer_of(family("starcoder2"))).unwrap();
    assert_eq!(format.order(), Spm);
    assert_eq!(format.in_order(Psm).unwrap().order(), Psm);
    assert!(FimFormat::detect(&tokenizer_of(family("qwen"))).unwrap().in_order(Spm).is_none());
}

/// SentencePiece tokens as in Code Llama: `▁` is put before every encoded text, and words exist with and without it.
fn sentence_pieces() -> Tokenizer {
    let words = ["<unk>", "<s>", "</s>", "▁", "▁def", "def", "▁x", "x", "\n"];
    let control = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"];
    let vocabulary: serde_json::Map<String, Value> =
        words.iter().chain(&control).zip(0..).map(|(it, id)| ((*it).to_owned(), json!(id))).collect();
    let added: Vec<Value> = ["<s>", "</s>"]
        .iter()
        .chain(&control)
        .map(|it| {
            json!({
                "id": vocabulary[*it], "content": it, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let merges = [["▁", "d"], ["▁d", "e"]];
    let mut vocabulary = vocabulary;
    for (it, id) in ["d", "e", "f", "▁d", "▁de", "de"].iter().zip(20..) {
        vocabulary.insert((*it).to_owned(), json!(id));
    }
    let merges: Vec<Value> = merges
        .iter()
        .map(|it| json!(it))
        .chain([json!(["▁de", "f"]), json!(["d", "e"]), json!(["de", "f"]), json!(["▁", "x"])])
        .collect();
    let json = json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": "<unk>"},
    });
    let parts = crate::TokenizerParts {
        tokenizer_json: json.to_string().into_bytes(),
        ..crate::TokenizerParts::default()
    };
    Tokenizer::from_parts(&parts).unwrap()
}

#[test]
fn sentence_pieces_put_a_space_before_the_prefix_and_none_before_suffix_and_middle() {
    let tokenizer = sentence_pieces();
    let format = FimFormat::detect(&tokenizer).unwrap();
    let id = |it: &str| tokenizer.token_to_id(it).unwrap();
    let whole = Surroundings { prefix: "def x", suffix: "x\n", ..Surroundings::default() };
    let prompt = |order| format.in_order(order).unwrap().prompt(&tokenizer, &whole, 100).tokens;
    let (bos, prefix, suffix) = (id("<s>"), [id("▁def"), id("▁x")], [id("x"), id("\n")]);
    assert_eq!(
        prompt(Psm),
        [&[bos, id("▁<PRE>"), id("▁<SUF>")][..], &suffix, &[id("▁<MID>"), id("def"), id("▁x")]].concat()
    );
    assert_eq!(
        prompt(Spm),
        [&[bos, id("▁<PRE>"), id("▁<SUF>")][..], &suffix, &[id("▁<MID>")], &prefix].concat()
    );
}
