//! Texts that must have a format: they have it whatever the model says, and nothing else about the engine changes.

use std::collections::BTreeSet;

use runabout_engine::{CancelReason, FinishReason, Supersede, scripted::ScriptedModel};
use runabout_text::{Constraint, Format, Tokenizer};

use super::*;

const PATTERN: &str = "(ab|cd){3,9}(-?[a-d]{2,8}){0,4}!";

fn constrained(format: &Format) -> impl Fn(&mut Job) + use<> {
    let constraint = Constraint::new(&Tokenizer::bytes_for_tests(), format, "").unwrap();
    move |job| {
        job.constraint = Some(constraint.clone());
        job.max_tokens = 100;
    }
}

fn pattern(pattern: &str) -> impl Fn(&mut Job) + use<> {
    constrained(&Format::Regex(pattern.to_owned()))
}

fn schema() -> Format {
    let schema = r#"{
        "type": "object",
        "properties": {"severity": {"enum": ["low", "high"]}, "lines": {"type": "array", "items": {"type": "integer"}}},
        "required": ["severity", "lines"],
        "additionalProperties": false
    }"#;
    Format::JsonSchema(schema.to_owned())
}

/// Whether the text has the form of [`PATTERN`], as far as the tests need it.
fn fits(text: &str) -> bool {
    let body = text.trim_end_matches('!');
    text.len() == body.len() + 1
        && body.len() >= 6
        && body.chars().all(|it| "abcd-".contains(it))
        && body.as_bytes()[..6].chunks(2).all(|it| it == b"ab" || it == b"cd")
}

#[test]
fn a_text_gets_its_format_whatever_the_model_says() {
    let engine = start(ScriptedModel::hashing());
    let mut texts = BTreeSet::new();
    for n in 0..20 {
        let finish = submit(&engine, &format!("prompt {n}"), pattern(PATTERN)).finish();
        assert_eq!((finish.reason, finish.is_incomplete), (FinishReason::Eos, false));
        assert!(fits(&finish.text), "{}", finish.text);
        texts.insert(finish.text);
    }
    assert!(texts.len() > 3, "the model chooses where the format leaves a choice: {texts:?}");
}

#[test]
fn a_text_that_has_the_format_by_itself_is_not_changed() {
    let said = r#"{"severity": "high", "lines": [3, 14]}"#;
    let engine = start(ScriptedModel::saying(said));
    let events = submit(&engine, "?", constrained(&schema())).events_to_end();
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason, finish.is_incomplete), (said, FinishReason::Eos, false));
    assert_eq!(finish.tokens, bytes(said));
}

#[test]
fn the_text_neither_depends_on_what_runs_beside_it_nor_on_drafts() {
    let alone: Vec<_> = (0..6)
        .map(|n| submit(&start(ScriptedModel::hashing()), &format!("prompt {n}"), pattern(PATTERN)).finish())
        .collect();
    let engine = start(ScriptedModel::hashing());
    let free = submit(&engine, "unconstrained", |job| job.max_tokens = 60);
    let together: Vec<_> = (0..6)
        .map(|n| {
            submit(&engine, &format!("prompt {n}"), |job| {
                pattern(PATTERN)(job);
                job.speculate = true;
            })
        })
        .collect();
    for (alone, together) in alone.into_iter().zip(together) {
        let together = together.finish();
        assert_eq!((together.text, together.reason), (alone.text, alone.reason));
    }
    assert_eq!(free.finish().text, super::alone("unconstrained", 60));
}

#[test]
fn drafts_are_checked_against_the_format() {
    // The prompt has the text twice, so it is drafted; the format ends it earlier.
    let text = "alpha beta gamma delta epsilon zeta; alpha beta gamma delta epsilon zeta; ";
    let said = "alpha beta gamma delta epsilon zeta eta";
    let model = ScriptedModel::saying(said);
    let recording = model.recording();
    let engine = start(model);
    let finish = submit(&engine, text, |job| {
        pattern("[a-z ]{31}")(job);
        job.speculate = true;
    })
    .finish();
    assert!(finish.usage.accepted_tokens > 10, "{:?}", finish.usage);
    assert_eq!((finish.text.as_str(), finish.reason), (&said[..31], FinishReason::Eos));
    assert!(recording.spans().iter().any(|it| it.n_drafted > 0));
}

#[test]
fn a_draft_model_that_knows_nothing_of_the_format_changes_nothing() {
    let load = |draft| {
        Engine::spawn(options(), move |_| Ok(ScriptedModel::hashing().loaded_with_draft(draft))).unwrap()
    };
    let plain = submit(&start(ScriptedModel::hashing()), "?", pattern(PATTERN)).finish();
    for draft in [ScriptedModel::hashing(), ScriptedModel::saying("abcdabcd")] {
        let finish = submit(&load(draft), "?", |job| {
            pattern(PATTERN)(job);
            job.speculate = true;
        })
        .finish();
        assert_eq!((finish.text, finish.reason), (plain.text.clone(), FinishReason::Eos));
    }
}

#[test]
fn tokens_that_are_certain_take_no_step_of_their_own() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    submit(&engine, "?", |job| job.max_tokens = 0).finish();
    recording.take();
    let finish = submit(&engine, "?", pattern("a(long certain text)?b(another certain text)c")).finish();
    let n_steps = recording.spans().len();
    assert_eq!((finish.reason, finish.tokens.len()), (FinishReason::Eos, finish.text.len()));
    assert_eq!(finish.usage.completion_tokens, finish.text.len());
    assert!(finish.text.ends_with("banother certain textc"));
    assert!(n_steps <= 6, "{n_steps} steps");
    // Their probability is not known, so they are drawn if it is wanted.
    let engine = start(ScriptedModel::hashing());
    let with_logprobs = submit(&engine, "?", |job| {
        pattern("a(long certain text)?b(another certain text)c")(job);
        job.top_logprobs = Some(1);
    })
    .finish();
    assert_eq!(with_logprobs.logprobs.len(), with_logprobs.tokens.len());
    assert_eq!(with_logprobs.text, finish.text);
}

#[test]
fn a_text_that_is_ended_early_is_incomplete() {
    let said = r#"{"severity": "high", "lines": [3, 14]}"#;
    let finish = |change: &dyn Fn(&mut Job)| {
        submit(&start(ScriptedModel::saying(said)), "?", |job| {
            constrained(&schema())(job);
            change(job);
        })
        .finish()
    };
    let cut = finish(&|job| job.max_tokens = 16);
    assert_eq!((cut.text.as_str(), cut.reason, cut.is_incomplete), (&said[..16], FinishReason::Length, true));
    let stopped = finish(&|job| job.stop = vec!["lines".to_owned()]);
    assert_eq!(stopped.text, said[..said.find("lines").unwrap()]);
    assert_eq!((stopped.reason, stopped.is_incomplete), (FinishReason::Stop { index: 0 }, true));
    let late = finish(&|job| job.time_budget = Some(Duration::ZERO));
    assert_eq!((late.reason, late.is_incomplete), (FinishReason::Budget, true));
    // The limit falls on the last token.
    let whole = finish(&|job| job.max_tokens = said.len());
    assert_eq!((whole.reason, whole.is_incomplete), (FinishReason::Eos, false));
    // More could follow, but need not.
    let open = submit(&start(ScriptedModel::saying("aaaa")), "?", |job| {
        pattern("a+")(job);
        job.max_tokens = 3;
    })
    .finish();
    assert_eq!((open.text.as_str(), open.reason, open.is_incomplete), ("aaa", FinishReason::Length, false));
}

#[test]
fn a_cancelled_text_says_that_it_is_incomplete_and_its_slot_is_used_again() {
    let mut model = ScriptedModel::hashing();
    let recording = model.recording();
    let gate = model.gate();
    let engine = start(model);
    let job = submit(&engine, "a prompt of some length", pattern(PATTERN));
    for _ in 0..3 {
        gate.pass();
    }
    gate.arrived();
    engine.cancel(job.id, CancelReason::Cancelled);
    gate.release();
    drop(gate);
    let finish = job.finish();
    assert_eq!((finish.reason, finish.is_incomplete), (FinishReason::Cancelled, true));
    recording.take();
    let again = submit(&engine, "a prompt of some length", pattern(PATTERN)).finish();
    assert_eq!(again.reason, FinishReason::Eos);
    assert!(again.usage.cached_tokens > 10, "{:?}", again.usage);
}

#[test]
fn a_job_with_a_format_is_not_continued_by_one_whose_format_begins_later() {
    let engine = start(ScriptedModel::saying("abab!"));
    let older = submit(&engine, "?", |job| {
        pattern("(ab)+!")(job);
        job.document = Some("d".into());
    });
    let newer = submit(&engine, "?ab", |job| {
        pattern("(ab)+!")(job);
        job.document = Some("d".into());
        job.supersedes = Some(Supersede { job: older.id, typed: "ab".to_owned() });
    });
    let finish = newer.finish();
    assert!(finish.text.starts_with("ab") && finish.text.ends_with('!'), "{}", finish.text);
    older.events_to_end().end.unwrap();
}

#[test]
fn a_format_that_becomes_too_complex_fails_its_own_job_only() {
    // After `x`, it can go on in more ways than are followed.
    let names: Vec<String> = (0..2200).map(|n| format!("r{n}")).collect();
    let rules: Vec<String> = names.iter().map(|it| format!("{it}: \"a\" \"{it}\"\n")).collect();
    let ambiguous = Format::Lark(format!("start: \"x\" rest\nrest: {}\n{}", names.join("|"), rules.concat()));
    let engine = start(ScriptedModel::new(|_, _| u32::from(b'x')));
    let failing = submit(&engine, "?", constrained(&ambiguous));
    let other = submit(&engine, "other", |job| job.max_tokens = 8);
    assert_eq!(other.finish().text, "xxxxxxxx");
    let error = failing.events_to_end().end.unwrap_err();
    assert!(matches!(error, JobError::FormatFailed(_)), "{error}");
    assert_eq!(submit(&engine, "?", pattern("xx")).finish().text, "xx");
}
