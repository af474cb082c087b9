//! The fill-in-the-middle formats of all families, in one table.
//!
//! A row says which tokens a vocabulary must have, and how a prompt is put together from them. Families borrow each
//! other's tokens, so rows are tried in order and what tells two apart stands in `needs` and `lacks`. Where formats
//! come from stands beside each row; those that models saw in both orders have both.

/// In which order a prompt has what stands around the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Prefix, suffix, middle. The middle begins some lines above the cursor, so that a key that is typed leaves all
    /// but the prompt's end as it was, in this order too.
    Psm,
    /// Suffix, prefix, middle: a key that is typed leaves all but the prompt's end as it was.
    Spm,
}

/// A piece of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The control token of this name.
    Token(&'static str),
    Text(&'static str),
    /// The text before the cursor. What the row writes `inside` it comes first.
    Prefix,
    /// The text behind the cursor.
    Suffix,
    /// The path of the file at hand.
    Path,
    /// Path and text of another file, within [`Files::each`].
    OtherPath,
    OtherText,
    Language,
}

use Piece::{Language, OtherPath, OtherText, Path, Prefix, Suffix, Text, Token};

/// Where other files and paths stand. Written only if there is a path or another file, and left out whole by
/// families that have no place for them.
#[derive(Debug)]
pub(super) struct Files {
    /// Once, before all files.
    pub(super) start: &'static [Piece],
    pub(super) each: &'static [Piece],
    /// Before the file at hand.
    pub(super) current: &'static [Piece],
    /// At the beginning of its prefix.
    pub(super) inside: &'static [Piece],
    /// Whether all this belongs at the beginning of the prefix, too.
    pub(super) is_in_prefix: bool,
}

const NO_FILES: Files = Files { start: &[], each: &[], current: &[], inside: &[], is_in_prefix: false };

#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// Control tokens that a vocabulary has,
    pub(super) needs: &'static [&'static str],
    /// and tokens that it does not have.
    pub(super) lacks: &'static [&'static str],
    /// Prefix, suffix, middle.
    pub(super) psm: Option<&'static [Piece]>,
    /// Suffix, prefix, middle.
    pub(super) spm: Option<&'static [Piece]>,
    pub(super) files: Files,
    /// A completion is over at any of these, besides the tokens of the format itself.
    pub(super) stop: &'static [&'static str],
}

impl Family {
    /// A model that saw both orders is asked in the one that keeps its cache: text that is typed comes at its end.
    pub(super) fn order(&self) -> Order {
        if self.spm.is_some() { Order::Spm } else { Order::Psm }
    }

    pub(super) fn pieces(&self, order: Order) -> Option<&'static [Piece]> {
        match order {
            Order::Psm => self.psm,
            Order::Spm => self.spm,
        }
    }
}

/// A repository must have a name. One that never changes keeps the prompt's beginning in the cache.
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
    // As bigcode's Megatron-LM permutes it, half of the time.
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
    // CodeGemma: its documentation, and figure 3 of the report, arXiv 2406.11409, for paths.
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
    // Granite 4 borrows the names, and its card knows single files only.
    Family {
        name: "granite",
        needs: &["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|end_of_text|>"],
        stop: &["<|end_of_text|>", "<|fim_pad|>", "<|filename|>", "<|reponame|>"],
        ..PIPES
    },
    // Whoever else has these tokens.
    PIPES,
    // Mellum: its card. It has StarCoder's tokens, and those of a chat that StarCoder does not have.
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
    // StarCoder2: section 5.1 of the paper, arXiv 2402.19173. The path is part of what is split.
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
    // DeepSeek-Coder and V2: the README, for other files too. The bars are fullwidth.
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
    // Code Llama: `encode_infilling` of its own code, and section 2.3 of the paper for the order, arXiv 2308.12950.
    CODELLAMA,
    Family {
        needs: &["<PRE>", "<SUF>", "<MID>"],
        psm: Some(&[Token("<PRE>"), Prefix, Token("<SUF>"), Suffix, Token("<MID>")]),
        spm: Some(&[Token("<PRE>"), Token("<SUF>"), Suffix, Token("<MID>"), Prefix]),
        stop: &["<EOT>", "</s>"],
        ..CODELLAMA
    },
    // Codestral: `encode_fim` of mistral-common. There is no token before the middle. Other files as its users write
    // them.
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
    // CodeGeeX4 fills in as a turn of a chat: its guide to infilling. GLM has the same tokens, and thinks.
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
