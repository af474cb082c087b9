//! Tests of maps, reviews and written tests.

use super::*;

fn map(task: MapTask, files: &Files) -> MapFiles {
    MapFiles { task, instruction: None, files: files.snapshots.clone(), effort: Effort::default() }
}

#[tokio::test]
async fn results_come_in_the_order_of_the_files() {
    let files = files(&[("a.txt", "one"), ("b.txt", "two"), ("c.txt", "three")]);
    let errands = errands(model(|prompt| {
        let found = ["one", "two", "three"].into_iter().find(|it| prompt.contains(&format!("\n{it}\n")));
        format!("About {}.", found.unwrap())
    }));
    let mapped = errands.map_files(map(MapTask::Summarize, &files)).finish().await;
    let summaries: Vec<_> = mapped.into_iter().map(|it| it.value.unwrap()).collect();
    let expected = ["one", "two", "three"].map(|it| MapValue::Summary(format!("About {it}.")));
    assert_eq!(summaries, expected);
}

#[tokio::test]
async fn a_label_is_one_of_those_given() {
    let files = files(&[("a.log", "disk full")]);
    let errands = errands(model(|_| "warning: it is".to_owned()));
    let labels = ["error", "warning"].map(str::to_owned).to_vec();
    let mapped = errands.map_files(map(MapTask::Classify { labels }, &files)).finish().await.remove(0);
    let MapValue::Label { label, probability } = mapped.value.unwrap() else { panic!("no label") };
    // The scripted model is sure of each of its tokens.
    assert_eq!((label.as_str(), probability), ("warning", Some(1.0)));
}

#[tokio::test]
async fn extracted_values_follow_the_schema() {
    let schema = r#"{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
        "additionalProperties": false}"#;
    let files = files(&[("a.txt", "n is 7")]);
    let errands = errands(model(|_| "{\"n\": 7}".to_owned()));
    let task = MapTask::Extract { schema: schema.to_owned() };
    let mapped = errands.map_files(map(task, &files)).finish().await.remove(0);
    assert_eq!(mapped.value.unwrap(), MapValue::Json("{\"n\":7}".to_owned()));
    assert_eq!(mapped.evidence.schema_valid, Some(true));
}

#[tokio::test]
async fn a_schema_that_cannot_be_followed_is_named() {
    let files = files(&[("a.txt", "n is 7")]);
    let errands = errands(model(|_| "{}".to_owned()));
    for schema in ["{", "7", r#"{"type": "array", "uniqueItems": true}"#] {
        let task = MapTask::Extract { schema: schema.to_owned() };
        let mapped = errands.map_files(map(task, &files)).finish().await.remove(0);
        assert_eq!(mapped.value.unwrap_err().name(), "invalid_schema", "{schema}");
    }
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_cut_at_a_line_and_that_is_told() {
    let text = (0..2_000).fold(String::new(), |text, it| format!("{text}line {it}\n"));
    let files = files(&[("a.txt", &text), ("b.txt", "line 0\n")]);
    let mut model = model(|prompt| {
        let (_, shown) = prompt.split_once("line 0\n").unwrap();
        let (shown, _) = shown.split_once("```").unwrap();
        assert!(shown.is_empty() || shown.ends_with('\n'));
        format!("{} lines", shown.lines().count() + 1)
    });
    model.description.context_length = 4_000;
    let mapped = errands(model).map_files(map(MapTask::Summarize, &files)).finish().await;
    assert_eq!(mapped.iter().map(|it| it.evidence.is_input_truncated).collect::<Vec<_>>(), [true, false]);
    let Ok(MapValue::Summary(summary)) = &mapped[0].value else { panic!("{:?}", mapped[0]) };
    let n_lines: usize = summary.split(' ').next().unwrap().parse().unwrap();
    assert!((100..2_000).contains(&n_lines), "{n_lines}");
}

#[tokio::test]
async fn each_file_of_a_diff_is_reviewed() {
    let errands = errands(model(|prompt| {
        if prompt.contains("a.py") {
            r#"{"findings": [{"line": 1, "severity": "error", "note": "y is not defined"}]}"#.to_owned()
        } else {
            r#"{"findings": []}"#.to_owned()
        }
    }));
    let diff = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n--- a/b.py\n+++ b/b.py\n@@ -0,0 +1 @@\n+z\n";
    let request = ReviewDiff { diff: diff.to_owned(), instruction: None, effort: Effort::default() };
    let reviews = errands.review_diff(request).unwrap().finish().await;
    let note = "y is not defined".to_owned();
    assert_eq!(
        reviews[0].findings.as_ref().unwrap(),
        &[Finding { line: Some(1), severity: Severity::Error, note }]
    );
    assert!(reviews[1].findings.as_ref().unwrap().is_empty());
    let request = ReviewDiff { diff: "no diff".to_owned(), instruction: None, effort: Effort::default() };
    assert_eq!(errands.review_diff(request).unwrap_err().name(), "invalid_diff");
}

#[tokio::test]
async fn tests_are_a_new_file() {
    let files = files(&[("m.py", "def add(a, b):\n    return a + b\n")]);
    let code = "from m import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n";
    let errands = errands(model(move |_| format!("```python\n{code}```")));
    let request = WriteTests { files: files.snapshots.clone(), instruction: None, effort: Effort::default() };
    let written = errands.write_tests(request).finish().await.remove(0);
    let file = written.outcome.unwrap();
    assert_eq!((file.relative.as_str(), file.text.as_str()), ("tests/test_m.py", code));
    assert!(file.diff.contains("new file mode 100644\n--- /dev/null\n+++ b/tests/test_m.py\n"));
    assert_eq!(written.evidence.parse.unwrap().faults_before, None);
}
