//! Writes tests for files: [`Errands::write_tests`].

use std::sync::Arc;

use runabout_context::{Language, Syntax};
use runabout_files::{FilePath, Snapshot, unified_diff};

use crate::ask::{Asker, Form};
use crate::check::{Source, name_of, words};
use crate::effort::Effort;
use crate::errand::{Errand, Errands};
use crate::evidence::{Evidence, ParseCheck};
use crate::fault::Fault;
use crate::fenced::code_of;
use crate::formats;
use crate::inquiry::{Inquiry, ask_twice};
use crate::lines::in_lf;
use crate::prompts;
use crate::room::fit;

/// The room for a file of tests.
const TESTS_TOKENS: usize = 1_024;

/// Files to write tests for, each by itself.
#[derive(Clone, Debug)]
pub struct WriteTests {
    pub files: Vec<Snapshot>,
    /// What to test, or how.
    pub instruction: Option<String>,
    pub effort: Effort,
}

/// The tests for one file.
#[derive(Clone, Debug)]
pub struct WrittenTests {
    /// The file that is tested.
    pub path: FilePath,
    pub outcome: Result<NewFile, Fault>,
    pub evidence: Evidence,
}

/// A file that does not exist yet, or that would be replaced: nothing is written or looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where tests of this language usually are, from the root of the file that is tested.
    pub relative: String,
    pub text: String,
    /// The diff that creates it.
    pub diff: String,
}

impl Errands {
    /// Writes tests for each file. The items are the files. The tests are parsed, not run.
    pub fn write_tests(&self, request: WriteTests) -> Errand<WrittenTests> {
        let WriteTests { files, instruction, effort } = request;
        let instruction: Arc<Option<String>> = Arc::new(instruction);
        self.begin(effort, files, move |asker, file| write(asker, Arc::clone(&instruction), file))
    }
}

async fn write(asker: Asker, instruction: Arc<Option<String>>, file: Snapshot) -> WrittenTests {
    let mut evidence = Evidence::default();
    let text = tests_for(&asker, instruction.as_deref(), &file, &mut evidence).await;
    let outcome = text.map(|text| {
        let relative = test_path(file.path.relative());
        let diff = unified_diff(&relative, None, &text);
        NewFile { relative, text, diff }
    });
    WrittenTests { path: file.path, outcome, evidence }
}

async fn tests_for(
    asker: &Asker,
    instruction: Option<&str>,
    file: &Snapshot,
    evidence: &mut Evidence,
) -> Result<String, Fault> {
    let path = file.path.relative();
    let source = Source::new(file.path.file_name(), in_lf(&file.text));
    let task = format!(
        "Write tests for this file{}. {}{}\n\nWrite the whole test file in one code block.",
        source.language.map_or("", framework),
        source.language.map_or_else(String::new, |it| import_hint(it, path)),
        instruction.map(|it| format!("\n\n{}", it.trim())).unwrap_or_default(),
    );
    let prompt = |text: &str| prompts::tests(&task, path, text);
    let (shown, is_cut) = fit(asker, &source.text, TESTS_TOKENS, prompt).await?;
    evidence.is_input_truncated = is_cut;
    let inquiry = Inquiry {
        messages: prompt(shown),
        n_answer: TESTS_TOKENS,
        form: Form::Helpful(formats::code_block(prompts::tag(path))),
        reminder: "write the whole test file in one code block.",
    };
    let read = |answer: &str| {
        let code = code_of(answer, "")?;
        check(&source, &code)?;
        Ok(if code.ends_with('\n') { code } else { code + "\n" })
    };
    let text = ask_twice(asker, inquiry, evidence, read).await?;
    evidence.parse = source.language.and_then(|language| {
        let faults_now = Syntax::of(language, &text)?.faults.len();
        Some(ParseCheck { language: name_of(language).to_lowercase(), faults_before: None, faults_now })
    });
    Ok(text)
}

/// Tests must parse, be tests, and name something that the file defines.
fn check(source: &Source, code: &str) -> Result<(), Fault> {
    let (Some(language), Some(syntax)) = (source.language, &source.syntax) else { return Ok(()) };
    if let Some(fault) = Syntax::of(language, code).and_then(|it| it.faults.into_iter().next()) {
        let text = code.lines().nth(fault.line - 1).unwrap_or_default().trim().to_owned();
        return Err(Fault::DoesNotParse { language: name_of(language), line: fault.line, text });
    }
    let is_tested = |name: &str| words(code).any(|it| it == name);
    let has_tests = marks(language).iter().any(|it| code.contains(it));
    let names: Vec<&str> = syntax.definitions.iter().map(|it| it.name.as_str()).collect();
    if has_tests && (names.is_empty() || names.iter().any(|it| is_tested(it))) {
        return Ok(());
    }
    Err(Fault::NoTests { name: names.first().map_or_else(String::new, |it| (*it).to_owned()) })
}

/// What a test has in it.
fn marks(language: Language) -> &'static [&'static str] {
    match language {
        Language::C => &["assert", "test"],
        Language::Go => &["func Test"],
        Language::Java => &["@Test"],
        Language::JavaScript | Language::Tsx | Language::TypeScript => &["test(", "it("],
        Language::Python => &["def test", "async def test"],
        Language::Rust => &["#[test]"],
    }
}

fn framework(language: Language) -> &'static str {
    match language {
        Language::C => " with assert and a main function",
        Language::Go => " with the package testing",
        Language::Java => " with JUnit 5",
        Language::JavaScript | Language::Tsx | Language::TypeScript => " with describe, test and expect",
        Language::Python => " with pytest",
        Language::Rust => " as an integration test",
    }
}

/// How the test file gets at what it tests.
fn import_hint(language: Language, path: &str) -> String {
    let (stem, _) = path.rsplit_once('.').unwrap_or((path, ""));
    match language {
        Language::Python => {
            let module = stem.trim_start_matches("src/").trim_end_matches("/__init__").replace('/', ".");
            format!("Import what you test from `{module}`.")
        }
        Language::JavaScript | Language::Tsx | Language::TypeScript => {
            let name = stem.rsplit('/').next().unwrap_or(stem);
            format!("Import what you test from `./{name}`.")
        }
        _ => String::new(),
    }
}

/// Where the tests of a file usually are.
fn test_path(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').map_or(("", path), |(it, name)| (it, name));
    let beside = |name: String| if directory.is_empty() { name } else { format!("{directory}/{name}") };
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "txt"));
    match Language::of(None, name) {
        Some(Language::Go) => beside(format!("{stem}_test.go")),
        Some(Language::JavaScript | Language::Tsx | Language::TypeScript) => {
            beside(format!("{stem}.test.{extension}"))
        }
        Some(Language::Java) => {
            let directory = directory.replacen("src/main/java", "src/test/java", 1);
            if directory.is_empty() {
                format!("{stem}Test.java")
            } else {
                format!("{directory}/{stem}Test.java")
            }
        }
        Some(Language::Rust) => format!("tests/{stem}.rs"),
        _ => format!("tests/test_{stem}.{extension}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tests_go_where_their_language_has_them() {
        for (path, expected) in [
            ("src/a/b.py", "tests/test_b.py"),
            ("pkg/b.go", "pkg/b_test.go"),
            ("b.ts", "b.test.ts"),
            ("src/main/java/x/B.java", "src/test/java/x/BTest.java"),
            ("src/lib.rs", "tests/lib.rs"),
        ] {
            assert_eq!(test_path(path), expected);
        }
    }

    #[test]
    fn tests_must_parse_and_test_something_of_the_file() {
        let source = Source::new("m.py", "def add(a, b):\n    return a + b\n".to_owned());
        check(&source, "from m import add\n\ndef test_add():\n    assert add(1, 2) == 3\n").unwrap();
        assert!(matches!(check(&source, "def test_it():\n    assert True\n"), Err(Fault::NoTests { .. })));
        assert!(matches!(check(&source, "def test_add(:\n"), Err(Fault::DoesNotParse { .. })));
    }
}
