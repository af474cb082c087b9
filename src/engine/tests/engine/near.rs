//! Near prompts: the part of a prompt that is computed when the whole of it would take too long.

use runabout_engine::{FinishReason, NearPrompt, Supersede, scripted::ScriptedModel};

use super::*;

const WHOLE: &str = "a long file, of which the model would like to see every line; let x";
const NEAR: &str = "let x";

/// A completion of one file.
fn complete(engine: &Engine, patience: Duration, change: impl FnOnce(&mut Job)) -> Submitted {
    submit(engine, WHOLE, |job| {
        job.document = Some("file".into());
        job.near = Some(near(patience));
        change(job);
    })
}

fn near(patience: Duration) -> NearPrompt {
    NearPrompt { prompt: bytes(NEAR), patience, document: Some("near".into()) }
}

fn counts(finish: &Finish) -> (usize, usize) {
    (finish.usage.prompt_tokens, finish.usage.left_out_tokens)
}

#[test]
fn before_a_speed_is_known_the_near_prompt_is_computed() {
    let engine = start(ScriptedModel::hashing());
    let finish = complete(&engine, Duration::MAX, |_| {}).finish();
    assert_eq!(finish.text, alone(NEAR, 4));
    assert_eq!(counts(&finish), (NEAR.len(), WHOLE.len() - NEAR.len()));
}

#[test]
fn the_measured_speed_decides_which_prompt_is_computed() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let clock = Arc::new(ManualClock::new());
    let options = EngineOptions { clock: Arc::clone(&clock) as _, ..EngineOptions::default() };
    let engine = start_with(model, options);
    // 8 tokens take 80 ms.
    let other = submit(&engine, "12345678", |job| job.max_tokens = 1);
    gate.arrived();
    clock.advance(Duration::from_millis(80));
    gate.release();
    other.finish();
    let would_take = Duration::from_millis(10) * u32::try_from(WHOLE.len()).unwrap();
    let patient = complete(&engine, would_take * 2, |job| job.max_tokens = 1);
    gate.arrived();
    let impatient = complete(&engine, would_take / 2, |job| {
        job.max_tokens = 1;
        // So that it finds nothing in the cache.
        job.prompt.insert(0, 1);
    });
    drop(gate);
    assert_eq!(counts(&patient.finish()), (WHOLE.len(), 0));
    assert_eq!(counts(&impatient.finish()).0, NEAR.len());
}

#[test]
fn a_whole_prompt_that_is_in_the_cache_is_used() {
    let engine = start(ScriptedModel::hashing());
    submit(&engine, WHOLE, |job| job.max_tokens = 0).finish();
    let finish = complete(&engine, Duration::ZERO, |_| {}).finish();
    assert_eq!(finish.text, alone(WHOLE, 4));
    assert_eq!(counts(&finish), (WHOLE.len(), 0));
}

#[test]
fn a_near_prompt_leaves_what_is_computed_of_the_whole_one() {
    let engine = start(ScriptedModel::hashing());
    let part = &WHOLE[..WHOLE.len() / 2];
    let warm = |prompt: &str| {
        submit(&engine, prompt, |job| {
            job.max_tokens = 0;
            job.document = Some("file".into());
        })
        .finish()
    };
    warm(part);
    assert_eq!(counts(&complete(&engine, Duration::ZERO, |_| {}).finish()).0, NEAR.len());
    assert_eq!(warm(WHOLE).usage.cached_tokens, part.len());
}

#[test]
fn near_prompts_that_begin_as_the_whole_one_leave_what_is_computed_of_it() {
    let engine = start(ScriptedModel::hashing());
    // At the top of a file, only what is behind the cursor differs.
    let top = "use std::io;\n".repeat(6) + "let x";
    let whole = top.clone() + &";\n".repeat(150);
    let near = NearPrompt { prompt: bytes(&format!("{top};")), ..near(Duration::ZERO) };
    let submit = |prompt: &str, max_tokens| {
        let with = |job: &mut Job| {
            job.max_tokens = max_tokens;
            job.document = Some("file".into());
            job.near = Some(near.clone());
        };
        submit(&engine, prompt, with).finish()
    };
    let part = &whole[..top.len() + 60];
    submit(part, 0);
    assert_eq!(counts(&submit(&whole, 4)).0, near.prompt.len());
    assert_eq!(submit(&whole, 0).usage.cached_tokens, part.len());
}

#[test]
fn a_near_prompt_that_saves_little_is_not_used() {
    let engine = start(ScriptedModel::hashing());
    let finish = complete(&engine, Duration::ZERO, |job| job.prompt = bytes("or let x")).finish();
    assert_eq!(counts(&finish), (8, 0));
}

#[test]
fn typing_what_a_near_prompt_suggested_keeps_the_suggestion() {
    let mut model = ScriptedModel::saying("= 1 + 2;");
    let gate = model.gate();
    let engine = start(model);
    let older = complete(&engine, Duration::ZERO, |job| job.max_tokens = 20);
    for _ in 0..3 {
        gate.pass();
    }
    gate.arrived();
    let newer = complete(&engine, Duration::ZERO, |job| {
        job.max_tokens = 20;
        job.prompt.extend(bytes("= "));
        job.near.iter_mut().for_each(|it| it.prompt.extend(bytes("= ")));
        job.supersedes = Some(Supersede { job: older.id, typed: "= ".to_owned() });
    });
    drop(gate);
    assert_eq!(older.finish().reason, FinishReason::Superseded);
    let finish = newer.finish();
    assert_eq!(finish.text, "1 + 2;");
    assert_eq!(counts(&finish), (NEAR.len() + 2, WHOLE.len() - NEAR.len()));
}
