//! The models that `runabout models recommend` chooses from: [`Recommended`].
//!
//! A row has the model's shape, so that its memory is known before anything is downloaded.

use serde::Serialize;

use crate::footprint::Footprint;

/// A model that is good at something for its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recommended {
    /// What `--model` takes.
    pub reference: &'static str,
    pub task: Task,
    /// All weights together.
    pub weight_bytes: u64,
    /// The weights that are read for one token: all, except of a mixture of experts.
    pub active_bytes: u64,
    pub bytes_per_token: u64,
    pub context_tokens: u64,
}

/// What a model is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Completing code at a cursor, with what follows it.
    Complete,
    /// Conversations and instructions.
    Chat,
}

impl Recommended {
    /// Whether it is a repository of the hub, and not one of the [named models](crate::named_models). It is known by its
    /// name and shape only: nothing here has fetched it.
    pub fn is_on_the_hub(&self) -> bool {
        self.reference.contains('/')
    }

    pub fn footprint(&self, n_tokens: u64) -> Footprint {
        Footprint {
            weight_bytes: self.weight_bytes,
            bytes_per_token: self.bytes_per_token,
            n_tokens: n_tokens.min(self.context_tokens),
        }
    }
}

/// The models for a task, the smallest first.
pub fn recommended(task: Task) -> impl Iterator<Item = &'static Recommended> {
    MODELS.iter().filter(move |it| it.task == task)
}

/// Weights of 4 bits in groups of 64, each with a scale and a bias of 16 bits: 4.5 bits.
const fn four_bits(millions_of_weights: u64) -> u64 {
    millions_of_weights * 1_000_000 * 9 / 16
}

/// A key and a value of 16 bits for each of 128 numbers of a head.
const fn keys_and_values(n_layers: u64, n_heads: u64) -> u64 {
    n_layers * n_heads * 128 * 4
}

const fn dense(
    reference: &'static str,
    task: Task,
    millions_of_weights: u64,
    bytes_per_token: u64,
    context_tokens: u64,
) -> Recommended {
    let weight_bytes = four_bits(millions_of_weights);
    Recommended { reference, task, weight_bytes, active_bytes: weight_bytes, bytes_per_token, context_tokens }
}

/// Numbers of weights, layers and heads are those that each model's makers state. The repositories of mlx-community have
/// not been fetched to check that they are there.
const MODELS: [Recommended; 14] = [
    Recommended {
        reference: "qwen2.5-coder-0.5b",
        task: Task::Complete,
        weight_bytes: 491_400_064,
        active_bytes: 491_400_064,
        bytes_per_token: 24 * 2 * 64 * 4,
        context_tokens: 32_768,
    },
    Recommended {
        reference: "qwen2.5-coder-1.5b",
        task: Task::Complete,
        weight_bytes: 1_117_320_768,
        active_bytes: 1_117_320_768,
        bytes_per_token: keys_and_values(28, 2),
        context_tokens: 32_768,
    },
    dense(
        "mlx-community/Qwen2.5-Coder-3B-Instruct-4bit",
        Task::Complete,
        3_086,
        keys_and_values(36, 2),
        32_768,
    ),
    dense(
        "mlx-community/Qwen2.5-Coder-7B-Instruct-4bit",
        Task::Complete,
        7_616,
        keys_and_values(28, 4),
        32_768,
    ),
    dense(
        "mlx-community/Qwen2.5-Coder-14B-Instruct-4bit",
        Task::Complete,
        14_770,
        keys_and_values(48, 8),
        32_768,
    ),
    Recommended {
        reference: "mlx-community/Qwen3-Coder-30B-A3B-Instruct-4bit",
        task: Task::Complete,
        weight_bytes: four_bits(30_532),
        active_bytes: four_bits(3_350),
        bytes_per_token: keys_and_values(48, 4),
        context_tokens: 262_144,
    },
    dense(
        "mlx-community/Qwen2.5-Coder-32B-Instruct-4bit",
        Task::Complete,
        32_764,
        keys_and_values(64, 8),
        32_768,
    ),
    Recommended {
        reference: "smollm2-135m",
        task: Task::Chat,
        weight_bytes: 98_362_432,
        active_bytes: 98_362_432,
        bytes_per_token: 30 * 3 * 64 * 4,
        context_tokens: 8_192,
    },
    dense("mlx-community/Qwen3-0.6B-4bit", Task::Chat, 596, keys_and_values(28, 8), 40_960),
    dense("mlx-community/Qwen3-1.7B-4bit", Task::Chat, 1_721, keys_and_values(28, 8), 40_960),
    dense("mlx-community/Qwen3-4B-4bit", Task::Chat, 4_022, keys_and_values(36, 8), 40_960),
    dense("mlx-community/Qwen3-8B-4bit", Task::Chat, 8_191, keys_and_values(36, 8), 40_960),
    dense("mlx-community/Qwen3-14B-4bit", Task::Chat, 14_768, keys_and_values(40, 8), 40_960),
    dense("mlx-community/Qwen3-32B-4bit", Task::Chat, 32_762, keys_and_values(64, 8), 40_960),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::named_models;
    use crate::reference::ModelRef;

    #[test]
    fn every_model_can_be_asked_for_and_they_grow_in_size() {
        for task in [Task::Complete, Task::Chat] {
            let models: Vec<_> = recommended(task).collect();
            assert!(models.is_sorted_by_key(|it| it.weight_bytes), "{models:?}");
            for model in models {
                match model.reference.parse::<ModelRef>() {
                    Ok(ModelRef::Named(named)) => assert_eq!(named.n_bytes, model.weight_bytes),
                    Ok(ModelRef::Hub { .. }) => {
                        assert!(named_models().iter().all(|it| it.name != model.reference));
                    }
                    other => panic!("{}: {other:?}", model.reference),
                }
            }
        }
    }
}
