//! What rules need to know about a programming language: how it writes comments and strings, and what opens a block.
//!
//! All languages are in one table. A language is found by the name that the client gives, or else by the extension of
//! the path. An unknown language has strings in double quotes and no comments, so that rules err on the side of letting
//! a completion pass.

/// How a language writes comments and strings, and what opens and continues a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Language {
    /// Names and extensions, in lower case. They share one list, since no language's name is another one's extension.
    names: &'static [&'static str],
    pub(crate) line_comments: &'static [&'static str],
    pub(crate) block_comment: Option<(&'static str, &'static str)>,
    /// The quotes of strings that end with their line.
    pub(crate) quotes: &'static [char],
    /// The quotes of strings that may have several lines.
    pub(crate) long_quotes: &'static [char],
    /// Whether a quote written three times begins a string that may have several lines.
    pub(crate) has_triple_quotes: bool,
    /// Whether `'` comes before a single character, or before the name of a lifetime.
    pub(crate) has_char_quotes: bool,
    /// How strings contain code; `None` if they do not.
    pub(crate) interpolation: Option<Interpolation>,
    /// What the line before a more deeply indented one ends with, besides an open bracket.
    pub(crate) openers: &'static [&'static str],
    /// Words that a line with the indentation of the block's opening line may begin with and still belong to the block.
    pub(crate) continuations: &'static [&'static str],
}

/// How strings contain code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Interpolation {
    /// What the code begins with. The code ends where the bracket in it is closed.
    pub(crate) starts: &'static [&'static str],
    /// The quotes of the strings that contain code.
    pub(crate) quotes: &'static [char],
    /// One of these must come before the quote, with no other letters than those that mark a kind of string, such as
    /// `r`. Empty: no mark is needed.
    pub(crate) marks: &'static [char],
    /// What a brace means if `starts` has it without another character.
    pub(crate) brace: Brace,
}

/// Whether a lone brace in a string begins code, which can depend on the next character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brace {
    /// It begins code.
    Code,
    /// It begins code, except that two braces stand for one brace of text.
    Doubled,
    /// It begins code only before a `$`, and else is text.
    BeforeDollar,
}

const DOLLAR_BRACE: Interpolation =
    Interpolation { starts: &["${"], quotes: &['"'], marks: &[], brace: Brace::Code };

const PLAIN: Language = Language {
    names: &[],
    line_comments: &[],
    block_comment: None,
    quotes: &['"'],
    long_quotes: &[],
    has_triple_quotes: false,
    has_char_quotes: false,
    interpolation: None,
    openers: &[],
    continuations: &[],
};

const C_LIKE: Language =
    Language { line_comments: &["//"], block_comment: Some(("/*", "*/")), quotes: &['"', '\''], ..PLAIN };

const LANGUAGES: [Language; 25] = [
    Language { names: &["rust", "rs"], quotes: &[], long_quotes: &['"'], has_char_quotes: true, ..C_LIKE },
    Language {
        names: &["python", "py", "pyi", "pyx", "starlark", "bzl"],
        line_comments: &["#"],
        quotes: &['"', '\''],
        has_triple_quotes: true,
        interpolation: Some(Interpolation {
            starts: &["{"],
            quotes: &['"', '\''],
            marks: &['f', 'F', 't', 'T'],
            brace: Brace::Doubled,
        }),
        openers: &[":"],
        continuations: &["elif", "else", "except", "finally"],
        ..PLAIN
    },
    Language {
        names: &[
            "javascript",
            "javascriptreact",
            "js",
            "jsx",
            "mjs",
            "cjs",
            "typescript",
            "typescriptreact",
            "ts",
            "tsx",
            "mts",
            "cts",
        ],
        long_quotes: &['`'],
        interpolation: Some(Interpolation { quotes: &['`'], ..DOLLAR_BRACE }),
        openers: &["=>"],
        ..C_LIKE
    },
    Language { names: &["go", "golang"], long_quotes: &['`'], ..C_LIKE },
    Language {
        names: &[
            "c",
            "h",
            "cpp",
            "c++",
            "cc",
            "cxx",
            "hpp",
            "hh",
            "hxx",
            "cuda",
            "cu",
            "objective-c",
            "objc",
            "m",
            "mm",
        ],
        ..C_LIKE
    },
    Language { names: &["java", "zig", "solidity", "sol", "proto"], ..C_LIKE },
    Language {
        names: &["csharp", "cs"],
        interpolation: Some(Interpolation {
            starts: &["{"],
            quotes: &['"'],
            marks: &['$'],
            brace: Brace::Doubled,
        }),
        ..C_LIKE
    },
    Language {
        names: &["kotlin", "kt", "kts", "scala", "sbt", "groovy", "gradle"],
        has_triple_quotes: true,
        interpolation: Some(DOLLAR_BRACE),
        ..C_LIKE
    },
    Language {
        names: &["dart"],
        has_triple_quotes: true,
        interpolation: Some(Interpolation { quotes: &['"', '\''], ..DOLLAR_BRACE }),
        ..C_LIKE
    },
    Language {
        names: &["swift"],
        has_triple_quotes: true,
        interpolation: Some(Interpolation { starts: &["\\("], ..DOLLAR_BRACE }),
        ..C_LIKE
    },
    Language {
        names: &["css", "scss", "less"],
        interpolation: Some(Interpolation { starts: &["#{", "@{"], quotes: &['"', '\''], ..DOLLAR_BRACE }),
        ..C_LIKE
    },
    Language {
        names: &["php"],
        line_comments: &["//", "#"],
        interpolation: Some(Interpolation {
            starts: &["{", "${"],
            brace: Brace::BeforeDollar,
            ..DOLLAR_BRACE
        }),
        ..C_LIKE
    },
    Language {
        names: &["ruby", "rb", "rake", "gemspec", "crystal"],
        line_comments: &["#"],
        quotes: &['"', '\''],
        interpolation: Some(Interpolation { starts: &["#{"], ..DOLLAR_BRACE }),
        openers: &["do", "then", "begin", "else"],
        continuations: &["end", "else", "elsif", "rescue", "ensure", "when"],
        ..PLAIN
    },
    Language {
        names: &["elixir", "ex", "exs"],
        line_comments: &["#"],
        has_triple_quotes: true,
        interpolation: Some(Interpolation { starts: &["#{"], ..DOLLAR_BRACE }),
        openers: &["do", "->", "else"],
        continuations: &["end", "else", "rescue", "after"],
        ..PLAIN
    },
    Language {
        names: &["lua"],
        line_comments: &["--"],
        block_comment: Some(("--[[", "]]")),
        quotes: &['"', '\''],
        openers: &["do", "then", "else", "repeat"],
        continuations: &["end", "else", "elseif", "until"],
        ..PLAIN
    },
    Language {
        names: &["shellscript", "shell", "bash", "sh", "zsh", "fish"],
        line_comments: &["#"],
        long_quotes: &['"', '\''],
        quotes: &[],
        interpolation: Some(Interpolation { starts: &["${", "$("], ..DOLLAR_BRACE }),
        openers: &["do", "then", "else", "in"],
        continuations: &["done", "fi", "else", "elif", "esac", "end"],
        ..PLAIN
    },
    Language { names: &["r"], line_comments: &["#"], ..PLAIN },
    Language {
        names: &["perl", "pl", "pm"],
        line_comments: &["#"],
        interpolation: Some(Interpolation { starts: &["${", "@{"], ..DOLLAR_BRACE }),
        ..PLAIN
    },
    Language {
        names: &["julia", "jl"],
        line_comments: &["#"],
        interpolation: Some(Interpolation { starts: &["$("], ..DOLLAR_BRACE }),
        ..PLAIN
    },
    Language {
        names: &["make", "makefile", "mk", "cmake", "dockerfile", "nix"],
        line_comments: &["#"],
        interpolation: Some(Interpolation { starts: &["${", "$("], ..DOLLAR_BRACE }),
        ..PLAIN
    },
    Language {
        names: &["toml", "yaml", "yml", "ini", "properties", "conf"],
        line_comments: &["#"],
        openers: &[":"],
        ..PLAIN
    },
    Language { names: &["sql", "haskell", "hs", "ada", "elm"], line_comments: &["--"], ..PLAIN },
    Language {
        names: &["lisp", "clojure", "clj", "scheme", "scm", "el", "racket"],
        line_comments: &[";"],
        ..PLAIN
    },
    Language {
        names: &["html", "xml", "svg", "vue", "svelte", "markdown", "md"],
        quotes: &[],
        block_comment: Some(("<!--", "-->")),
        ..PLAIN
    },
    Language { names: &["json", "jsonc", "json5"], line_comments: &["//"], ..PLAIN },
];

impl Language {
    /// The language with this name, or else that of the path's extension or file name, or else the plain one.
    pub(crate) fn find(name: Option<&str>, path: Option<&str>) -> &'static Self {
        let by_name = |name: &str| {
            let name = name.to_lowercase();
            LANGUAGES.iter().find(|it| it.names.contains(&name.as_str()))
        };
        let file = path.map(|it| it.rsplit(['/', '\\']).next().unwrap_or(it));
        let extension = file.map(|it| it.rsplit('.').next().unwrap_or(it));
        name.and_then(by_name).or_else(|| extension.and_then(by_name)).unwrap_or(&PLAIN)
    }

    /// Whether a line of code, without its comment, ends with a word or sign that opens a block.
    pub(crate) fn opens_block(&self, code: &str) -> bool {
        let code = code.trim_end();
        self.openers.iter().any(|opener| {
            let is_word = opener.ends_with(char::is_alphabetic);
            code.strip_suffix(opener).is_some_and(|before| {
                !is_word || !before.ends_with(|it: char| it.is_alphanumeric() || it == '_' || it == '.')
            })
        })
    }

    /// Whether a line, which has only a word or a part of one so far, may turn out to begin with a word such as `else`.
    pub(crate) fn may_continue_block(&self, line: &str) -> bool {
        self.continuations.iter().any(|word| word.starts_with(line.trim_start()))
    }

    /// Whether a line begins with a word such as `else`.
    pub(crate) fn continues_block(&self, line: &str) -> bool {
        let line = line.trim_start();
        self.continuations.iter().any(|word| {
            line.strip_prefix(word)
                .is_some_and(|rest| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_name_then_by_extension_and_else_is_plain() {
        let python = Language::find(Some("Python"), None);
        assert!(python.has_triple_quotes);
        assert_eq!(Language::find(None, Some("src/a.b/x.PY")), python);
        assert_eq!(Language::find(Some("python"), Some("x.rs")), python);
        assert_eq!(Language::find(Some("brainfuck"), Some("x.rs")), Language::find(None, Some("lib.rs")));
        assert_eq!(Language::find(None, Some("C:\\code\\Makefile")).line_comments, ["#"]);
        assert_eq!(Language::find(None, Some("notes.unknown")), &PLAIN);
        assert_eq!(Language::find(None, None), &PLAIN);
    }

    #[test]
    fn no_name_stands_in_two_rows() {
        let mut names: Vec<_> = LANGUAGES.iter().flat_map(|it| it.names).collect();
        let n_names = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n_names);
        assert!(names.iter().all(|it| **it == it.to_lowercase()));
    }

    #[test]
    fn a_block_is_opened_by_a_word_and_not_by_the_end_of_one() {
        let table: [(&str, &str, bool); 8] = [
            ("python", "if x:", true),
            ("python", "x = d[1", false),
            ("ruby", "items.each do", true),
            ("ruby", "undo", false),
            ("ruby", "self.do", false),
            ("typescript", "const f = () => ", true),
            ("rust", "match x", false),
            ("lua", "if x then", true),
        ];
        for (language, code, expected) in table {
            assert_eq!(Language::find(Some(language), None).opens_block(code), expected, "{code}");
        }
    }

    #[test]
    fn a_block_goes_on_with_a_whole_word() {
        let python = Language::find(Some("python"), None);
        assert!(python.continues_block("    else:"));
        assert!(!python.continues_block("else_value = 1"));
        assert!(!Language::find(Some("rust"), None).continues_block("else"));
    }
}
