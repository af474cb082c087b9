//! Tokens that the tokenizer has but the model does not have: the model must never see one.
//!
//! The scripted model checks what it is fed, and the tokens that parameters name.

use runabout_engine::{
    JobError,
    scripted::{END, ScriptedModel, bytes},
};
use runabout_text::{SamplingParams, TokenId};

use super::{alone, start, submit};

/// The size of the scripted model's vocabulary.
const VOCABULARY: TokenId = 265;

#[test]
fn a_prompt_with_a_token_that_the_model_does_not_have_is_refused() {
    let engine = start(ScriptedModel::hashing());
    for token in [VOCABULARY, 1_000_000, TokenId::MAX] {
        let error = submit(&engine, "ab", |job| job.prompt.insert(1, token)).error();
        assert!(matches!(error, JobError::UnknownToken { token: it, .. } if it == token), "{error}");
        assert_eq!(
            error.to_string(),
            format!("the prompt must have tokens below 265, the size of the model's vocabulary, got {token}")
        );
    }
    assert_eq!(submit(&engine, "ab", |job| job.prompt.push(VOCABULARY - 1)).finish().usage.prompt_tokens, 3);
}

#[test]
fn end_tokens_and_parameters_with_tokens_that_the_model_does_not_have_are_reduced() {
    let engine = start(ScriptedModel::hashing());
    let finish = submit(&engine, "ab", |job| {
        job.end_tokens = vec![END, VOCABULARY, TokenId::MAX];
        job.params = SamplingParams {
            xtc_special_tokens: vec![10, VOCABULARY, TokenId::MAX],
            logit_bias: vec![(3, 1.0), (VOCABULARY, 1.0)],
            ..SamplingParams::default()
        };
    });
    assert_eq!(finish.finish().text, alone("ab", 4));
    assert_eq!(bytes("ab").len(), 2);
}
