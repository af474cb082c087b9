//! The next edit, with a scripted model.

use super::*;

const DOCUMENT: &str = "fn area(w: f64) -> f64 {\n    w * w\n}\n\nfn main() {\n    area(2.0);\n}\n";

/// A request with the cursor at the end of the first line.
fn request(document: &str) -> NextEdit {
    let at = document.find(['\r', '\n']).unwrap();
    NextEdit {
        prefix: document[..at].to_owned(),
        suffix: document[at..].to_owned(),
        path: Some("a.rs".to_owned()),
        language: None,
        context: Vec::new(),
        edits: vec![RecentEdit {
            path: None,
            original: "fn area(side: f64) -> f64 {\n".to_owned(),
            updated: "fn area(w: f64) -> f64 {\n".to_owned(),
            line: None,
        }],
        form: Some(NextEditForm::Rewrite(NextEditFormat::Sweep)),
        generation: Generation::of(1024, Priority::Interactive),
        min_confidence: 0.0,
    }
}

/// What the model that says this predicts.
async fn predicted(model: ScriptedModel, request: NextEdit) -> Prediction {
    let (run, reader) = assistant(model).next_edit(request).unwrap();
    let (_, outcome) = finish(run).await.unwrap();
    reader.read(&outcome)
}

/// The document as an editor would have it after the edits.
fn applied(document: &str, edits: &[TextEdit]) -> String {
    let mut chars: Vec<char> = document.chars().collect();
    for edit in edits.iter().rev() {
        chars.splice(edit.range.clone(), edit.text.chars());
    }
    chars.into_iter().collect()
}

/// What is fed to the model as text, with `|` for each control token.
fn prompt_of(recording: &Recording) -> String {
    let tokens = recording.spans().iter().flat_map(|it| it.tokens.clone()).collect::<Vec<_>>();
    let bytes: Vec<u8> = tokens.iter().map(|it| u8::try_from(*it).unwrap_or(b'|')).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_model_rewrites_the_lines_around_the_cursor() {
    for line_end in ["\n", "\r\n", "\r"] {
        let document = format!("// é\n{DOCUMENT}").replace('\n', line_end);
        let new = document.replace("w * w", &format!("w * w{line_end}        + 1.0")).replace("2.0", "3.0");
        let model = ScriptedModel::saying(&format!("\n{}", new.replace(line_end, "\n")));
        let recording = model.recording();
        let prediction = predicted(model, request(&document)).await;
        assert_eq!(prediction.edits.len(), 2, "{prediction:?}");
        assert_eq!(applied(&document, &prediction.edits), new, "{line_end:?}");
        assert_eq!(prediction.form, Some(NextEditForm::Rewrite(NextEditFormat::Sweep)));
        assert_eq!(prediction.reason, FinishReason::Eos);
        let prompt = prompt_of(&recording);
        assert!(
            prompt.starts_with("|a.rs.diff\noriginal:\nfn area(side: f64) -> f64 {\nupdated:\n"),
            "{prompt}"
        );
        assert!(prompt.contains("|original/a.rs\n// "), "{prompt}");
        assert!(prompt.contains("side: f64) -> f64 {\n    w * w\n"), "the lines before the edit: {prompt}");
    }
}

#[tokio::test]
async fn the_confidence_is_that_of_the_first_line_that_changes() {
    let new = DOCUMENT.replace("w * w", "w * h").replace("2.0", "3.0");
    let at = 1 + new.find('h').unwrap();
    let model = || {
        let said = format!("\n{new}");
        ScriptedModel::saying(&said).with_logprobs(move |_, n| if n == at { -1.0 } else { -0.01 })
    };
    let prediction = predicted(model(), request(DOCUMENT)).await;
    // The letter, and nothing after it in its line.
    assert_eq!(prediction.confidence, Some((-1.0_f64).exp()));
    assert_eq!(prediction.edits.len(), 2);
    let strict = NextEdit { min_confidence: 0.5, ..request(DOCUMENT) };
    let prediction = predicted(model(), strict).await;
    assert_eq!((prediction.edits.len(), prediction.reason), (0, FinishReason::LowConfidence));
    assert_eq!(prediction.confidence, Some((-1.0_f64).exp()));
}

#[tokio::test]
async fn an_answer_that_changes_nothing_or_is_cut_off_has_no_edits() {
    let prediction = predicted(ScriptedModel::saying(&format!("\n{DOCUMENT}")), request(DOCUMENT)).await;
    assert_eq!((prediction.edits.len(), prediction.confidence), (0, None));
    let new = DOCUMENT.replace("w: f64", "w: f64, h: f64");
    let mut short = request(DOCUMENT);
    short.generation.max_tokens = 40;
    let prediction = predicted(ScriptedModel::saying(&format!("\n{new}")), short).await;
    assert_eq!((prediction.edits.len(), prediction.reason), (0, FinishReason::Length));
    let mut longer = request(DOCUMENT);
    longer.generation.max_tokens = 60;
    let prediction = predicted(ScriptedModel::saying(&format!("\n{new}")), longer).await;
    assert_eq!(applied(DOCUMENT, &prediction.edits), new, "it is back at unchanged lines");
}

#[tokio::test]
async fn an_answer_without_an_end_is_ended() {
    let model = ScriptedModel::hashing();
    let (run, reader) = assistant(model).next_edit(request(DOCUMENT)).unwrap();
    let (_, outcome) = finish(run).await.unwrap();
    assert!(outcome.finishes[0].usage.completion_tokens < 3 * DOCUMENT.len());
    assert_eq!(reader.read(&outcome).edits, []);
}

#[tokio::test]
async fn a_model_that_fills_in_the_middle_inserts_at_the_latest_edit() {
    for line_end in ["\n", "\r\n"] {
        let document = "let a = 1;\nlet b\n\nprint(a);\n".replace('\n', line_end);
        let mut request = request(&document);
        // The cursor is elsewhere.
        (request.prefix, request.suffix) = (document.clone(), String::new());
        request.form = None;
        request.edits[0] = RecentEdit {
            path: None,
            original: "let c\n".to_owned(),
            updated: "let b\n".to_owned(),
            line: Some(1),
        };
        let model = ScriptedModel::new(|held, n_generated| {
            // The word at the place is generated again.
            let said = b"let b = 2;";
            let n_begun = (0..=said.len()).rev().find(|it| held.ends_with(&bytes("let b = 2;")[..*it]));
            let next = n_begun.and_then(|it| said.get(it)).map(|it| u32::from(*it));
            next.filter(|_| n_generated < 20).unwrap_or(runabout_engine::scripted::END)
        });
        let prediction = predicted(model.with_logprobs(|_, _| -0.1), request).await;
        assert_eq!(prediction.form, Some(NextEditForm::FillInTheMiddle));
        let new = document.replace("let b", "let b = 2;");
        assert_eq!(applied(&document, &prediction.edits), new, "{prediction:?}");
        assert!(prediction.confidence.is_some());
    }
}

#[tokio::test]
async fn a_form_that_the_model_does_not_know_is_refused() {
    let zeta = NextEdit { form: Some(NextEditForm::Rewrite(NextEditFormat::Zeta2)), ..request(DOCUMENT) };
    let (run, _) = assistant(ScriptedModel::hashing()).next_edit(zeta).unwrap();
    let error = finish(run).await.unwrap_err();
    assert!(matches!(error, Error::LacksTokens { format: "zeta-2" }), "{error}");

    let load = |_: &mut dyn FnMut(LoadProgress)| Ok(ScriptedModel::hashing().loaded().models);
    let without = Facts { fim: None, ..facts() };
    let model = ModelHandle::spawn(EngineOptions::default(), move |_| Ok((|| Ok(without), load))).unwrap();
    let assistant = Assistant::new(model, Arc::new(HeldTexts::new(u64::MAX)), Limits::default());
    for form in [None, Some(NextEditForm::FillInTheMiddle)] {
        let (run, _) = assistant.next_edit(NextEdit { form, ..request(DOCUMENT) }).unwrap();
        let error = finish(run).await.unwrap_err();
        assert!(matches!(error, Error::NoNextEdit), "{error}");
    }
}

#[tokio::test]
async fn a_request_that_ended_before_the_model_was_asked_has_no_edits() {
    let (assistant, _loading) = loading();
    let (mut run, reader) = assistant.next_edit(request(DOCUMENT)).unwrap();
    run.cancel();
    let (_, outcome) = finish(run).await.unwrap();
    let prediction = reader.read(&outcome);
    assert_eq!(
        (prediction.edits.len(), prediction.form, prediction.reason),
        (0, None, FinishReason::Cancelled)
    );
}

#[test]
fn every_form_has_a_name() {
    for name in ["sweep", "sweep-v2", "zeta-2", "zeta-2.1", "fill_in_the_middle"] {
        assert_eq!(NextEditForm::named(name).map(NextEditForm::name), Some(name));
    }
    assert_eq!(NextEditForm::named("auto"), None);
    assert_eq!(NextEditForm::of(&facts()), Some(NextEditForm::FillInTheMiddle));
    let sweep = Facts { name: "sweep-next-edit-0.5B".to_owned(), ..facts() };
    assert_eq!(NextEditForm::of(&sweep), Some(NextEditForm::Rewrite(NextEditFormat::Sweep)));
    let neither = Facts { fim: None, ..facts() };
    assert_eq!(NextEditForm::of(&neither), None);
}
