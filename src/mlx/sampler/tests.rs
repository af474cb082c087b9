//! Expected values are mlx_lm 0.32.2's (`sample_utils.py`) for the same logits.

#![allow(clippy::unwrap_used, clippy::float_cmp)]

use super::*;
use crate::testing::on_cpu;

const LOGITS: [f32; 8] = [2.0, 1.5, 1.0, 0.5, 0.0, -1.0, -2.0, 3.0];

fn logits() -> Array {
    Array::from_slice(&LOGITS, &[8])
}

/// Tokens that may still be drawn.
fn kept(params: &SamplingParams) -> Vec<usize> {
    let logprobs = logits().subtract(logits().logsumexp_axis(-1, true).unwrap()).unwrap();
    let key = random::key(0).unwrap();
    let truncated = truncated(&logprobs, params, &key).unwrap();
    truncated.eval().unwrap();
    (0..8).filter(|&i| truncated.as_slice::<f32>()[i].is_finite()).collect()
}

fn sampled() -> SamplingParams {
    SamplingParams { temperature: 1.0, ..SamplingParams::default() }
}

fn draw_one(params: &SamplingParams, seed: u64, n_generated: u64, top_logprobs: Option<usize>) -> Sampled {
    let request = SampleRequest { params, history: &[1], n_generated, seed, top_logprobs, allowed: None };
    draw(&logits(), &request, None).unwrap().finish().unwrap()
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
            // Only in mlx_lm's order are these two left.
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
            assert_eq!(kept(&params), expected, "{params:?}");
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
        }
        // A negative logit is multiplied.
        let params = SamplingParams { repetition_penalty: 1.5, ..seen_last_six };
        let got = penalized(&Array::from_slice(&[-1.0_f32, -2.0], &[2]), &params, &[0]).unwrap();
        got.eval().unwrap();
        assert_eq!(got.as_slice::<f32>(), [-1.5, -2.0]);
    });
}

#[test]
fn only_what_is_allowed_is_drawn() {
    on_cpu(|| {
        for params in [SamplingParams::default(), sampled()] {
            let allowed = [6, 3, 1];
            let tokens: Vec<TokenId> = (0..50)
                .map(|n_generated| {
                    let request = SampleRequest {
                        params: &params,
                        history: &[1],
                        n_generated,
                        seed: 1,
                        top_logprobs: Some(0),
                        allowed: Some(&allowed),
                    };
                    let sampled = draw(&logits(), &request, None).unwrap().finish().unwrap();
                    // Of the model's own distribution, in which other tokens have their share.
                    let expected = [0.0, 0.118_48, 0.0, 0.043_59, 0.0, 0.0, 0.003_58][sampled.token as usize];
                    assert!((sampled.logprobs.unwrap().logprob.exp() - expected).abs() < 1e-4);
                    sampled.token
                })
                .collect();
            assert!(tokens.iter().all(|it| allowed.contains(it)), "{tokens:?}");
            // The most likely of them.
            assert!(tokens.contains(&1));
        }
    });
}

#[test]
fn draws_follow_the_distribution_and_the_seed_alone() {
    on_cpu(|| {
        let params = sampled();
        let tokens: Vec<TokenId> = (0..2000).map(|n| draw_one(&params, 42, n, None).token).collect();
        let again: Vec<TokenId> = (0..100).map(|n| draw_one(&params, 42, n, None).token).collect();
        assert_eq!(tokens[..100], again);
        // Five standard deviations of 2,000 draws are below 0.06.
        for (token, expected) in [(7, 0.531), (0, 0.195), (1, 0.118), (6, 0.0036)] {
            let share = tokens.iter().filter(|&&it| it == token).count() as f64 / 2000.0;
            assert!(
                (share - expected).abs() < 0.06,
                "token {token} came {share} of the time, not {expected}"
            );
        }
    });
}

#[test]
fn a_temperature_of_zero_takes_the_most_likely_token_and_can_tell_how_likely() {
    on_cpu(|| {
        let greedy = SamplingParams::default();
        assert_eq!(draw_one(&greedy, 0, 0, None), Sampled { token: 7, logprobs: None });
        let sampled = draw_one(&greedy, 0, 0, Some(3));
        let logprobs = sampled.logprobs.unwrap();
        assert_eq!(
            (sampled.token, logprobs.top.iter().map(|it| it.0).collect::<Vec<_>>()),
            (7, vec![7, 0, 1])
        );
        for (got, expected) in logprobs.top.iter().map(|it| it.1.exp()).zip([0.530_99, 0.195_34, 0.118_48]) {
            assert!((got - expected).abs() < 1e-4);
        }
        assert_eq!(logprobs.logprob, logprobs.top[0].1);
        assert_eq!(draw_one(&greedy, 0, 0, Some(0)).logprobs.unwrap().top, []);
    });
}
