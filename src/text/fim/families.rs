//! The fill-in-the-middle formats of all model families, in one table: [`FAMILIES`].
//!
//! A row says which tokens a vocabulary must have, and how a prompt is built from them. Families borrow each other's
//! tokens, so the rows are tried in order, and `needs` and `lacks` contain what distinguishes two families. The source
//! of each format is noted beside its row. A family whose models were trained on both orders has both.

/// The order of the text around the cursor in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Prefix, suffix, middle. The middle begins some lines above the cursor, so a keystroke changes only the end of
    /// the prompt in this order too.
    Psm,
    /// Suffix, prefix, middle: a keystroke changes only the end of the prompt.
    Spm,
}

/// A piece of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The control token of this name.
    Token(&'static str),
    /// Literal text.
    Text(&'static str),
    /// The text before the cursor, preceded by what the row defines as [`Files::inside`].
    Prefix,
    /// The text after the cursor.
    Suffix,
    /// The path of the file that is completed.
    Path,
    /// The path of a context file, within [`Files::each`].
    OtherPath,
    /// The text of a context file, within [`Files::each`].
    OtherText,
    /// The language of the file that is completed.
    Language,
}

use Piece::{Language, OtherPath, OtherText, Path, Prefix, Suffix, Text, Token};

/// How a prompt contains context files and paths. Written only if there is a path or a context file; empty for families
/// that have no place for them.
#[derive(Debug)]
pub(super) struct Files {
    /// Written once, before all files.
    pub(super) start: &'static [Piece],
    /// Written for each context file.
    pub(super) each: &'static [Piece],
    /// Written before the file that is completed.
    pub(super) current: &'static [Piece],
    /// Written at the beginning of that file's prefix.
    pub(super) inside: &'static [Piece],
    /// Whether all of this belongs at the beginning of the prefix, after the format's first tokens.
    pub(super) is_in_prefix: bool,
}

const NO_FILES: Files = Files { start: &[], each: &[], current: &[], inside: &[], is_in_prefix: false };

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// Control tokens that the vocabulary has,
    pub(super) needs: &'static [&'static str],
    /// and tokens that it does not have.
    pub(super) lacks: &'static [&'static str],
    /// The prompt in the order prefix, suffix, middle; `None` if the models do not know it.
    pub(super) psm: Option<&'static [Piece]>,
    /// The prompt in the order suffix, prefix, middle; `None` if the models do not know it.
    pub(super) spm: Option<&'static [Piece]>,
    pub(super) files: Files,
    /// The tokens that end a completion, in addition to those in `needs`.
    pub(super) stop: &'static [&'static str],
}

impl Family {
    /// The order to use by default. A model that knows both is prompted with the suffix first, since then the cache
    /// stays valid: typed text comes at the end of the prompt.
    pub(super) fn order(&self) -> Order {
        if self.spm.is_some() { Order::Spm } else { Order::Psm }
    }

    /// The prompt in this order; `None` if the models do not know it.
    pub(super) fn pieces(&self, order: Order) -> Option<&'static [Piece]> {
        match order {
            Order::Psm => self.psm,
            Order::Spm => self.spm,
        }
    }
}

/// The name of the repository, which the formats require. A constant, so the prompt's beginning stays in the cache.
const PROJECT: Piece = Text("project");

const PIPES: Family = Family {
    name: "pipes",
    needs: &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
    lacks: &[],
    psm: Some(&[Token("<|fim_prefix|>"), Prefix, Token("<|fim_suffix|>"), Suffix, Token("<|fim_middle|>")]),
    spm: None,
    files: NO_FILES,
    stop: &["<|endoftext|>", "<|fim_pad|>"],
};

const STARCODER: Family = Family {
    name: "starcoder",
    needs: &["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
    lacks: &[],
    psm: Some(&[Token("<fim_prefix>"), Prefix, Token("<fim_suffix>"), Suffix, Token("<fim_middle>")]),
    // As in bigcode's Megatron-LM, which used this order for half of the training texts.
    spm: Some(&[Token("<fim_prefix>"), Token("<fim_suffix>"), Suffix, Token("<fim_middle>"), Prefix]),
    files: NO_FILES,
    stop: &["<|endoftext|>", "<fim_pad>", "<reponame>", "<filename>", "<gh_stars>"],
};

const CODELLAMA: Family = Family {
    name: "codellama",
    needs: &["▁<PRE>", "▁<SUF>", "▁<MID>"],
    lacks: &[],
    psm: Some(&[Token("▁<PRE>"), Prefix, Token("▁<SUF>"), Suffix, Token("▁<MID>")]),
    spm: Some(&[Token("▁<PRE>"), Token("▁<SUF>"), Suffix, Token("▁<MID>"), Prefix]),
    files: NO_FILES,
    stop: &["▁<EOT>", "</s>"],
};

pub(super) const FAMILIES: [Family; 16] = [
    // Qwen2.5-Coder and Qwen3-Coder: figure 4 of the technical report, arXiv 2409.12186.
    Family {
        name: "qwen",
        needs: &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"],
        files: Files {
            start: &[Token("<|repo_name|>"), PROJECT, Text("\n")],
            each: &[Token("<|file_sep|>"), OtherPath, Text("\n"), OtherText, Text("\n")],
            current: &[Token("<|file_sep|>"), Path, Text("\n")],
            ..NO_FILES
        },
        stop: &[
            "<|endoftext|>",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
            "<|im_start|>",
            "<|im_end|>",
        ],
        ..PIPES
    },
    // CodeGemma: its documentation, and for paths figure 3 of the report, arXiv 2406.11409.
    Family {
        name: "codegemma",
        needs: &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>"],
        files: Files {
            each: &[OtherPath, Text("\n"), OtherText, Token("<|file_separator|>")],
            current: &[Path, Text("\n")],
            ..NO_FILES
        },
        stop: &["<|file_separator|>", "<end_of_turn>", "<eos>"],
        ..PIPES
    },
    // Granite 4 uses the same names; its card describes single files only.
    Family {
        name: "granite",
        needs: &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|end_of_text|>"],
        stop: &["<|end_of_text|>", "<|fim_pad|>", "<|filename|>", "<|reponame|>"],
        ..PIPES
    },
    // Any other model with these tokens.
    PIPES,
    // Mellum: its card. It has StarCoder's tokens, and chat tokens that StarCoder lacks.
    Family {
        name: "mellum",
        needs: &["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<filename>", "<|im_start|>"],
        lacks: &["<file_sep>"],
        psm: None,
        spm: Some(&[Token("<fim_suffix>"), Suffix, Token("<fim_prefix>"), Prefix, Token("<fim_middle>")]),
        files: Files {
            each: &[Token("<filename>"), OtherPath, Text("\n"), OtherText, Text("\n")],
            current: &[Token("<filename>"), Path, Text("\n")],
            ..NO_FILES
        },
        stop: &["<|endoftext|>", "<fim_pad>", "<filename>", "<|im_start|>", "<|im_end|>"],
    },
    // StarCoder2: section 5.1 of the paper, arXiv 2402.19173. The path is part of the text that is split.
    Family {
        name: "starcoder2",
        needs: &["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"],
        files: Files {
            start: &[Token("<repo_name>"), PROJECT],
            each: &[Token("<file_sep>"), OtherPath, Text("\n"), OtherText],
            current: &[Token("<file_sep>")],
            inside: &[Path, Text("\n")],
            is_in_prefix: false,
        },
        stop: &["<|endoftext|>", "<fim_pad>", "<repo_name>", "<file_sep>"],
        ..STARCODER
    },
    // StarCoder, StableCode, Refact and the Granite code models of the second generation.
    STARCODER,
    // SantaCoder.
    Family {
        name: "santacoder",
        needs: &["<fim-prefix>", "<fim-suffix>", "<fim-middle>"],
        psm: Some(&[Token("<fim-prefix>"), Prefix, Token("<fim-suffix>"), Suffix, Token("<fim-middle>")]),
        spm: Some(&[Token("<fim-prefix>"), Token("<fim-suffix>"), Suffix, Token("<fim-middle>"), Prefix]),
        stop: &["<|endoftext|>", "<fim-pad>"],
        ..STARCODER
    },
    // DeepSeek-Coder and V2: the README, which covers context files too. The bars are fullwidth.
    Family {
        name: "deepseek",
        needs: &["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"],
        psm: Some(&[
            Token("<｜fim▁begin｜>"),
            Prefix,
            Token("<｜fim▁hole｜>"),
            Suffix,
            Token("<｜fim▁end｜>"),
        ]),
        spm: None,
        files: Files {
            each: &[Text("#"), OtherPath, Text("\n"), OtherText, Text("\n")],
            current: &[Text("#"), Path, Text("\n")],
            is_in_prefix: true,
            ..NO_FILES
        },
        stop: &["<｜end▁of▁sentence｜>"],
        ..PIPES
    },
    // Code Llama: `encode_infilling` in its own code, and for the order section 2.3 of the paper, arXiv 2308.12950.
    CODELLAMA,
    Family {
        needs: &["<PRE>", "<SUF>", "<MID>"],
        psm: Some(&[Token("<PRE>"), Prefix, Token("<SUF>"), Suffix, Token("<MID>")]),
        spm: Some(&[Token("<PRE>"), Token("<SUF>"), Suffix, Token("<MID>"), Prefix]),
        stop: &["<EOT>", "</s>"],
        ..CODELLAMA
    },
    // Codestral: `encode_fim` in mistral-common. There is no token before the middle. Context files are written as its
    // users do it.
    Family {
        name: "codestral",
        needs: &["[PREFIX]", "[SUFFIX]"],
        psm: None,
        spm: Some(&[Token("[SUFFIX]"), Suffix, Token("[PREFIX]"), Prefix]),
        files: Files {
            each: &[Text("+++++ "), OtherPath, Text("\n"), OtherText, Text("\n")],
            current: &[Text("+++++ "), Path, Text("\n")],
            is_in_prefix: true,
            ..NO_FILES
        },
        stop: &["</s>", "[MIDDLE]"],
        ..PIPES
    },
    // Seed-Coder: section 3.4 of the report, arXiv 2506.03524.
    Family {
        name: "seed-coder",
        needs: &["<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"],
        psm: None,
        spm: Some(&[
            Token("<[fim-suffix]>"),
            Suffix,
            Token("<[fim-prefix]>"),
            Prefix,
            Token("<[fim-middle]>"),
        ]),
        stop: &["<[end▁of▁sentence]>", "<[PAD▁TOKEN]>", "<[SEP▁TOKEN]>"],
        ..PIPES
    },
    // CodeGeeX4 fills in within a chat turn: its guide to infilling. GLM has the same tokens, but also `<think>`.
    Family {
        name: "codegeex4",
        needs: &["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "<|user|>", "<|assistant|>"],
        lacks: &["<think>"],
        psm: None,
        spm: Some(&[
            Text("###PATH:"),
            Path,
            Text("\n###LANGUAGE:"),
            Language,
            Text("\n###MODE:BLOCK\n"),
            Token("<|code_suffix|>"),
            Suffix,
            Token("<|code_prefix|>"),
            Prefix,
            Token("<|code_middle|>"),
            Token("<|assistant|>"),
            Text("\n"),
        ]),
        files: Files {
            start: &[Token("<|user|>"), Text("\n")],
            each: &[Text("###REFERENCE:\n###PATH:"), OtherPath, Text("\n"), OtherText, Text("\n")],
            ..NO_FILES
        },
        stop: &["<|endoftext|>", "<|user|>", "<|observation|>"],
    },
    // GLM-4.5 and later.
    Family {
        name: "glm",
        needs: &["<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"],
        psm: Some(&[
            Token("<|code_prefix|>"),
            Prefix,
            Token("<|code_suffix|>"),
            Suffix,
            Token("<|code_middle|>"),
        ]),
        spm: None,
        stop: &["<|endoftext|>", "<|user|>", "<|assistant|>"],
        ..PIPES
    },
    // Falcon-H1-Tiny-Coder.
    Family {
        name: "falcon",
        needs: &["<|prefix|>", "<|suffix|>", "<|middle|>"],
        psm: Some(&[Token("<|prefix|>"), Prefix, Token("<|suffix|>"), Suffix, Token("<|middle|>")]),
        spm: None,
        stop: &["<|endoftext|>", "<|end_of_text|>"],
        ..PIPES
    },
];
