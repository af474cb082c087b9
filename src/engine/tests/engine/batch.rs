//! Several jobs in one step: which jobs share it, how much each gets, and that no text depends on other jobs.

use proptest::prelude::*;
use runabout_engine::{CancelReason, FinishReason, scripted::ScriptedModel};

use super::*;

fn interactive(job: &mut Job) {
    job.priority = Priority::Interactive;
}

#[test]
fn background_jobs_generate_together_and_each_gets_the_text_it_would_get_alone() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let prompts = ["first", "second", "third"];
    let jobs = prompts.map(|prompt| submit(&engine, prompt, |job| job.max_tokens = 20));
    // The prompts take a few steps; then all three share each step.
    let n_together = (0..14).filter(|_| gate.pass().len() == 3).count();
    assert!(n_together >= 10, "{n_together}");
    drop(gate);
    for (prompt, job) in prompts.into_iter().zip(jobs) {
        assert_eq!(job.finish().text, alone(prompt, 20));
    }
}

#[test]
fn a_prompt_is_computed_beside_jobs_that_generate() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { prefill_chunk: 8, ..options() });
    let talking = submit(&engine, "talks", |job| job.max_tokens = 20);
    gate.pass();
    gate.arrived();
    let prompt = "a prompt of thirty-two tokens...";
    let reading = submit(&engine, prompt, |_| {});
    gate.release();
    // One token for the first job, and the rest of the step for the prompt, which always gets its minimum.
    for (start, n_tokens) in [(0, 8), (8, 8), (16, 8), (24, by_mode(8, 7))] {
        let fed = gate.pass();
        assert_eq!((fed[0].tokens.len(), fed[1].start, fed[1].tokens.len()), (1, start, n_tokens));
    }
    drop(gate);
    assert_eq!(reading.finish().text, alone(prompt, 4));
    assert_eq!(talking.finish().text, alone("talks", 20));
}

#[test]
fn an_interactive_jobs_first_token_comes_with_the_step_after_the_running_one() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let chats = ["one", "two", "three"].map(|it| submit(&engine, it, |job| job.max_tokens = 100));
    while gate.pass().len() < 3 {}
    gate.arrived();
    let mut quick = submit(&engine, "quick", interactive);
    gate.release();
    let fed = gate.pass();
    assert_eq!((fed.len(), fed[0].tokens.clone(), fed[0].sampled), (1, bytes("quick"), true));
    assert!(matches!(quick.next(), Some(Event::Prefill { .. })));
    assert!(matches!(quick.next(), Some(Event::Prefill { .. })));
    assert!(matches!(quick.next(), Some(Event::Delta { .. })));
    drop(gate);
    for (prompt, chat) in ["one", "two", "three"].into_iter().zip(chats) {
        assert_eq!(chat.finish().text, alone(prompt, 100));
    }
}

#[test]
fn background_work_keeps_an_eighth_while_interactive_work_never_ends() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let chats = ["chat one", "chat two"].map(|it| submit(&engine, it, |job| job.max_tokens = 200));
    while gate.pass().len() < 2 {}
    gate.arrived();
    let typing = submit(&engine, "types", |job| {
        interactive(job);
        job.max_tokens = 141;
    });
    gate.release();
    drop(gate);
    let n_before = recording.spans().len();
    typing.finish();
    let spans = recording.spans();
    let slots: Vec<_> = spans[..n_before].iter().map(|it| it.slot).collect();
    let last = spans.iter().rposition(|it| !slots.contains(&it.slot)).unwrap();
    let n_of = |slot| spans[n_before..last].iter().filter(|it| it.slot == slot).count();
    // 145 tokens, five of the prompt and all drawn but the last, leave room for twenty; both get their half.
    let mut shares = [n_of(slots[0]), n_of(slots[1])];
    shares.sort_unstable();
    assert_eq!(shares, [10, 10]);
    for (prompt, chat) in ["chat one", "chat two"].into_iter().zip(chats) {
        assert_eq!(chat.finish().text, alone(prompt, 200));
    }
}

#[test]
fn background_work_gets_a_slot_while_interactive_work_never_ends() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { max_running: 2, ..options() });
    let typing = ["a", "b", "c"].map(|it| {
        submit(&engine, it, |job| {
            interactive(job);
            job.max_tokens = 1000;
        })
    });
    let chat = submit(&engine, "chat", |job| job.max_tokens = 3);
    drop(gate);
    assert_eq!(chat.finish().text, alone("chat", 3));
    for job in &typing {
        engine.cancel(job.id, CancelReason::Cancelled);
    }
    for job in typing {
        job.finish();
    }
}

#[test]
fn a_limited_number_of_jobs_runs_at_a_time_and_all_are_done() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start_with(model, EngineOptions { max_running: 2, ..options() });
    let jobs = ["a", "b", "c", "d", "e"].map(|it| submit(&engine, it, |job| job.max_tokens = 6));
    for _ in 0..10 {
        assert!(gate.pass().len() <= 2);
    }
    assert!(engine.status().n_running <= 2);
    drop(gate);
    for (prompt, job) in ["a", "b", "c", "d", "e"].into_iter().zip(jobs) {
        assert_eq!(job.finish().text, alone(prompt, 6));
    }
}

#[test]
fn a_cancel_ends_its_own_job_and_no_other_in_the_batch() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let engine = start(model);
    let stays = submit(&engine, "stays", |job| job.max_tokens = 30);
    let goes = submit(&engine, "goes", |job| job.max_tokens = 30);
    while gate.pass().len() < 2 {}
    gate.arrived();
    engine.cancel(goes.id, CancelReason::Cancelled);
    gate.release();
    assert_eq!(goes.finish().reason, FinishReason::Cancelled);
    assert_eq!(gate.pass().len(), 1);
    drop(gate);
    assert_eq!(stays.finish().text, alone("stays", 30));
}

/// A job for the property below.
#[derive(Clone, Debug)]
struct Arrival {
    prompt: String,
    max_tokens: usize,
    priority: Priority,
    speculate: bool,
    is_cancelled: bool,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let word = prop::sample::select(vec!["let ", "x ", "= ", "a longer word ", "; "]);
    let prompt = prop::collection::vec(word, 1..20).prop_map(|words| words.concat());
    let priority = prop::sample::select(vec![Priority::Background, Priority::Interactive]);
    let arrival = (prompt, 0_usize..30, priority, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(prompt, max_tokens, priority, speculate, is_cancelled)| Arrival {
            prompt,
            max_tokens,
            priority,
            speculate,
            is_cancelled,
        },
    );
    prop::collection::vec(arrival, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The model's text depends on the last tokens that the slot holds, in an alphabet so small that drafts are often
    /// accepted and often rejected. So if a slot holds a token too many or too few, for whatever reason, the text
    /// changes.
    #[test]
    fn greedy_text_does_not_depend_on_other_jobs_chunks_cache_cancels_or_drafts(
        arrivals in arrivals(),
        n_at_once in 1_usize..12,
        prefill_chunk in 1_usize..40,
        cache_limit_bytes in 0_u64..400,
        max_running in 1_usize..4,
    ) {
        let model = || ScriptedModel::new(|held, _| {
            let last = held.iter().rev().take(3);
            let sum = last.fold(u32::try_from(held.len()).unwrap() / 8, |sum, it| sum.wrapping_mul(31).wrapping_add(*it));
            u32::from(b'a') + (sum >> 3) % 3
        });
        let mut gated = model();
        let gate = gated.gate();
        let engine =
            start_with(gated, EngineOptions { prefill_chunk, cache_limit_bytes, max_running, ..options() });
        let mut gate = Some(gate);
        let mut jobs = Vec::new();
        for (idx, arrival) in arrivals.iter().enumerate() {
            if idx == n_at_once {
                gate = None;
            }
            jobs.push(submit(&engine, &arrival.prompt, |job| {
                job.max_tokens = arrival.max_tokens;
                job.priority = arrival.priority;
                job.speculate = arrival.speculate;
            }));
        }
        drop(gate);
        for (arrival, job) in arrivals.iter().zip(&jobs) {
            if arrival.is_cancelled {
                engine.cancel(job.id, CancelReason::Cancelled);
            }
        }
        for (arrival, job) in arrivals.iter().zip(jobs) {
            let finish = job.finish();
            let reference = start(model());
            let whole = submit(&reference, &arrival.prompt, |job| job.max_tokens = arrival.max_tokens).finish();
            if finish.reason == FinishReason::Cancelled {
                prop_assert!(whole.text.starts_with(&finish.text));
            } else {
                prop_assert_eq!(finish.text, whole.text, "{:?}", arrival);
            }
        }
        prop_assert!(engine.status().cache.bytes <= cache_limit_bytes);
    }
}

#[test]
fn a_model_may_go_ahead_only_if_the_next_step_is_certain() {
    let n_ahead = |change: fn(&mut Job)| {
        let model = ScriptedModel::hashing();
        let recording = model.recording();
        let engine = start(model);
        let finish = submit(&engine, "0123", |job| {
            job.max_tokens = 10;
            change(job);
        })
        .finish();
        assert_eq!(finish.text, alone("0123", 10));
        recording.n_ahead()
    };
    // Not after the prompt, which is one chunk and draws the first token, and not before the last token.
    assert_eq!(n_ahead(|_| {}), 8);
    assert_eq!(n_ahead(|job| job.speculate = true), 8);
    // Two that generate together, until one of them ends.
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let engine = start(model);
    let first = submit(&engine, "0123", |job| job.max_tokens = 10);
    gate.arrived();
    let second = submit(&engine, "4567", |job| job.max_tokens = 5);
    drop(gate);
    assert_eq!((first.finish().text, second.finish().text), (alone("0123", 10), alone("4567", 5)));
    let ahead = recording.n_ahead();
    assert!((4..8).contains(&ahead), "{ahead}");
}
