//! Tests of edits.

use super::*;

const CODE: &str = "def add(a, b):\n    return a - b\n";

fn edit(instruction: &str, files: &Files, form: Option<EditForm>) -> EditFiles {
    EditFiles {
        instruction: instruction.to_owned(),
        files: files.snapshots.clone(),
        form,
        effort: Effort::default(),
    }
}

fn block(code: &str) -> String {
    format!("```python\n{code}```")
}

#[tokio::test]
async fn a_short_file_is_rewritten_and_only_the_change_is_new() {
    let text = CODE.replace('\n', "  \r\n");
    let files = files(&[("m.py", &text)]);
    let errands = errands(model(|_| block("def add(a, b):\n    return a + b\n")));
    let edited = errands.edit_files(edit("Fix `add`.", &files, None)).finish().await.remove(0);
    let EditOutcome::Changed { text: new, diff, left_out } = edited.outcome else { panic!("{edited:?}") };
    assert_eq!(new, "def add(a, b):  \r\n    return a + b\r\n");
    assert!(diff.contains("-    return a - b  \r\n+    return a + b\r\n"), "{diff}");
    assert!(left_out.is_empty());
    let evidence = edited.evidence;
    assert_eq!((evidence.n_answers, evidence.is_retried), (1, false));
    assert!(evidence.prompt_tokens > 0 && evidence.generated_tokens > 0 && evidence.confidence().is_some());
    let parse = evidence.parse.unwrap();
    assert_eq!((parse.language.as_str(), parse.faults_before, parse.faults_now), ("python", Some(0), 0));
}

#[tokio::test]
async fn a_fault_is_named_and_the_model_is_asked_once_more() {
    let files = files(&[("m.py", CODE)]);
    let errands = errands(model(|prompt| {
        let is_right = is_second(prompt) && prompt.contains("line 2 is `return (a + b`");
        block(if is_right {
            "def add(a, b):\n    return a + b\n"
        } else {
            "def add(a, b):\n    return (a + b\n"
        })
    }));
    let edited = errands.edit_files(edit("Fix `add`.", &files, None)).finish().await.remove(0);
    assert!(matches!(edited.outcome, EditOutcome::Changed { .. }), "{edited:?}");
    assert_eq!((edited.evidence.n_answers, edited.evidence.is_retried), (2, true));
}

#[tokio::test]
async fn after_two_faults_it_has_failed_and_says_why() {
    let files = files(&[("m.py", CODE)]);
    let errands = errands(model(|_| block("def add(a, b):\n    return (a + b\n")));
    let edited = errands.edit_files(edit("Fix `add`.", &files, None)).finish().await.remove(0);
    let EditOutcome::Failed(fault) = edited.outcome else { panic!("{edited:?}") };
    assert_eq!(fault.name(), "does_not_parse");
    assert_eq!(edited.evidence.n_answers, 2);
}

#[tokio::test]
async fn a_model_that_changes_nothing_is_believed_at_the_second_time() {
    let files = files(&[("m.py", CODE)]);
    let errands = errands(model(|_| block(CODE)));
    let edited = errands.edit_files(edit("Fix `add`.", &files, None)).finish().await.remove(0);
    assert!(matches!(edited.outcome, EditOutcome::Unchanged), "{edited:?}");
    assert_eq!(edited.evidence.n_answers, 2);
}

#[tokio::test]
async fn only_the_definition_that_is_named_is_shown_and_rewritten() {
    let other = "def other():\n    return 1\n\n\n";
    let text = format!("{other}class Sum:\n    def add(self, a, b):\n        return a - b\n");
    let files = files(&[("m.py", &text)]);
    let errands = errands(model(|prompt| {
        assert!(!prompt.contains("def other"), "{prompt}");
        block("def add(self, a, b):\n    return a + b\n")
    }));
    let request = edit("Fix `add`.", &files, Some(EditForm::Functions));
    let edited = errands.edit_files(request).finish().await.remove(0);
    let EditOutcome::Changed { text: new, .. } = edited.outcome else { panic!("{edited:?}") };
    assert_eq!(new, text.replace("a - b", "a + b"));
}

#[tokio::test]
async fn of_a_change_to_all_functions_those_with_faults_are_left_out() {
    let files = files(&[("m.py", "def good():\n    return 1\n\n\ndef bad():\n    return 2\n")]);
    let errands = errands(model(|prompt| {
        block(if prompt.contains("def good") {
            "def good() -> int:\n    return 1\n"
        } else {
            "def bad() -> int\n    return 2\n"
        })
    }));
    let request = edit("Add type hints to all functions.", &files, Some(EditForm::Functions));
    let edited = errands.edit_files(request).finish().await.remove(0);
    let EditOutcome::Changed { text, left_out, .. } = edited.outcome else { panic!("{edited:?}") };
    assert_eq!(text, "def good() -> int:\n    return 1\n\n\ndef bad():\n    return 2\n");
    assert_eq!(
        left_out.iter().map(|it| (it.name.as_str(), it.fault.name())).collect::<Vec<_>>(),
        [("bad", "does_not_parse")]
    );
    assert_eq!(edited.evidence.n_answers, 3);
}

#[tokio::test]
async fn a_search_text_can_only_be_lines_of_the_file() {
    let files = files(&[("notes.md", "# Notes\n\nThe old line.\n")]);
    // The format does not let it quote a line that is not there: it is led to one that is.
    let answer = "<<<<<<< SEARCH\nThe cold line.\n=======\nThe new line.\n>>>>>>> REPLACE\n";
    let errands = errands(model(|_| answer.to_owned()));
    let request = edit("Say new instead of old.", &files, Some(EditForm::Blocks));
    let edited = errands.edit_files(request).finish().await.remove(0);
    let is_led = match &edited.outcome {
        EditOutcome::Changed { .. } => true,
        EditOutcome::Failed(fault) => fault.name() != "not_found",
        EditOutcome::Unchanged => false,
    };
    assert!(is_led, "{edited:?}");
    let right = "<<<<<<< SEARCH\nThe old line.\n=======\nThe new line.\n>>>>>>> REPLACE\n";
    let errands = super::errands(model(|_| right.to_owned()));
    let request = edit("Say new instead of old.", &files, Some(EditForm::Blocks));
    let edited = errands.edit_files(request).finish().await.remove(0);
    let EditOutcome::Changed { text, .. } = edited.outcome else { panic!("{edited:?}") };
    assert_eq!(text, "# Notes\n\nThe new line.\n");
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_refused_and_not_cut() {
    let files = files(&[("notes.md", &"line\n".repeat(400))]);
    let mut model = model(|_| String::new());
    model.description.context_length = 2_000;
    let request = edit("Say new instead of old.", &files, None);
    let edited = errands(model).edit_files(request).finish().await.remove(0);
    let EditOutcome::Failed(fault) = edited.outcome else { panic!("{edited:?}") };
    assert_eq!((fault.name(), edited.evidence.n_answers), ("too_long", 0));
}

#[tokio::test]
async fn a_cancel_ends_all_files_at_once() {
    let files = files(&[("a.py", CODE), ("b.py", CODE), ("c.py", CODE)]);
    let mut model = model(|_| block(&"x = 1\n".repeat(1_000)));
    let gate = model.gate();
    let mut request = edit("Fix `add`.", &files, None);
    request.effort.n_parallel = 2;
    let mut errand = errands(model).edit_files(request);
    let gate = one_step(gate).await;
    errand.cancel();
    drop(gate);
    let mut n_finished = 0;
    while let Some(event) = errand.next().await {
        if let Event::Finished { result, .. } = event {
            let EditOutcome::Failed(fault) = result.outcome else { panic!("{:?}", result.outcome) };
            assert_eq!(fault.name(), "cancelled");
            n_finished += 1;
        }
    }
    assert_eq!(n_finished, 3);
}

#[tokio::test]
async fn progress_tells_the_file_and_its_tokens() {
    let files = files(&[("a.py", CODE), ("b.py", CODE)]);
    let errands = errands(model(|_| block("def add(a, b):\n    return a + b\n")));
    let mut errand = errands.edit_files(edit("Fix `add`.", &files, None));
    let mut n_tokens = [0, 0];
    while let Some(event) = errand.next().await {
        match event {
            Event::Progress(progress) => {
                assert!(progress.n_tokens >= n_tokens[progress.item]);
                assert_eq!(progress.stage, Stage::Answer { attempt: 1 });
                n_tokens[progress.item] = progress.n_tokens;
            }
            Event::Finished { item, result } => {
                // The end token is not text.
                assert!(n_tokens[item] + 1 >= result.evidence.generated_tokens && n_tokens[item] > 0);
            }
        }
    }
}
