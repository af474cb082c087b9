//! From tokens to text, and why a job ends.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use runabout_engine::{FinishReason, scripted::ScriptedModel};
use runabout_text::LineEnd;

use super::*;

#[test]
fn a_reply_arrives_as_deltas_and_the_end_token_is_not_part_of_the_text() {
    let engine = start(ScriptedModel::replying(&[("2+2=", "4!")]));
    let events = submit(&engine, "2+2=", |job| job.max_tokens = 10).events_to_end();
    let finish = events.end.unwrap();
    assert_eq!(events.deltas, ["4", "!"]);
    assert_eq!(finish.reason, FinishReason::Eos);
    assert_eq!(finish.tokens, bytes("4!"));
    assert_eq!((finish.usage.prompt_tokens, finish.usage.completion_tokens), (4, 3));
}

#[test]
fn the_token_limit_ends_a_text_with_length() {
    let engine = start(ScriptedModel::saying("abcdef"));
    let finish = submit(&engine, "p", |job| job.max_tokens = 3).finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("abc", FinishReason::Length));
    assert_eq!(finish.usage.completion_tokens, 3);
}

#[test]
fn an_end_token_at_the_last_allowed_position_still_counts_as_the_end() {
    let engine = start(ScriptedModel::saying("abc"));
    let finish = submit(&engine, "p", |job| job.max_tokens = 4).finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("abc", FinishReason::Eos));
}

#[test]
fn characters_split_across_tokens_arrive_complete() {
    let text = "é🙂日本語";
    let engine = start(ScriptedModel::saying(text));
    let events = submit(&engine, "p", |job| job.max_tokens = 100).events_to_end();
    assert_eq!(events.deltas, ["é", "🙂", "日", "本", "語"]);
    assert_eq!(events.end.unwrap().text, text);
}

#[test]
fn a_character_cut_by_the_token_limit_becomes_a_replacement_character() {
    let engine = start(ScriptedModel::saying("a🙂"));
    let events = submit(&engine, "p", |job| job.max_tokens = 3).events_to_end();
    assert_eq!(events.deltas, ["a", "\u{fffd}"]);
    assert_eq!(events.end.unwrap().reason, FinishReason::Length);
}

#[test]
fn a_stop_string_across_tokens_ends_generation_immediately() {
    let model = ScriptedModel::saying("one STOP two");
    let recording = model.recording();
    let engine = start(model);
    let finish = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.stop = vec!["never".to_owned(), "STOP".to_owned()];
    })
    .finish();
    assert_eq!((finish.text.as_str(), finish.reason), ("one ", FinishReason::Stop { index: 1 }));
    // The prompt and seven of the eight tokens up to the end of the stop string were fed; the last drawn token needed
    // no step.
    assert_eq!(finish.tokens, bytes("one STOP"));
    assert_eq!(recording.spans().len(), 8);
}

#[test]
fn text_held_back_for_an_incomplete_stop_string_is_in_the_result() {
    let engine = start(ScriptedModel::saying("one STO"));
    let events = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.stop = vec!["STOP".to_owned()];
    })
    .events_to_end();
    assert_eq!(events.deltas.last().unwrap(), "STO");
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), ("one STO", FinishReason::Eos));
}

#[test]
fn there_is_one_log_probability_per_token_and_none_for_the_end_token() {
    let engine = start(ScriptedModel::saying("abc"));
    let finish = submit(&engine, "p", |job| {
        job.max_tokens = 100;
        job.top_logprobs = Some(1);
    })
    .finish();
    let top: Vec<u32> = finish.logprobs.iter().map(|logprobs| logprobs.top[0].0).collect();
    assert_eq!(top, finish.tokens);
    let finish = submit(&engine, "q", |_| {}).finish();
    assert!(finish.logprobs.is_empty());
}

#[test]
fn a_job_with_no_tokens_to_generate_only_computes_the_prompt() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let engine = start(model);
    let events = submit(&engine, "warm me", |job| job.max_tokens = 0).events_to_end();
    let finish = events.end.unwrap();
    assert_eq!((finish.text.as_str(), finish.reason), ("", FinishReason::Length));
    assert_eq!(finish.usage.completion_tokens, 0);
    assert_eq!(events.prefill.last(), Some(&(7, 7, 0)));
    assert!(recording.take().iter().all(|span| !span.sampled));
    // The prompt is cached, so nothing needs to be done.
    let finish = submit(&engine, "warm me", |job| job.max_tokens = 0).finish();
    assert_eq!(finish.usage.cached_tokens, 7);
    assert_eq!(recording.take(), []);
}

#[test]
fn a_full_context_ends_a_text_with_length() {
    let mut model = ScriptedModel::hashing();
    model.description.context_length = 10;
    let engine = start(model);
    let finish = submit(&engine, "1234567", |job| job.max_tokens = 100).finish();
    assert_eq!((finish.tokens.len(), finish.reason), (3, FinishReason::Length));
    // The longest prompt that fits.
    let finish = submit(&engine, "123456789", |job| job.max_tokens = 100).finish();
    assert_eq!((finish.tokens.len(), finish.reason), (1, FinishReason::Length));
}

#[test]
fn a_seed_comes_from_the_job_or_is_drawn_once_by_the_engine() {
    // The scripted model does not report seeds, so this test has its own model.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&seen);
    let engine = Engine::spawn(options(), move |_| {
        let mut loaded = in_mode(ScriptedModel::saying("abc")).loaded();
        loaded.models.model = Box::new(SeedListener { inner: loaded.models.model, seen: listener });
        Ok(loaded)
    })
    .unwrap();
    submit(&engine, "own", |job| job.params.seed = Some(7)).finish();
    submit(&engine, "drawn", |_| {}).finish();
    submit(&engine, "another", |_| {}).finish();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..4], [7; 4]);
    assert!(seen[4..8].iter().all(|seed| *seed == seen[4]));
    assert_ne!(seen[4], seen[8]);
}

struct SeedListener {
    inner: Box<dyn runabout_engine::LanguageModel>,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl runabout_engine::LanguageModel for SeedListener {
    fn description(&self) -> &runabout_engine::ModelDescription {
        self.inner.description()
    }
    fn open_slot(&mut self) -> runabout_engine::SlotId {
        self.inner.open_slot()
    }
    fn resume_point(&self, slot: runabout_engine::SlotId, n_tokens: usize) -> usize {
        self.inner.resume_point(slot, n_tokens)
    }
    fn rewind_slot(&mut self, slot: runabout_engine::SlotId, n_tokens: usize) -> usize {
        self.inner.rewind_slot(slot, n_tokens)
    }
    fn drop_checkpoint(&mut self, slot: runabout_engine::SlotId, n_tokens: usize) {
        self.inner.drop_checkpoint(slot, n_tokens);
    }
    fn slot_room(&self, slot: runabout_engine::SlotId) -> usize {
        self.inner.slot_room(slot)
    }

    fn fit_slot(&mut self, slot: runabout_engine::SlotId) {
        self.inner.fit_slot(slot);
    }

    fn close_slot(&mut self, slot: runabout_engine::SlotId) {
        self.inner.close_slot(slot);
    }
    fn copy_slot(
        &mut self,
        from: runabout_engine::SlotId,
        n_tokens: usize,
    ) -> Result<runabout_engine::SlotCopy, runabout_engine::StepError> {
        self.inner.copy_slot(from, n_tokens)
    }
    fn step(
        &mut self,
        spans: &[runabout_engine::Span<'_>],
    ) -> Result<Vec<Vec<runabout_engine::Sampled>>, runabout_engine::StepError> {
        self.seen
            .lock()
            .unwrap()
            .extend(spans.iter().filter_map(|span| span.sample).map(|request| request.seed));
        self.inner.step(spans)
    }
    fn memory(&self) -> runabout_engine::MemoryUse {
        self.inner.memory()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// `events_to_end` checks that the deltas together are the text; the text itself must be the bytes, decoded as a whole.
    #[test]
    fn any_text_split_anywhere_arrives_unchanged(text in "\\PC{0,20}", max_tokens in 1_usize..60) {
        let engine = start(ScriptedModel::saying(&text));
        let finish = submit(&engine, "p", |job| job.max_tokens = max_tokens).finish();
        let whole = String::from_utf8_lossy(&text.as_bytes()[..max_tokens.min(text.len())]).into_owned();
        prop_assert_eq!(finish.text, whole);
    }
}

#[test]
fn text_has_the_line_ends_of_the_file_and_no_delta_splits_one() {
    for (line_end, end) in [(LineEnd::Lf, "\n"), (LineEnd::CrLf, "\r\n"), (LineEnd::Cr, "\r")] {
        for drawn in ["a\nb\r\n\nc\rd\r", "a\r\nb\n\r\nc\rd\r"] {
            let engine = start(ScriptedModel::saying(drawn));
            let events = submit(&engine, "p", |job| {
                job.max_tokens = 100;
                job.line_end = Some(line_end);
            })
            .events_to_end();
            let expected = "a\nb\n\nc".replace('\n', end) + "\rd\r";
            assert_eq!(events.end.unwrap().text, expected);
            assert!(
                events.deltas.iter().all(|it| !it.starts_with('\n') || end == "\n"),
                "{:?}",
                events.deltas
            );
        }
    }
    let engine = start(ScriptedModel::saying("a\nb\r\n"));
    let as_drawn = submit(&engine, "p", |job| job.max_tokens = 100).finish();
    assert_eq!(as_drawn.text, "a\nb\r\n");
}

#[test]
fn a_stop_string_in_lf_ends_a_text_in_crlf_before_the_whole_line_end() {
    for drawn in ["a\n}\nb", "a\r\n}\r\nb"] {
        let engine = start(ScriptedModel::saying(drawn));
        let finish = submit(&engine, "p", |job| {
            job.max_tokens = 100;
            job.stop = vec!["\n}\n".to_owned()];
            job.line_end = Some(LineEnd::CrLf);
        })
        .finish();
        assert_eq!((finish.text.as_str(), finish.reason), ("a", FinishReason::Stop { index: 0 }));
    }
}
