//! Slots that return to checkpoints only: where checkpoints are made, what they save, and what happens to them.
//!
//! The scripted model refuses whatever its slots cannot do, and its text shows a slot that holds a token too many or too
//! few.

use proptest::prelude::*;
use runabout_engine::{
    CancelReason, Supersede, Usage,
    scripted::{FedSpan, Recording, ScriptedModel},
};

use super::*;

fn hashing() -> ScriptedModel {
    ScriptedModel::hashing().with_checkpoints_only()
}

fn n_fed(spans: &[FedSpan]) -> usize {
    spans.iter().map(|it| it.tokens.len()).sum()
}

/// The places of the checkpoints that were made.
fn checkpoints(spans: &[FedSpan]) -> Vec<usize> {
    spans.iter().filter(|it| it.checkpoint).map(|it| it.start + it.tokens.len()).collect()
}

/// The steps that fed a prompt of this length.
fn of_prompt(spans: &[FedSpan], n_prompt: usize) -> Vec<FedSpan> {
    spans.iter().filter(|it| it.start < n_prompt).cloned().collect()
}

const LINE: &str = "    let total = items.iter().map(|it| it.price * it.count).sum();\n";

/// Types a text key by key at the end of `file`. Returns the number of tokens computed for each key, without those of
/// the answer.
fn type_in(
    engine: &Engine,
    recording: &Recording,
    prompt: impl Fn(&str) -> String,
    file: &str,
    typed: &str,
) -> Vec<(usize, usize)> {
    let mut file = file.to_owned();
    let mut counts = Vec::new();
    for key in [""].into_iter().chain(typed.split("").filter(|it| !it.is_empty())) {
        file.push_str(key);
        let prompt = prompt(&file);
        recording.take();
        let finish = submit(engine, &prompt, |job| {
            job.document = Some("main.rs".into());
            job.priority = Priority::Interactive;
        })
        .finish();
        assert_eq!(finish.text, alone(&prompt, 4));
        let n_computed = n_fed(&of_prompt(&recording.take(), prompt.len()));
        // What is reported as found in the cache was not computed.
        assert_eq!(finish.usage.cached_tokens + n_computed, prompt.len());
        counts.push((n_computed, prompt.len()));
    }
    counts
}

#[test]
fn typing_a_hundred_keys_computes_at_most_three_percent_of_the_prompt_for_each() {
    let typed = &LINE.repeat(2)[..100];
    for n_lines in [6, 60] {
        let model = hashing();
        let recording = model.recording();
        let engine = start_as_it_is(model, options());
        let counts = type_in(&engine, &recording, str::to_owned, &LINE.repeat(n_lines), typed);
        assert_eq!(counts[0].0, counts[0].1);
        for (n_computed, n_prompt) in &counts[1..] {
            assert!(n_computed * 100 <= n_prompt * 3, "{n_computed} of {n_prompt} tokens");
        }
        assert_eq!(engine.status().cache.n_slots, 1);
    }
}

#[test]
fn typing_before_a_suffix_computes_only_the_suffix_again() {
    let (suffix, typed) = ("\n}\n\nfn main() {}\n", &LINE[..40]);
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, options());
    let prompt = |file: &str| format!("{file}{suffix}");
    let counts = type_in(&engine, &recording, prompt, &LINE.repeat(10), typed);
    // At the second key it is known where the prompts depart from each other.
    for (n_computed, n_prompt) in &counts[2..] {
        assert!(*n_computed <= suffix.len() + 9, "{n_computed} of {n_prompt} tokens");
    }
}

#[test]
fn typing_of_which_the_last_tokens_change_computes_little() {
    // As if the word at the cursor were encoded in another way with each of its letters.
    let prompt = |file: &str| {
        let word = file.rfind(|it: char| !it.is_alphanumeric()).map_or(0, |it| it + 1);
        format!("{}{}", &file[..word], file[word..].to_uppercase().chars().rev().collect::<String>())
    };
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, options());
    let counts = type_in(&engine, &recording, prompt, &LINE.repeat(20), &LINE[..60]);
    let n_computed: usize = counts[1..].iter().map(|it| it.0).sum();
    let n_asked: usize = counts[1..].iter().map(|it| it.1).sum();
    assert!(n_computed * 100 <= n_asked * 3, "{n_computed} of {n_asked}");
}

#[test]
fn a_chats_second_turn_computes_only_what_is_new() {
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, options());
    let mut prompt = "system: be brief. user: what is a slot? assistant: ".to_owned();
    for turn in 0..4 {
        recording.take();
        let n_known = if turn == 0 { 0 } else { prompt.len() - " user: and now? assistant: ".len() };
        let finish = submit(&engine, &prompt, |job| job.max_tokens = 60).finish();
        assert_eq!(finish.text, alone(&prompt, 60));
        let n_computed = n_fed(&of_prompt(&recording.take(), prompt.len()));
        // The last token of an answer is drawn but not fed.
        let n_new = prompt.len() - n_known + usize::from(turn > 0);
        assert_eq!((n_computed, finish.usage.cached_tokens), (n_new, prompt.len() - n_new));
        prompt = format!("{prompt}{} user: and now? assistant: ", finish.text);
    }
}

#[test]
fn a_turn_whose_answer_is_rendered_in_another_way_returns_to_the_end_of_the_last_message() {
    // The next prompt does not have the thoughts of the last answer.
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, options());
    let (head, turn) = ("system: think first. ".repeat(8), "user: what is it? ");
    let first = format!("{head}{turn}answer");
    let borders = vec![head.len(), head.len() + turn.len()];
    submit(&engine, &first, |job| {
        job.max_tokens = 40;
        job.borders = borders.clone();
    })
    .finish();
    assert_eq!(checkpoints(&recording.take()), borders);
    let second = format!("{head}{turn}ANSWER: it is that. user: why? answer");
    let finish = submit(&engine, &second, |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, head.len() + turn.len());
    assert_eq!(finish.text, alone(&second, 4));
}

#[test]
fn a_cancelled_prompt_is_continued_where_it_was() {
    let mut model = hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_as_it_is(model, EngineOptions { prefill_chunk: 100, ..options() });
    let prompt = LINE.repeat(30);
    let job = submit(&engine, &prompt, |job| job.borders = vec![300]);
    for _ in 0..8 {
        gate.pass();
    }
    gate.arrived();
    engine.cancel(job.id, CancelReason::Cancelled);
    gate.release();
    job.finish();
    drop(gate);
    let n_before = n_fed(&recording.take());
    // A prompt that departs before returns to the checkpoint before, and leaves the rest as it is.
    let other = format!("{}{}", &prompt[..320], "something else ".repeat(3));
    let finish = submit(&engine, &other, |_| {}).finish();
    assert_eq!((finish.usage.cached_tokens, finish.text), (300, alone(&other, 4)));
    let finish = submit(&engine, &prompt, |_| {}).finish();
    assert_eq!((finish.usage.cached_tokens, finish.text), (n_before, alone(&prompt, 4)));
}

#[test]
fn steps_that_end_far_from_the_last_checkpoint_make_one_in_prompts_and_in_texts() {
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, EngineOptions { prefill_chunk: 200, ..options() });
    let prompt = LINE.repeat(20);
    submit(&engine, &prompt, |job| job.max_tokens = 1500).finish();
    let made = checkpoints(&recording.take());
    assert!(made.windows(2).all(|it| it[1] - it[0] <= 512 + 200), "{made:?}");
    // Without the border before the last token, at least 512 tokens apart.
    let apart: Vec<usize> = made.iter().copied().filter(|it| *it != prompt.len() - 1).collect();
    assert!(apart.windows(2).all(|it| it[1] - it[0] >= 512), "{made:?}");
    assert!(made.len() >= 4, "{made:?}");
}

#[test]
fn the_number_of_checkpoints_of_a_slot_is_bounded() {
    let engine = start_as_it_is(hashing(), EngineOptions { prefill_chunk: 64, ..options() });
    let prompt = "x".repeat(4000);
    submit(&engine, &prompt, |job| job.borders = (0..4000).step_by(150).collect()).finish();
    assert_eq!(engine.status().cache.n_checkpoints, 8);
    let cache = engine.status().cache;
    assert_eq!(cache.bytes, 4 + cache.n_tokens as u64 + 2 * 8);
}

#[test]
fn under_a_memory_bound_checkpoints_go_before_slots_and_the_bound_holds() {
    let start = |cache_limit_bytes| {
        start_as_it_is(hashing(), EngineOptions { cache_limit_bytes, prefill_chunk: 64, ..options() })
    };
    let ask = |engine: &Engine, letter: &str| {
        let prompt = letter.repeat(400);
        let finish = submit(engine, &prompt, |job| job.borders = vec![130, 260, 390]).finish();
        assert_eq!(finish.text, alone(&prompt, 4));
        finish.usage.cached_tokens
    };
    // A slot takes 4 + 403 bytes, and 2 for each of three checkpoints; the last border is the one at 399.
    let engine = start(3 * (4 + 403 + 4 * 2));
    for letter in ["a", "b", "c"] {
        assert_eq!(ask(&engine, letter), 0);
    }
    assert_eq!((engine.status().cache.n_slots, engine.status().cache.n_checkpoints), (3, 12));
    // With a little less, each is left with fewer, and all still return to the end of their prompts.
    let engine = start(3 * (4 + 403 + 2 * 2) + 4);
    for letter in ["a", "b", "c"] {
        assert_eq!(ask(&engine, letter), 0);
        assert!(engine.status().memory.peak_bytes <= 3 * (4 + 403 + 2 * 2) + 4);
    }
    let cache = engine.status().cache;
    assert_eq!(cache.n_slots, 3);
    assert!((6..=8).contains(&cache.n_checkpoints), "{cache:?}");
    for letter in ["a", "b", "c"] {
        assert_eq!(ask(&engine, letter), 399);
    }
}

#[test]
fn a_running_job_gives_up_its_checkpoints_if_others_need_the_memory() {
    let mut model = hashing();
    model.description.slot_cost.checkpoint_bytes = 100;
    let gate = model.gate();
    let engine = start_as_it_is(
        model,
        EngineOptions { memory_limit_bytes: Some((320 << 20) + 1000), prefill_chunk: 100, ..options() },
    );
    let prompts = ["a".repeat(420), "b".repeat(420)];
    let first = submit(&engine, &prompts[0], |job| {
        job.max_tokens = 40;
        job.borders = vec![130, 260, 390];
    });
    while !gate.pass().iter().any(|it| it.sampled) {}
    gate.arrived();
    assert!(engine.status().cache.n_checkpoints >= 3);
    let second = submit(&engine, &prompts[1], |job| job.priority = Priority::Interactive);
    drop(gate);
    assert_eq!(second.finish().text, alone(&prompts[1], 4));
    assert_eq!(first.finish().text, alone(&prompts[0], 40));
    assert!(engine.status().memory.peak_bytes <= 1000, "{:?}", engine.status().memory);
}

#[test]
fn a_slot_costs_its_fixed_part_in_admission() {
    let mut model = hashing();
    model.description.slot_cost.fixed_bytes = 700;
    let options = EngineOptions { memory_limit_bytes: Some((320 << 20) + 1000), ..options() };
    let engine = start_as_it_is(model, options);
    let error = submit(&engine, "0123456789", |job| job.max_tokens = 291).error();
    let JobError::OutOfMemory { needed_bytes, available_bytes } = error else { panic!("{error}") };
    assert_eq!((needed_bytes, available_bytes), (1001, 1000));
    // Two together do not fit, so they run one after the other, and the first one's slot makes room for the second.
    let jobs = ["first", "second"].map(|it| submit(&engine, it, |_| {}));
    for (job, prompt) in jobs.into_iter().zip(["first", "second"]) {
        assert_eq!(job.finish().text, alone(prompt, 4));
    }
    assert!(engine.status().memory.peak_bytes <= 1000, "{:?}", engine.status().memory);
}

#[test]
fn two_live_jobs_share_a_beginning_that_nobody_has_announced() {
    let mut model = hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_as_it_is(model, EngineOptions { prefill_chunk: 100, ..options() });
    let shared = LINE.repeat(4);
    let prompts = [format!("{shared}{}", "first ".repeat(40)), format!("{shared}and the second")];
    let jobs = [0, 1].map(|idx| submit(&engine, &prompts[idx], |job| job.max_tokens = 30));
    drop(gate);
    let [first, second] = jobs.map(Submitted::finish);
    assert_eq!((first.text, second.text), (alone(&prompts[0], 30), alone(&prompts[1], 30)));
    assert_eq!(second.usage.cached_tokens, shared.len());
    let n_new: usize = prompts.iter().map(String::len).sum::<usize>() - shared.len();
    assert_eq!(n_fed(&recording.take()), n_new + 2 * 29);
}

#[test]
fn rejected_drafts_are_taken_back_by_the_model() {
    // Drafts are right half of the time.
    let model = || {
        ScriptedModel::new(|held, n| if held.len() % 7 < 4 { 97 } else { bytes("bcdefgh")[n % 7] })
            .with_checkpoints_only()
    };
    let prompt = "aaaabaaaacaaaad".repeat(6);
    let ask = |speculate| {
        let engine = start_as_it_is(model(), options());
        let finish = submit(&engine, &prompt, |job| {
            job.speculate = speculate;
            job.max_tokens = 700;
        })
        .finish();
        // The slot holds exactly the text, so that a chat goes on with it.
        let next = format!("{prompt}{} and", finish.text);
        let next = submit(&engine, &next, |_| {}).finish();
        assert_eq!(next.usage.cached_tokens, prompt.len() + 699);
        finish
    };
    let (with, without) = (ask(true), ask(false));
    assert_eq!(with.tokens, without.tokens);
    let Usage { drafted_tokens, accepted_tokens, .. } = with.usage;
    assert!(accepted_tokens > 0 && accepted_tokens < drafted_tokens, "{:?}", with.usage);
}

#[test]
fn a_newer_job_continues_an_older_one_and_a_third_returns_to_before_its_text() {
    let mut model = ScriptedModel::saying("println!(\"{total}\");").with_checkpoints_only();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start_as_it_is(model, options());
    let prompt = "fn main() { let total = 0; ";
    let older = submit(&engine, prompt, |job| job.max_tokens = 30);
    for _ in 0..9 {
        gate.pass();
    }
    gate.arrived();
    let supersede = |older: &Submitted, prompt: &str, typed: &str| {
        submit(&engine, prompt, |job| {
            job.max_tokens = 30;
            job.supersedes = Some(Supersede { job: older.id, typed: typed.to_owned() });
        })
    };
    let newer = supersede(&older, &format!("{prompt}pr"), "pr");
    gate.release();
    gate.arrived();
    recording.take();
    let third = supersede(&newer, &format!("{prompt}prX"), "X");
    gate.release();
    drop(gate);
    older.finish();
    newer.finish();
    let finish = third.finish();
    assert_eq!(finish.usage.cached_tokens, prompt.len() - 1);
    assert_eq!(finish.usage.prompt_tokens, prompt.len() + 3);
}

#[test]
fn a_warm_prompt_is_as_good_as_computed() {
    let model = hashing();
    let recording = model.recording();
    let engine = start_as_it_is(model, options());
    let prompt = LINE.repeat(5);
    submit(&engine, &prompt, |job| job.max_tokens = 0).finish();
    recording.take();
    submit(&engine, &prompt, |job| job.max_tokens = 0).finish();
    assert_eq!(recording.take(), []);
    let finish = submit(&engine, &prompt, |_| {}).finish();
    assert_eq!(finish.usage.cached_tokens, prompt.len() - 1);
    // And once more after a text.
    recording.take();
    submit(&engine, &prompt, |job| job.max_tokens = 0).finish();
    assert_eq!(recording.take(), []);
}

/// Edits of a text: where, and what is put there.
fn edits() -> impl Strategy<Value = Vec<(usize, String)>> {
    prop::collection::vec((0_usize..400, "[a-c]{0,12}"), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is edited and however small the memory is, the texts are those of an empty cache, and no more is
    /// computed than that.
    #[test]
    fn whatever_is_edited_the_text_is_that_of_an_empty_cache(
        edits in edits(),
        borders in prop::collection::vec(0_usize..400, 0..5),
        prefill_chunk in 1_usize..200,
        cache_limit_bytes in 0_u64..2000,
        checkpoint_bytes in 1_u64..300,
        document in any::<bool>(),
        speculate in any::<bool>(),
    ) {
        let mut model = hashing();
        model.description.slot_cost.checkpoint_bytes = checkpoint_bytes;
        let engine = start_as_it_is(model, EngineOptions { prefill_chunk, cache_limit_bytes, ..options() });
        let mut text = LINE.repeat(6);
        for (at, new) in edits {
            text.replace_range(at.min(text.len())..(at + 3).min(text.len()), &new);
            let finish = submit(&engine, &text, |job| {
                job.borders.clone_from(&borders);
                job.borders.sort_unstable();
                job.document = document.then(|| "a".into());
                job.speculate = speculate;
            })
            .finish();
            prop_assert_eq!(finish.text, alone(&text, 4));
            prop_assert!(engine.status().cache.bytes <= cache_limit_bytes);
        }
    }
}
