//! How likely the shown text is, and texts that are withheld because it is not likely enough.

use std::sync::Arc;

use proptest::prelude::*;
use runabout_engine::{CancelReason, FinishReason, Supersede, scripted::ScriptedModel};
use runabout_text::{Cursor, Goal, Healing, LineEnd, Rules, Tokenizer};

use super::*;

/// The model says a text, and the log probability of its token number n is -n/8, which no sum rounds.
fn saying(text: &str) -> ScriptedModel {
    ScriptedModel::saying(text).with_logprobs(|_, n_generated| -(n_generated as f32) / 8.0)
}

/// The numbers of the tokens that count.
fn counted(finish: &Finish) -> Vec<f64> {
    finish.likelihood.logprobs().map(|it| -it * 8.0).collect()
}

fn numbers(range: std::ops::Range<u8>) -> Vec<f64> {
    range.map(f64::from).collect()
}

fn rules(prefix: &str, suffix: &str) -> Option<Rules> {
    let cursor = Cursor { prefix, suffix, language: Some("python"), path: None };
    Some(Rules::new(&cursor, Goal::Auto, &[]))
}

#[test]
fn known_probabilities_give_a_known_confidence() {
    let engine = start(saying("ab\ncd"));
    let finish = submit(&engine, "p", |job| job.max_tokens = 10).finish();
    assert_eq!(counted(&finish), numbers(0..5));
    assert_eq!((finish.likelihood.first(), finish.likelihood.mean()), (Some(0.0), Some(-2.0 / 8.0)));
    assert_eq!(finish.likelihood.confidence(), Some((-1.0_f64 / 8.0).exp()));
    assert!(finish.logprobs.is_empty(), "nothing was asked for");
}

#[test]
fn what_a_rule_or_a_stop_string_cuts_off_does_not_count() {
    let engine = start(saying("ab), c"));
    let finish = submit(&engine, "p", |job| {
        job.max_tokens = 10;
        job.rules = rules("f(", ")\n");
    })
    .finish();
    assert_eq!((finish.text.as_str(), counted(&finish)), ("ab", numbers(0..2)));
    let finish = submit(&engine, "q", |job| {
        job.max_tokens = 10;
        job.stop = vec!["xx".to_owned(), "b),".to_owned()];
    })
    .finish();
    assert_eq!((finish.text.as_str(), counted(&finish)), ("a", numbers(0..1)));
}

#[test]
fn text_in_the_form_of_the_file_has_the_likelihood_of_what_was_drawn() {
    let engine = start(saying("x:\n        a\n        b\n"));
    let prefix = "if a:\n\tb()\n\tif c:\n\t\td()\n\tif ";
    let finish = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.rules = rules(prefix, "\n");
        job.line_end = Some(LineEnd::CrLf);
    })
    .finish();
    let n_drawn = match finish.text.as_str() {
        "x:" => 2,
        "x:\r\n\t\ta\r\n\t\tb" => 22,
        other => panic!("{other:?}"),
    };
    assert_eq!(counted(&finish), numbers(0..n_drawn));
}

#[test]
fn a_word_that_is_generated_again_does_not_count() {
    let engine = start(saying("abcd"));
    let finish = submit(&engine, "p", |job| {
        job.max_tokens = 10;
        job.healing = Healing::new(Arc::new(Tokenizer::bytes_for_tests()), "ab");
    })
    .finish();
    assert_eq!((finish.text.as_str(), counted(&finish)), ("cd", numbers(2..4)));
}

#[test]
fn drafts_change_no_probability() {
    let text = "one two three four five six seven";
    let engine = start(saying(&text[7..]));
    let plain = submit(&engine, &format!("{text}; {}", &text[..7]), |job| job.max_tokens = 50).finish();
    let engine = start(saying(&text[7..]));
    let drafted = submit(&engine, &format!("{text}; {}", &text[..7]), |job| {
        job.max_tokens = 50;
        job.speculate = true;
    })
    .finish();
    assert!(drafted.usage.accepted_tokens > 0, "{:?}", drafted.usage);
    assert_eq!(drafted.likelihood, plain.likelihood);
    assert_eq!(counted(&drafted), numbers(0..26));
}

/// Lets the model generate `n` tokens after a prompt of one step, then hands the job over to one whose user typed
/// `typed`. Returns the ends of both.
fn handed_over(text: &str, n: usize, typed: &str, min_confidence: Option<f64>) -> (AllEvents, AllEvents) {
    let mut model = saying(text);
    let gate = model.gate();
    let engine = start(model);
    let older = submit(&engine, "p", |job| (job.max_tokens, job.min_confidence) = (30, min_confidence));
    for _ in 0..n {
        gate.pass();
    }
    gate.arrived();
    let newer = submit(&engine, &format!("p{typed}"), |job| {
        (job.max_tokens, job.min_confidence) = (30, min_confidence);
        job.supersedes = Some(Supersede { job: older.id, typed: typed.to_owned() });
    });
    gate.release();
    drop(gate);
    (older.events_to_end(), newer.events_to_end())
}

#[test]
fn what_was_typed_does_not_count() {
    let (_, newer) = handed_over("ab\ncd", 3, "ab", None);
    let finish = newer.end.unwrap();
    assert_eq!((finish.text.as_str(), counted(&finish)), ("\ncd", numbers(2..5)));
    assert_eq!(finish.likelihood.confidence(), Some((-9.0_f64 / 8.0).exp()));
}

#[test]
fn an_unlikely_text_is_withheld_and_its_job_ends_when_that_is_certain() {
    let model = saying("abcdefghijklmnop");
    let recording = model.recording();
    let engine = start(model);
    let events = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        // Of the tokens 0 to 3, but not 4.
        job.min_confidence = Some((-9.0_f64 / 8.0).exp());
    })
    .events_to_end();
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), ("", FinishReason::LowConfidence));
    assert_eq!(counted(&finish), numbers(0..5));
    assert_eq!(recording.spans().len(), 5, "it ended with the token that decided it");
}

#[test]
fn a_likely_text_is_held_back_until_its_first_line_is_complete() {
    let engine = start(saying("ab\ncd\n"));
    let events = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        // The later lines do not count.
        job.min_confidence = Some((-1.0_f64 / 8.0).exp());
    })
    .events_to_end();
    assert_eq!(events.deltas, ["ab\n", "c", "d", "\n"]);
    assert_eq!(events.end.unwrap().reason, FinishReason::Eos);
}

#[test]
fn an_empty_text_is_not_withheld() {
    let engine = start(saying(""));
    let finish = submit(&engine, "p", |job| job.min_confidence = Some(1.0)).finish();
    assert_eq!((finish.reason, finish.likelihood.confidence()), (FinishReason::Eos, None));
}

#[test]
fn what_was_held_back_is_decided_for_the_text_that_is_left_after_typing() {
    // Tokens 0 and 1 were typed. The rest of the line is 2 + 3.
    let (low, enough) = ((-4.0_f64 / 8.0).exp(), (-6.0_f64 / 8.0).exp());
    let (older, newer) = handed_over("abcd\nef", 3, "ab", Some(enough));
    assert_eq!((older.deltas.concat().as_str(), older.end.unwrap().reason), ("", FinishReason::Superseded));
    assert_eq!(newer.deltas.concat(), "cd\nef");
    assert_eq!(newer.deltas[0], "cd\n");
    let (_, newer) = handed_over("abcd\nef", 3, "ab", Some(low));
    assert_eq!(newer.deltas, [""; 0]);
    assert_eq!(newer.end.unwrap().reason, FinishReason::LowConfidence);
    // What was offered stays offered.
    let (older, newer) = handed_over("ab\ncdefg\n", 5, "ab\n", Some((-1.0_f64 / 8.0).exp()));
    assert_eq!(older.deltas.concat(), "ab\ncde");
    assert_eq!(newer.end.unwrap().text, "cdefg\n");
}

#[test]
fn a_cancel_before_it_is_decided_leaves_the_text_out() {
    let mut model = saying("abcdef");
    let gate = model.gate();
    let engine = start(model);
    let job = submit(&engine, "p", |job| (job.max_tokens, job.min_confidence) = (30, Some(0.01)));
    for _ in 0..3 {
        gate.pass();
    }
    gate.arrived();
    engine.cancel(job.id, CancelReason::Cancelled);
    drop(gate);
    let finish = job.finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("", FinishReason::Cancelled));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Ending early decides as the whole text would.
    #[test]
    fn the_decision_is_that_of_the_whole_text(
        text in "[ab \n)é]{0,12}",
        logprobs in prop::collection::vec(-2.0_f32..0.1, 20),
        min in 0.001_f64..1.0,
        by_rules in any::<bool>(),
        max_tokens in 1_usize..20,
    ) {
        let run = |min_confidence| {
            let logprobs = logprobs.clone();
            let model = ScriptedModel::saying(&text).with_logprobs(move |_, n| logprobs[n % logprobs.len()]);
            let engine = start(model);
            submit(&engine, "p", |job| {
                (job.max_tokens, job.min_confidence) = (max_tokens, min_confidence);
                job.rules = if by_rules { rules("f(", ")\n") } else { None };
            })
            .finish()
        };
        let (whole, judged) = (run(None), run(Some(min)));
        if whole.likelihood.confidence().is_some_and(|it| it < min) {
            prop_assert_eq!((judged.text.as_str(), judged.reason), ("", FinishReason::LowConfidence));
            prop_assert!(judged.likelihood.confidence().is_some_and(|it| it < min));
        } else {
            prop_assert_eq!((&judged.text, judged.reason), (&whole.text, whole.reason));
            prop_assert_eq!(judged.likelihood, whole.likelihood);
        }
    }
}
