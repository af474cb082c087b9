//! Tests that every architecture generates the same text however it gets there: beside another text, with drafts that
//! are right and wrong, from a checkpoint, and from a copy.

#![allow(clippy::unwrap_used)]

use runabout_engine::model::{LanguageModel, SampleRequest, SlotCopy, SlotId, Span};
use runabout_text::SamplingParams;

use crate::cpu::Kernels;
use crate::device::Compute;
use crate::testing::alone;
use crate::testing::stored::StoredModels;
use crate::{KvBits, MlxModel, Placement};

/// Tokens before the checkpoint.
const N_KEPT: usize = 21;
/// Generated tokens.
const N: usize = 12;

fn greedy() -> SamplingParams {
    SamplingParams { temperature: 0.0, ..SamplingParams::default() }
}

fn request(params: &SamplingParams) -> SampleRequest<'_> {
    SampleRequest { params, history: &[], n_generated: 0, seed: 0, top_logprobs: None, allowed: &[] }
}

fn feed(model: &mut MlxModel, slot: SlotId, tokens: &[u32], checkpoint: bool) {
    let span = Span { slot, tokens, n_drafted: 0, sample: None, checkpoint };
    assert_eq!(model.step(&[span]).unwrap(), [[]]);
}

/// Feeds the tokens and generates `N` more, one by one.
fn generate(model: &mut MlxModel, slot: SlotId, tokens: &[u32]) -> Vec<u32> {
    let params = greedy();
    let mut out = Vec::new();
    let mut next = tokens.to_vec();
    while out.len() < N {
        let sample = Some(request(&params));
        let span = Span { slot, tokens: &next, n_drafted: 0, sample, checkpoint: false };
        next = vec![model.step(&[span]).unwrap().remove(0).remove(0).token];
        out.extend(&next);
    }
    out
}

/// The same with two drafts in each step, of which the first is right and the second wrong.
fn generate_with_drafts(model: &mut MlxModel, slot: SlotId, tokens: &[u32], expected: &[u32]) -> Vec<u32> {
    let params = greedy();
    let mut out: Vec<u32> = Vec::new();
    let mut next = tokens.to_vec();
    while out.len() < N {
        let right = expected.get(out.len()).copied();
        let wrong = expected.get(out.len() + 1).map(|it| u32::from(*it == 0));
        let drafts: Vec<_> = right.into_iter().chain(wrong).collect();
        next.extend(&drafts);
        let sample = Some(request(&params));
        let span = Span { slot, tokens: &next, n_drafted: drafts.len(), sample, checkpoint: false };
        let drawn: Vec<_> = model.step(&[span]).unwrap().remove(0).iter().map(|it| it.token).collect();
        assert_eq!(drawn.len(), 2.min(drafts.len() + 1));
        out.extend(&drawn);
        next = vec![*drawn.last().unwrap()];
    }
    out.truncate(N);
    out
}

#[test]
fn every_architecture_generates_the_same_text_however_it_gets_there() {
    let _alone = alone();
    let stored = StoredModels::read();
    for kernels in [Kernels::new(None, None).unwrap(), None] {
        for expected in &stored.models {
            // One of each architecture is enough with MLX's own operations, which are slow here.
            if kernels.is_none() && expected.name.contains(',') {
                continue;
            }
            let name = &expected.name;
            let folder = stored.checkpoint(expected);
            let kv_bits = Some(KvBits::ThirtyTwo);
            let placement =
                Placement { compute: Compute::Cpu, kernels: kernels.clone(), kv_bits, group: None };
            let adapter = expected.adapter_folder(folder.path());
            let mut model =
                crate::load_with(folder.path(), adapter.as_deref(), &placement, &mut |_, _| {}).unwrap();
            let prompt = &stored.prompt[..40];
            let slot = model.open_slot();
            let alone = generate(&mut model, slot, prompt);
            model.close_slot(slot);

            let slot = model.open_slot();
            assert_eq!(generate_with_drafts(&mut model, slot, prompt, &alone), alone, "{name}: drafts");
            model.close_slot(slot);

            // A checkpoint in the middle of the prompt, from which another prompt and then the first one go on.
            let slot = model.open_slot();
            feed(&mut model, slot, &prompt[..N_KEPT], true);
            let before = generate(&mut model, slot, &prompt[N_KEPT..]);
            assert_eq!(before, alone, "{name}: chunks");
            let needs_checkpoints = model.description().slot_cost.needs_checkpoints();
            let resumed = model.resume_point(slot, 30);
            assert_eq!(resumed, if needs_checkpoints { N_KEPT } else { 30 }, "{name}");
            let SlotCopy { slot: copy, n_tokens } = model.copy_slot(slot, 30).unwrap();
            assert_eq!(n_tokens, resumed, "{name}");
            assert_eq!(model.rewind_slot(slot, 30), resumed, "{name}");
            assert_eq!(generate(&mut model, slot, &prompt[resumed..]), alone, "{name}: resumed");
            assert_eq!(generate(&mut model, copy, &prompt[resumed..]), alone, "{name}: copied");
            assert_eq!(model.rewind_slot(copy, 0), 0, "{name}");
            model.close_slot(copy);

            // Beside another text, in steps that feed several tokens of one and one of the other.
            let other = model.open_slot();
            feed(&mut model, other, &stored.prompt[50..75], false);
            model.rewind_slot(slot, 0);
            let params = greedy();
            let (mut next, mut beside) = (prompt.to_vec(), Vec::new());
            for i in 0..N {
                let sample = Some(request(&params));
                let spans = [
                    Span {
                        slot: other,
                        tokens: &stored.prompt[i..i + 2],
                        n_drafted: 0,
                        sample: None,
                        checkpoint: false,
                    },
                    Span { slot, tokens: &next, n_drafted: 0, sample, checkpoint: false },
                ];
                let drawn = model.step(&spans).unwrap().remove(1).remove(0).token;
                beside.push(drawn);
                next = vec![drawn];
            }
            assert_eq!(beside, alone, "{name}: beside another text");
        }
    }
}
