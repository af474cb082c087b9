//! Tokens that the tokenizer has and the model has not: the model never sees one.
//!
//! The scripted model looks at whatever it is fed, and at what parameters name.

use runabout_engine::{
    JobError,
    scripted::{END, ScriptedModel, bytes},
};
use runabout_text::{SamplingParams, TokenId};

use super::{alone, start, submit};

/// The scripted model has as many tokens.
const VOCABULARY: TokenId = 265;

#[test]
fn a_prompt_with_a_token_that_the_model_has_not_is_refused() {
    let engine = start(ScriptedModel::hashing());
    for token in [VOCABULARY, 1_000_000, TokenId::MAX] {
        let error = submit(&engine, "ab", |job| job.prompt.insert(1, token)).error();
        assert!(matches!(error, JobError::UnknownToken { token: it, .. } if it == token), "{error}");
        assert_eq!(
            error.to_string(),
            format!("the prompt must have tokens below 265, which are the model's, got {token}")
        );
    }
    assert_eq!(submit(&engine, "ab", |job| job.prompt.push(VOCABULARY - 1)).finish().usage.prompt_tokens, 3);
}

#[test]
fn ends_and_parameters_that_name_a_token_that_the_model_has_not_do_without_it() {
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
