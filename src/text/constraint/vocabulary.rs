//! A tokenizer's vocabulary as llguidance needs it: [`Grammars`], made once for each tokenizer.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};

use crate::TokenId;

/// Enough for formats of the greatest size whose every rule leads to the next. Only what is used takes memory.
const STACK_BYTES: usize = 512 << 20;

/// Makes matchers for one vocabulary.
pub(crate) struct Grammars {
    factory: ParserFactory,
    end: TokenId,
}

/// Encodes text inside a text, as [`crate::Tokenizer`] does.
pub(crate) type Encode = Box<dyn Fn(&str) -> Vec<TokenId> + Send + Sync>;

struct Vocabulary {
    trie: TokTrie,
    encode: Encode,
}

impl Grammars {
    /// `words` has the bytes of each token, none for those that no text has.
    pub(crate) fn new(mut words: Vec<Vec<u8>>, encode: Encode) -> Self {
        // A token of its own stands for the end, since a model may have several end tokens, or none.
        let end = TokenId::try_from(words.len()).unwrap_or(TokenId::MAX - 1);
        words.push(b"\xFF[end]".to_vec());
        let trie = TokTrie::from(&TokRxInfo::new(end + 1, end), &words);
        let env: TokEnv = Arc::new(Vocabulary { trie, encode });
        let capabilities = InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory =
            ParserFactory::new(&env, capabilities, &slices).expect("llguidance reads its own patterns");
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Self { factory, end }
    }

    /// The token that stands for the end of the text in masks.
    pub(crate) fn end(&self) -> TokenId {
        self.end
    }

    /// Follows a grammar. The matcher has an error if the grammar cannot be read.
    pub(crate) fn matcher(&self, grammar: TopLevelGrammar) -> Matcher {
        // Reading takes stack for each rule that leads to another, and a stack that is too small ends the process.
        let read = || self.factory.create_parser(grammar);
        let result = std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().name("format".to_owned()).stack_size(STACK_BYTES);
            let reader = reader.spawn_scoped(scope, read)?;
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        Matcher::new(result)
    }
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Grammars").field("end", &self.end).finish_non_exhaustive()
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        // An incomplete character at the end is spelt byte by byte.
        self.trie.tokenize_with_greedy_fallback(bytes, |text| (self.encode)(text))
    }
}
