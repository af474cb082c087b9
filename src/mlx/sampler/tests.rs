//! Expected values come from mlx_lm 0.32.2 (`sample_utils.py`) for the same logits, both on the device and in host
//! memory.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use std::sync::OnceLock;

use runabout_kernels::{Cpu, CpuOptions};

use super::host::{Kept, Scores, Spread};
use super::*;
use crate::testing::on_cpu;

const LOGITS: [f32; 8] = [2.0, 1.5, 1.0, 0.5, 0.0, -1.0, -2.0, 3.0];

fn logits() -> Array {
    Array::from_slice(&LOGITS, &[8])
}

fn cpu() -> &'static Cpu {
    static CPU: OnceLock<Cpu> = OnceLock::new();
    CPU.get_or_init(|| Cpu::new(CpuOptions::default()).unwrap())
}

/// The tokens that may be drawn after `logits`, on which both implementations must agree.
fn kept(logits: &[f32], params: &SamplingParams) -> Vec<usize> {
    let n = logits.len();
    let on_device = {
        let logits = Array::from_slice(logits, &[to_i32(n)]);
        let logprobs = logits.subtract(logits.logsumexp_axis(-1, true).unwrap()).unwrap();
        let truncated = truncated(&logprobs, params, &random::key(0).unwrap()).unwrap();
        truncated.eval().unwrap();
        let truncated = truncated.as_slice::<f32>();
        (0..n).filter(|&i| truncated[i].is_finite()).collect::<Vec<_>>()
    };
    let scores = Scores::new(cpu(), logits, Spread::of(cpu(), logits).unwrap());
    let in_memory = match scores.kept(params, params.xtc_probability == 1.0) {
        Kept::Listed(list) => (0..n).filter(|i| list.iter().any(|it| it.0 == *i)).collect::<Vec<_>>(),
        Kept::AllBut(excluded) => (0..n).filter(|i| !excluded.contains(i)).collect(),
    };
    assert_eq!(in_memory, on_device, "{params:?}");
    on_device
}

fn sampled() -> SamplingParams {
    SamplingParams { temperature: 1.0, ..SamplingParams::default() }
}

type Draw = fn(&SampleRequest<'_>) -> Sampled;

/// A draw from `LOGITS` by each implementation.
const DRAWS: [Draw; 2] = [
    |request| draw(&logits(), request).unwrap().finish().unwrap(),
    |request| host::draw(cpu(), &LOGITS, request).unwrap(),
];

fn request(params: &SamplingParams, n_generated: u64, top_logprobs: Option<usize>) -> SampleRequest<'_> {
    SampleRequest { params, history: &[1], n_generated, seed: 42, top_logprobs, allowed: &[] }
}

#[test]
fn each_truncation_keeps_what_mlx_lm_keeps() {
    on_cpu(|| {
        let cases = [
            (SamplingParams { top_p: 0.5, ..sampled() }, vec![7]),
            (SamplingParams { top_p: 0.8, ..sampled() }, vec![0, 1, 7]),
            (SamplingParams { top_p: 0.95, ..sampled() }, vec![0, 1, 2, 3, 7]),
            (SamplingParams { top_p: 0.0, ..sampled() }, (0..8).collect()),
            (SamplingParams { min_p: 0.1, ..sampled() }, vec![0, 1, 2, 7]),
            (SamplingParams { min_p: 0.9, ..sampled() }, vec![7]),
            (SamplingParams { min_p: 0.9, min_tokens_to_keep: 3, ..sampled() }, vec![0, 1, 7]),
            (SamplingParams { top_k: 1, ..sampled() }, vec![7]),
            (SamplingParams { top_k: 3, ..sampled() }, vec![0, 1, 7]),
            (SamplingParams { top_k: 8, ..sampled() }, (0..8).collect()),
            (SamplingParams { xtc_probability: 1.0, xtc_threshold: 0.05, ..sampled() }, vec![2, 3, 4, 5, 6]),
            (SamplingParams { xtc_probability: 1.0, xtc_threshold: 0.2, ..sampled() }, (0..8).collect()),
            (
                SamplingParams {
                    xtc_probability: 1.0,
                    xtc_threshold: 0.1,
                    xtc_special_tokens: vec![7],
                    ..sampled()
                },
                vec![1, 2, 3, 4, 5, 6, 7],
            ),
            // Only mlx_lm's order of filters leaves these two.
            (
                SamplingParams {
                    top_p: 0.95,
                    min_p: 0.1,
                    xtc_probability: 1.0,
                    xtc_threshold: 0.1,
                    top_k: 2,
                    ..sampled()
                },
                vec![1, 2],
            ),
        ];
        for (params, expected) in cases {
            assert_eq!(kept(&LOGITS, &params), expected, "{params:?}");
        }
    });
}

#[test]
fn penalties_and_bias_change_logits_as_mlx_lm_changes_them() {
    on_cpu(|| {
        let history = [5, 4, 0, 1, 1, 7, 7, 7];
        let seen_last_six = SamplingParams { repetition_context_size: 6, ..SamplingParams::default() };
        let cases = [
            (
                SamplingParams { repetition_penalty: 1.5, ..seen_last_six.clone() },
                [1.33333, 1.0, 1.0, 0.5, 0.0, -1.0, -2.0, 2.0],
            ),
            (
                SamplingParams { presence_penalty: 0.5, ..seen_last_six.clone() },
                [1.5, 1.0, 1.0, 0.5, 0.0, -1.0, -2.0, 2.5],
            ),
            (
                SamplingParams { frequency_penalty: 0.25, ..seen_last_six.clone() },
                [1.75, 1.0, 1.0, 0.5, 0.0, -1.0, -2.0, 2.25],
            ),
            (
                SamplingParams {
                    repetition_penalty: 1.3,
                    presence_penalty: 0.5,
                    frequency_penalty: 0.25,
                    logit_bias: vec![(2, 1.5), (5, -0.5)],
                    ..seen_last_six.clone()
                },
                [0.78846, 0.15385, 2.5, 0.5, 0.0, -1.5, -2.0, 1.05769],
            ),
            (
                SamplingParams { repetition_penalty: 2.0, repetition_context_size: 2, ..sampled() },
                [2.0, 1.5, 1.0, 0.5, 0.0, -1.0, -2.0, 1.5],
            ),
        ];
        for (params, expected) in cases {
            let got = penalized(&logits(), &params, &history).unwrap();
            got.eval().unwrap();
            for (got, expected) in got.as_slice::<f32>().iter().zip(expected) {
                assert!((got - expected).abs() < 1e-4, "{params:?}: {got} is not {expected}");
            }
            for (got, expected) in host::penalized(&LOGITS, &params, &history).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-4, "{params:?}: {got} is not {expected}");
            }
        }
        // A negative logit is multiplied.
        let params = SamplingParams { repetition_penalty: 1.5, ..seen_last_six };
        let got = penalized(&Array::from_slice(&[-1.0_f32, -2.0], &[2]), &params, &[0]).unwrap();
        got.eval().unwrap();
        assert_eq!(got.as_slice::<f32>(), [-1.5, -2.0]);
        assert_eq!(host::penalized(&[-1.0, -2.0], &params, &[0])[..], [-1.5, -2.0]);
    });
}

#[test]
fn a_large_vocabulary_is_cut_as_if_it_were_sorted() {
    on_cpu(|| {
        let mut rng = fastrand::Rng::with_seed(7);
        // Flat distributions need more than a first look, steep ones less.
        for spread in [0.5, 4.0, 20.0] {
            // No ties: how a sort orders them is unspecified.
            let mut logits: Vec<f32> = (0..3_000).map(|i| spread * i as f32 / 3_000.0).collect();
            rng.shuffle(&mut logits);
            for (top_p, min_p, top_k, xtc_threshold) in [
                (0.3, 0.0, 0, 0.0),
                (0.9, 0.0, 0, 0.0),
                (0.999, 0.0, 2_000, 0.0),
                (0.95, 0.3, 0, 0.0),
                (1.0, 0.05, 0, 0.0),
                (1.0, 0.9, 100, 0.001),
                (1.0, 0.0, 50, 0.0),
                (1.0, 0.0, 0, 0.0004),
                (1.0, 0.0, 100, 0.0005),
                (0.8, 0.0, 20, 0.002),
            ] {
                let xtc_probability = if xtc_threshold > 0.0 { 1.0 } else { 0.0 };
                let params =
                    SamplingParams { top_p, min_p, top_k, xtc_threshold, xtc_probability, ..sampled() };
                assert!(!kept(&logits, &params).is_empty());
            }
        }
    });
}

#[test]
fn draws_from_a_whole_vocabulary_follow_its_distribution() {
    // Two groups in different chunks of the sums, the second with three times the weight; the token between them is
    // the most likely and is excluded by xtc.
    let mut logits = vec![-20.0_f32; 5_000];
    logits[100..200].fill(1.0);
    logits[4_000..4_300].fill(1.0);
    logits[2_000] = 7.0;
    logits[2_001] = 6.0;
    let params = SamplingParams { xtc_probability: 1.0, xtc_threshold: 0.05, ..sampled() };
    let mut counts = [0_i32; 4];
    for n_generated in 0..2_000 {
        match host::draw(cpu(), &logits, &request(&params, n_generated, None)).unwrap().token {
            100..200 => counts[0] += 1,
            4_000..4_300 => counts[1] += 1,
            2_001 => counts[2] += 1,
            _ => counts[3] += 1,
        }
    }
    // e^1 * 100, e^1 * 300 and e^6 are 18, 55 and 27 %.
    for (count, expected) in counts.into_iter().zip([369, 1_107, 548, 0]) {
        // Five standard deviations.
        assert!((count - expected).abs() <= 112, "{counts:?}");
    }
    assert_eq!(counts[3], 0);
}

#[test]
fn only_what_is_allowed_is_drawn() {
    on_cpu(|| {
        let allowed: TokenSet = [6, 3, 1].into_iter().collect();
        let allowed = std::slice::from_ref(&allowed);
        let nucleus = SamplingParams { top_p: 0.9, ..sampled() };
        for (draw, params) in DRAWS
            .iter()
            .flat_map(|it| [SamplingParams::default(), sampled(), nucleus.clone()].map(|params| (it, params)))
        {
            let tokens: Vec<TokenId> = (0..50)
                .map(|n| {
                    let sampled = draw(&SampleRequest { allowed, ..request(&params, n, Some(0)) });
                    // Relative to the model's own distribution, in which other tokens have their share.
                    let expected = [0.0, 0.118_48, 0.0, 0.043_59, 0.0, 0.0, 0.003_58][sampled.token as usize];
                    assert!((sampled.logprobs.unwrap().logprob.exp() - expected).abs() < 1e-4);
                    sampled.token
                })
                .collect();
            assert!(tokens.iter().all(|it| allowed[0].contains(*it)), "{tokens:?}");
            // The most likely of them and, if there is a choice, another one too.
            assert!(tokens.contains(&1));
            assert_eq!(tokens.contains(&3), params.temperature > 0.0);
            assert!(params != nucleus || !tokens.contains(&6));
        }
    });
}

#[test]
fn draws_follow_the_distribution_and_the_seed_alone() {
    on_cpu(|| {
        let params = sampled();
        for draw in DRAWS {
            let draw_some = |n| (0..n).map(|n| draw(&request(&params, n, None)).token).collect::<Vec<_>>();
            let tokens = draw_some(2000);
            assert_eq!(tokens[..100], draw_some(100));
            // Five standard deviations of 2,000 draws are below 0.06.
            for (token, expected) in [(7, 0.531), (0, 0.195), (1, 0.118), (6, 0.0036)] {
                let share = tokens.iter().filter(|&&it| it == token).count() as f64 / 2000.0;
                assert!(
                    (share - expected).abs() < 0.06,
                    "token {token} came {share} of the time, not {expected}"
                );
            }
        }
    });
}

#[test]
fn a_temperature_of_zero_takes_the_most_likely_token_and_can_tell_how_likely() {
    on_cpu(|| {
        let greedy = SamplingParams::default();
        for draw in DRAWS {
            let sampled = draw(&request(&greedy, 0, None));
            assert_eq!((sampled.token, sampled.logprobs), (7, None));
            let sampled = draw(&request(&greedy, 0, Some(3)));
            let logprobs = sampled.logprobs.unwrap();
            assert_eq!(
                (sampled.token, logprobs.top.iter().map(|it| it.0).collect::<Vec<_>>()),
                (7, vec![7, 0, 1])
            );
            for (got, expected) in
                logprobs.top.iter().map(|it| it.1.exp()).zip([0.530_99, 0.195_34, 0.118_48])
            {
                assert!((got - expected).abs() < 1e-4);
            }
            assert_eq!(logprobs.logprob, logprobs.top[0].1);
            assert_eq!(draw(&request(&greedy, 0, Some(0))).logprobs.unwrap().top, []);
        }
    });
}

#[test]
fn each_draw_tells_how_likely_its_token_was_before_anything_changed_that() {
    on_cpu(|| {
        let probabilities = [0.195_34, 0.118_48, 0.071_86, 0.043_59, 0.026_44, 0.009_73, 0.003_58, 0.530_99];
        let changed = SamplingParams {
            logit_bias: vec![(3, 9.0)],
            repetition_penalty: 1.5,
            frequency_penalty: 0.5,
            ..SamplingParams::default()
        };
        let at_temperature =
            |temperature, params: &SamplingParams| SamplingParams { temperature, ..params.clone() };
        for draw in DRAWS {
            for params in
                [SamplingParams::default(), sampled(), changed.clone(), at_temperature(2.0, &changed)]
            {
                for top_logprobs in [None, Some(2)] {
                    for n in 0..20 {
                        let sampled = draw(&request(&params, n, top_logprobs));
                        let expected = probabilities[sampled.token as usize];
                        assert!(
                            (sampled.own_logprob.exp() - expected).abs() < 1e-4,
                            "{params:?}: {sampled:?}"
                        );
                    }
                }
            }
            // Among the allowed tokens, one of them was certain to be drawn.
            let greedy = SamplingParams::default();
            let allowed: TokenSet = [6, 3, 1].into_iter().collect();
            let allowed = std::slice::from_ref(&allowed);
            let sampled = draw(&SampleRequest { allowed, ..request(&greedy, 0, None) });
            let expected = 0.118_48 / (0.118_48 + 0.043_59 + 0.003_58);
            assert!((sampled.own_logprob.exp() - expected).abs() < 1e-4, "{sampled:?}");
        }
    });
}

#[test]
fn a_temperature_next_to_0_takes_the_most_likely_token() {
    on_cpu(|| {
        let smallest = f32::from_bits(1);
        // With other tokens left, and with only the most likely one left.
        for (temperature, top_p, min_p) in [
            (1e-40, 1.0, 0.0),
            (smallest, 1.0, 0.0),
            (f32::MIN_POSITIVE, 0.9, 0.0),
            (1e-30, 1.0, smallest),
            (1.0, smallest, 0.0),
        ] {
            let params = SamplingParams { temperature, top_p, min_p, ..SamplingParams::default() };
            params.validate(LOGITS.len()).unwrap();
            for draw in DRAWS {
                let tokens: Vec<_> = (0..20).map(|n| draw(&request(&params, n, None)).token).collect();
                assert_eq!(tokens, [7; 20], "{params:?}");
            }
        }
    });
}

#[test]
fn equals_at_a_temperature_next_to_0_are_the_only_ones_that_come() {
    on_cpu(|| {
        let params =
            SamplingParams { temperature: 1e-40, logit_bias: vec![(0, 1.0)], ..SamplingParams::default() };
        for draw in DRAWS {
            let tokens: Vec<_> = (0..40).map(|n| draw(&request(&params, n, None)).token).collect();
            assert!(
                tokens.iter().all(|it| [0, 7].contains(it)) && tokens.contains(&0) && tokens.contains(&7)
            );
        }
    });
}

#[test]
fn tokens_that_the_model_has_not_are_left_out_before_mlx_sees_them() {
    on_cpu(|| {
        assert_eq!(known(&logits(), [7, 8, 0, TokenId::MAX]), [7, 0]);
        assert!(only(&logits(), &[8].into_iter().collect()).is_err());
    });
}
