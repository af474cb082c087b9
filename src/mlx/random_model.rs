//! Models with random weights, for measuring the speed of one that is not on the machine: [`RandomModel`].

use std::path::PathBuf;

use serde::Deserialize;

use crate::network::Network;
use crate::options::{LoadOptions, Placement};
use crate::weights::{Checkpoint, Quantization, RandomWeights, Reader, Weights};
use crate::{LoadError, MlxModel, config, device, models};

/// A model of which only the shape is known. Nothing is allocated before it is loaded.
///
/// Must be made and loaded on the thread that will use the model.
pub struct RandomModel {
    model_type: String,
    network: Network,
    placement: Placement,
    n_bytes: u64,
}

#[derive(Deserialize)]
struct Fields {
    quantization: Option<Quantization>,
}

impl RandomModel {
    /// `config` is the text of a config.json, whose `quantization` says how matrices are quantized.
    pub fn new(config: &str, options: &LoadOptions) -> Result<Self, LoadError> {
        let placement = Placement::choose(options)?;
        device::limit_buffer_cache(placement.kernels.is_some())?;
        let file = config::parse(PathBuf::from("config.json"), config.as_bytes())?;
        let Fields { quantization } = file.fields()?;
        let mut weights = RandomWeights::new(quantization, &placement)?;
        let no_files = Checkpoint::without_files(0);
        let architecture = models::architecture(&file)?;
        let network = architecture(&file, &mut Weights::random(&file, &no_files, &mut weights))?;
        Ok(Self { model_type: file.model_type, network, placement, n_bytes: weights.n_bytes() })
    }

    /// The size of its weights in bytes.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Makes the weights. Calls `progress` with the bytes made so far and in total.
    pub fn load(self, progress: &mut dyn FnMut(u64, u64)) -> Result<MlxModel, LoadError> {
        let made_up = Checkpoint::without_files(self.n_bytes);
        let mut reader = Reader::new(&made_up, self.placement.clone(), progress);
        MlxModel::new(self.model_type, self.network, &mut reader, self.placement)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::num::NonZeroUsize;

    use super::*;
    use crate::testing::alone;

    const DENSE: &str = r#"{"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128,
        "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "vocab_size": 96,
        "tie_word_embeddings": true, "quantization": {"group_size": 64, "bits": 4}}"#;
    const EXPERTS: &str = r#"{"model_type": "qwen3_moe", "hidden_size": 64, "num_hidden_layers": 2,
        "intermediate_size": 128, "moe_intermediate_size": 64, "num_experts": 4, "num_experts_per_tok": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "rms_norm_eps": 1e-6, "vocab_size": 96,
        "tie_word_embeddings": false, "quantization": {"group_size": 32, "bits": 8}}"#;

    #[test]
    fn a_model_that_is_made_up_computes_finite_logits_that_differ() {
        let _alone = alone();
        for config in [DENSE, EXPERTS, &DENSE.replace("\"quantization\"", "\"none\"")] {
            let model = RandomModel::new(config, &LoadOptions::default()).unwrap();
            let n_bytes = model.n_bytes();
            let mut last = (0, 0);
            let mut model = model.load(&mut |done, total| last = (done, total)).unwrap();
            assert_eq!(last, (n_bytes, n_bytes), "all of it was made");
            let logits = model.logits(&[1, 2, 3], NonZeroUsize::MIN).unwrap();
            assert_eq!(logits.len(), 3 * 96);
            assert!(logits.iter().all(|it| it.is_finite() && it.abs() < 1e3), "{logits:?}");
            assert!(logits.iter().any(|it| (it - logits[0]).abs() > 1e-3), "{logits:?}");
        }
    }

    #[test]
    fn the_size_is_known_before_anything_is_made() {
        let _alone = alone();
        let n_bytes = RandomModel::new(DENSE, &LoadOptions::default()).unwrap().n_bytes();
        // Words and, for each group of 64, a scale and a bias of two bytes.
        let quantized = |n: u64| n / 2 + n / 64 * 4;
        let matrices = 96 * 64 + 2 * (64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 128);
        let vectors = 4 * (2 * (64 + 32 + 32 + 2 * 64) + 64);
        assert_eq!(n_bytes, quantized(matrices) + vectors);
    }
}
