//! Tests of the assistant with a scripted model: the guarantees that every dialect relies on.
#![allow(clippy::unwrap_used)]

mod next_edit;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runabout_engine::EngineOptions;
use runabout_engine::scripted::{Gate, Recording, ScriptedModel, bytes};
use runabout_text::{FimFormat, SamplingDefaults};
use tokio::time::timeout;

use super::*;

/// Longer than any test takes that passes.
const TIMEOUT: Duration = Duration::from_mins(5);

fn facts() -> Facts {
    let tokenizer = ScriptedModel::hashing().loaded().tokenizer;
    Facts {
        name: "scripted".to_owned(),
        fim: FimFormat::detect(&tokenizer),
        tokenizer,
        defaults: SamplingDefaults::default(),
    }
}

fn assistant(model: ScriptedModel) -> Assistant {
    let load = |_: &mut dyn FnMut(LoadProgress)| Ok(model.loaded().models);
    let model = ModelHandle::spawn(EngineOptions::default(), |_| Ok((|| Ok(facts()), load))).unwrap();
    Assistant::new(model, Arc::new(HeldTexts::new(u64::MAX)), Limits::default())
}

/// What would read the facts and load the weights of a model that is not found.
type Read = fn() -> Result<Facts, LoadError>;
type Load = fn(&mut dyn FnMut(LoadProgress)) -> Result<Models, LoadError>;

/// An assistant whose model loads until the sender is dropped, and then fails.
fn loading() -> (Assistant, std::sync::mpsc::Sender<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let model = ModelHandle::spawn(EngineOptions::default(), move |_| {
        let _ = receiver.recv();
        let failed = LoadError::Failed { message: "no such model".to_owned() };
        Err::<(Read, Load), _>(failed)
    });
    (Assistant::new(model.unwrap(), Arc::new(HeldTexts::new(u64::MAX)), Limits::default()), sender)
}

fn raw(prompt: &str, max_tokens: u32) -> Completion {
    Completion {
        prefix: prompt.to_owned(),
        form: Form::Raw,
        path: None,
        document: None,
        n_choices: 1,
        generation: Generation::of(max_tokens, Priority::Interactive),
        min_confidence: 0.0,
        needs_tokens: false,
    }
}

fn in_document(prompt: &str) -> Completion {
    Completion { document: Some("a".to_owned()), ..raw(prompt, 16) }
}

/// Follows a run to its end. Returns the texts by choice, and the outcome.
async fn finish(mut run: Run) -> Result<(Vec<String>, Outcome), Error> {
    let mut texts = Vec::new();
    loop {
        let update =
            timeout(TIMEOUT, run.next()).await.expect("an update in time").expect("the stream goes on");
        match update? {
            Update::Prefill { .. } | Update::Reasoning { .. } => {}
            Update::Text { choice, text, .. } => {
                assert!(!text.is_empty());
                texts.resize(texts.len().max(choice as usize + 1), String::new());
                texts[choice as usize].push_str(&text);
            }
            Update::Done(outcome) => {
                assert!(run.next().await.is_none(), "nothing comes after the end");
                return Ok((texts, outcome));
            }
        }
    }
}

/// Lets the model take one step, which computes the prompt and draws the first token. The next step waits.
async fn one_step(gate: Gate) -> Gate {
    let passed = tokio::task::spawn_blocking(move || {
        gate.pass();
        gate
    });
    passed.await.unwrap()
}

/// The number of tokens that the model was fed.
fn n_fed(recording: &Recording) -> usize {
    recording.spans().iter().map(|it| it.tokens.len()).sum()
}

#[tokio::test]
async fn the_texts_of_each_choice_are_its_finish() {
    let assistant = assistant(ScriptedModel::hashing());
    let run = assistant.complete(Completion { n_choices: 3, ..raw("fn f", 5) }).unwrap();
    let (texts, outcome) = finish(run).await.unwrap();
    let finishes: Vec<_> = outcome.finishes.iter().map(|it| it.text.clone()).collect();
    assert_eq!(texts, finishes);
    assert_eq!(finishes.len(), 3);
    assert!(outcome.tokenizer.is_some());
}

/// Completes at the end of a prefix that grows key by key. Returns the tokens of each prompt, and how many of them were
/// computed.
async fn type_in(model: ScriptedModel, file: &str, keys: &str) -> Vec<(usize, usize)> {
    let assistant = assistant(model);
    let mut counts = Vec::new();
    for n_typed in 0..=keys.len() {
        let at_cursor = AtCursor { suffix: Some("\n}\n".repeat(20)), ..AtCursor::default() };
        let completion = Completion {
            form: Form::AtCursor(at_cursor),
            path: Some("main.rs".to_owned()),
            ..in_document(&format!("{file}{}", &keys[..n_typed]))
        };
        let (_, outcome) = finish(assistant.complete(completion).unwrap()).await.unwrap();
        let usage = outcome.finishes[0].usage;
        counts.push((usage.prompt_tokens, usage.prompt_tokens - usage.cached_tokens));
    }
    counts
}

#[tokio::test]
async fn typing_computes_hardly_anything_again_even_if_slots_return_to_checkpoints_only() {
    let line = "    let total = items.iter().map(|it| it.price).sum();\n";
    let file = line.repeat(60);
    for model in [ScriptedModel::hashing(), ScriptedModel::hashing().with_checkpoints_only()] {
        let counts = type_in(model, &file, &line.repeat(2)[..100]).await;
        for (n_prompt, n_computed) in &counts[1..] {
            assert!(n_computed * 100 <= n_prompt * 3, "{n_computed} of {n_prompt}: {counts:?}");
        }
    }
}

#[tokio::test]
async fn a_conversation_goes_on_from_its_last_message_if_slots_return_to_checkpoints_only() {
    let assistant = assistant(ScriptedModel::saying("Sure.").with_checkpoints_only());
    let ask = async |messages: &[&str]| {
        let messages = messages.iter().enumerate().map(|(idx, it)| match idx % 2 {
            0 => Message::user(*it),
            _ => Message::assistant(*it),
        });
        let run = assistant.chat(Conversation {
            messages: messages.collect(),
            tools: ToolUse::default(),
            template_variables: TemplateVariables::new(),
            generation: Generation::of(64, Priority::Background),
        });
        finish(run.unwrap()).await.unwrap().1.finishes[0].usage
    };
    let question = "What is a slot, and what is it good for? ".repeat(4);
    let first = ask(&[&question]).await;
    assert_eq!(first.cached_tokens, 0);
    let second = ask(&[&question, "Sure.", "And now?"]).await;
    assert!(second.cached_tokens >= first.prompt_tokens + "Sure.".len(), "{second:?}");
    // The answer is not what the model said, so the conversation returns to the message before it.
    let other = ask(&[&question, "No.", "And now?"]).await;
    let n_turn = "<\nassistant\n".len();
    assert!(other.cached_tokens + n_turn >= first.prompt_tokens, "{other:?} after {first:?}");
}

#[tokio::test]
async fn a_message_is_answered_from_what_has_begun_up_to_any_token_that_ends_it() {
    let assistant = assistant(ScriptedModel::saying("Sure, why not?"));
    let ask = async |begun: Option<&str>, end_tokens: &[&str]| {
        let to = ToModel { begun: begun.map(str::to_owned), ..ToModel::default() };
        let generation = Generation {
            end_tokens: end_tokens.iter().map(|it| (*it).to_owned()).collect(),
            ..Generation::of(64, Priority::Interactive)
        };
        let message = Completion { form: Form::Message(to), generation, ..raw("hi", 64) };
        finish(assistant.complete(message).unwrap()).await.map(|it| it.1.finishes[0].clone())
    };
    let plain = ask(None, &[]).await.unwrap();
    assert_eq!(plain.text, "Sure, why not?");
    let begun = ask(Some("Well. "), &[]).await.unwrap();
    assert_eq!(begun.usage.prompt_tokens, plain.usage.prompt_tokens + "Well. ".len());
    assert_eq!(begun.text, plain.text, "what has begun is not part of the text");
    let ended = ask(None, &[","]).await.unwrap();
    assert_eq!((ended.text.as_str(), ended.reason), ("Sure", FinishReason::Eos));
    assert!(
        matches!(ask(None, &["no such token"]).await, Err(Error::UnknownEndToken { name }) if name == "no such token")
    );
}

#[tokio::test]
async fn a_conversation_is_answered() {
    let assistant = assistant(ScriptedModel::saying("Sure."));
    let run = assistant.chat(Conversation {
        messages: vec![Message::user("hi")],
        tools: ToolUse::default(),
        template_variables: TemplateVariables::new(),
        generation: Generation::of(64, Priority::Background),
    });
    let (texts, outcome) = finish(run.unwrap()).await.unwrap();
    assert_eq!((texts.concat().as_str(), outcome.finishes[0].reason), ("Sure.", FinishReason::Eos));
}

#[tokio::test]
async fn a_cancelled_run_ends_with_the_text_so_far() {
    let mut model = ScriptedModel::hashing();
    let gate = model.gate();
    let assistant = assistant(model);
    let mut run = assistant.complete(raw("fn f", 1000)).unwrap();
    let first = tokio::spawn(async move { (run.next().await.unwrap().unwrap(), run) });
    let gate = one_step(gate).await;
    let (update, mut run) = first.await.unwrap();
    let Update::Text { text: mut so_far, .. } = update else { panic!("not a text: {update:?}") };
    run.cancel();
    drop(gate);
    let (texts, outcome) = finish(run).await.unwrap();
    so_far.push_str(&texts.concat());
    assert_eq!(outcome.finishes[0].reason, FinishReason::Cancelled);
    assert_eq!(outcome.finishes[0].text, so_far);
}

#[tokio::test]
async fn a_cancel_counts_although_the_prompt_is_ready_by_then() {
    for _ in 0..32 {
        let mut model = ScriptedModel::hashing();
        let gate = model.gate();
        let assistant = assistant(model);
        // The model is ready then, so that the prompt is encoded at once.
        assistant.tokenize(Tokenize::Text("x".to_owned())).await.unwrap();
        let mut run = assistant.complete(raw("fn f", 1000)).unwrap();
        let early = run.next().now_or_never();
        assert!(early.is_none(), "no text before the model's first step");
        // Another thread encodes the prompt meanwhile, most of the times.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        run.cancel();
        drop(gate);
        let (_, outcome) = finish(run).await.unwrap();
        assert_eq!(outcome.finishes[0].reason, FinishReason::Cancelled);
    }
}

#[tokio::test]
async fn a_dropped_run_leaves_the_engine() {
    let mut model = ScriptedModel::hashing();
    let (recording, gate) = (model.recording(), model.gate());
    let assistant = assistant(model);
    let mut run = assistant.complete(raw("fn f", 3000)).unwrap();
    let first = tokio::spawn(async move { (run.next().await, run) });
    let gate = one_step(gate).await;
    drop(first.await.unwrap());
    drop(gate);
    let engine = assistant.model().engine();
    timeout(TIMEOUT, async {
        while engine.status().n_running > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the dropped run's job ends");
    assert!(n_fed(&recording) < 100, "it ends at once, not after its 3,000 tokens");
}

#[tokio::test]
async fn a_run_can_end_before_the_model_is_ready() {
    let (assistant, _loading) = loading();
    let mut run = assistant.complete(raw("fn f", 4)).unwrap();
    run.cancel();
    let (_, cancelled) = finish(run).await.unwrap();
    assert_eq!(cancelled.finishes[0].reason, FinishReason::Cancelled);
    let mut hurried = raw("fn f", 4);
    hurried.generation.time_budget = Some(Duration::from_millis(1));
    let (_, over) = finish(assistant.complete(hurried).unwrap()).await.unwrap();
    assert_eq!(over.finishes[0].reason, FinishReason::Budget);
    let older = assistant.complete(in_document("x")).unwrap();
    let _newer = assistant.complete(in_document("x = 1")).unwrap();
    let (_, superseded) = finish(older).await.unwrap();
    assert_eq!(superseded.finishes[0].reason, FinishReason::Superseded);
    assert!(superseded.tokenizer.is_none());
}

#[tokio::test]
async fn a_model_that_fails_to_load_fails_every_request() {
    let (assistant, loading) = loading();
    let waiting = assistant.complete(raw("fn f", 4)).unwrap();
    drop(loading);
    for run in [waiting, assistant.complete(raw("fn f", 4)).unwrap()] {
        let error = finish(run).await.unwrap_err();
        assert!(matches!(error, Error::Job(JobError::LoadFailed { .. })), "{error}");
    }
    let error = assistant.tokenize(Tokenize::Text("x".to_owned())).await.unwrap_err();
    assert!(matches!(error, Error::Job(JobError::LoadFailed { .. })), "{error}");
}

#[tokio::test]
async fn after_typing_what_was_suggested_the_rest_is_not_computed_again() {
    let model = ScriptedModel::saying(" = 1;");
    let recording = model.recording();
    let assistant = assistant(model);
    finish(assistant.complete(in_document("let x")).unwrap()).await.unwrap();
    let before = n_fed(&recording);
    let (texts, outcome) = finish(assistant.complete(in_document("let x =")).unwrap()).await.unwrap();
    assert_eq!((texts.concat().as_str(), outcome.finishes[0].text.as_str()), (" 1;", " 1;"));
    assert_eq!(n_fed(&recording), before);
}

#[tokio::test]
async fn the_rest_of_a_text_has_the_confidence_of_its_own_tokens() {
    let assistant = assistant(ScriptedModel::saying(" = 1;").with_logprobs(|_, _| -0.25));
    let confidence = |outcome: &Outcome| outcome.finishes[0].likelihood.confidence();
    let (_, whole) = finish(assistant.complete(in_document("let x")).unwrap()).await.unwrap();
    assert_eq!(confidence(&whole), Some((-5.0_f64 / 4.0).exp()));
    let (_, rest) = finish(assistant.complete(in_document("let x =")).unwrap()).await.unwrap();
    assert_eq!(confidence(&rest), Some((-3.0_f64 / 4.0).exp()));
}

#[tokio::test]
async fn an_unlikely_text_is_withheld_and_no_later_completion_continues_it() {
    let model = ScriptedModel::saying(" = 1;").with_logprobs(|_, _| -0.25);
    let recording = model.recording();
    let assistant = assistant(model);
    let withheld = Completion { min_confidence: 0.5, ..in_document("let x") };
    let (texts, outcome) = finish(assistant.complete(withheld.clone()).unwrap()).await.unwrap();
    assert!(texts.is_empty());
    assert_eq!(
        (outcome.finishes[0].text.as_str(), outcome.finishes[0].reason),
        ("", FinishReason::LowConfidence)
    );
    let before = n_fed(&recording);
    let typed = Completion { prefix: "let x =".to_owned(), ..withheld };
    let (_, outcome) = finish(assistant.complete(typed).unwrap()).await.unwrap();
    assert_eq!(outcome.finishes[0].reason, FinishReason::LowConfidence);
    assert!(n_fed(&recording) > before, "it is computed anew");
}

#[tokio::test]
async fn two_clients_have_separate_documents() {
    let (assistant, _loading) = loading();
    let mut one = in_document("x");
    one.generation.time_budget = Some(Duration::from_millis(300));
    let one = assistant.complete(one).unwrap();
    let _another = assistant.for_another_client().complete(in_document("y")).unwrap();
    let (_, outcome) = finish(one).await.unwrap();
    assert_eq!(outcome.finishes[0].reason, FinishReason::Budget, "otherwise it would have been superseded");
}

#[tokio::test]
async fn warming_computes_the_prompt_and_generates_no_text() {
    let model = ScriptedModel::hashing();
    let recording = model.recording();
    let assistant = assistant(model);
    let run = assistant.warm(Warm::Completion(raw("fn main", 16))).unwrap();
    let (texts, _) = finish(run).await.unwrap();
    assert!(texts.is_empty());
    assert_eq!(n_fed(&recording), bytes("fn main").len());
    let (_, outcome) = finish(assistant.complete(raw("fn main", 1)).unwrap()).await.unwrap();
    assert_eq!(outcome.finishes[0].usage.cached_tokens, bytes("fn main").len() - 1);
}

#[tokio::test]
async fn a_completion_that_cannot_wait_sees_the_text_near_the_cursor() {
    let assistant = assistant(ScriptedModel::hashing());
    let line = "let a = 1;\n";
    // Few enough for the context of this model, of which each byte is a token.
    let n_lines = (2 * NEAR_PREFIX_BYTES + 128) / line.len();
    let completion = |patience| {
        let at = AtCursor { suffix: Some(line.to_owned()), patience, ..AtCursor::default() };
        Completion { prefix: line.repeat(n_lines) + "let b", form: Form::AtCursor(at), ..raw("", 1) }
    };
    let (_, near) = finish(assistant.complete(completion(Some(Duration::ZERO))).unwrap()).await.unwrap();
    let run = assistant.warm(Warm::Completion(completion(Some(Duration::ZERO)))).unwrap();
    let (_, warmed) = finish(run).await.unwrap();
    let (_, whole) = finish(assistant.complete(completion(None)).unwrap()).await.unwrap();
    let usage = |it: &Outcome| it.finishes[0].usage;
    let n_whole = usage(&whole).prompt_tokens;
    assert_eq!((usage(&whole).left_out_tokens, usage(&warmed).prompt_tokens), (0, n_whole));
    assert_eq!(usage(&near).prompt_tokens + usage(&near).left_out_tokens, n_whole);
    assert!(2 * usage(&near).prompt_tokens <= n_whole, "{:?}", usage(&near));
    assert_eq!((near.trimmed.prefix_chars, whole.trimmed.prefix_chars), (usage(&near).left_out_tokens, 0));
}

#[tokio::test]
async fn many_empty_parts_count_as_memory() {
    let (loading, _sender) = loading();
    let held = Arc::new(HeldTexts::new(40_000));
    let assistant = Assistant::new(loading.model().clone(), held, Limits::default());
    let mut request = raw("", 4);
    let empty = ContextFile { path: String::new(), text: String::new() };
    request.form = Form::AtCursor(AtCursor { context: vec![empty; 600], ..AtCursor::default() });
    let _waiting = assistant.complete(request.clone()).unwrap();
    assert!(matches!(assistant.complete(request), Err(Error::NoRoom { .. })));
}

#[tokio::test]
async fn a_parameter_out_of_range_is_refused_before_the_run_begins() {
    let (assistant, _loading) = loading();
    let limited = |change: fn(&mut Completion)| {
        let mut request = raw("x", 4);
        change(&mut request);
        match assistant.complete(request) {
            Err(Error::OutOfRange { what, min, max, got }) => (what, min, max, got),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was begun"),
        }
    };
    assert_eq!(limited(|it| it.n_choices = 9), (Limited::Choices, 1, 8, 9));
    assert_eq!(limited(|it| it.generation.max_tokens = 0), (Limited::MaxTokens, 1, 8192, 0));
    assert_eq!(limited(|it| it.generation.top_logprobs = Some(21)), (Limited::TopLogprobs, 0, 20, 21));
    let no_time = |it: &mut Completion| it.generation.time_budget = Some(Duration::ZERO);
    assert_eq!(limited(no_time), (Limited::TimeBudget, 1, u64::MAX, 0));
    assert_eq!(
        limited(|it| it.generation.stop = vec!["x".to_owned(); 17]),
        (Limited::StopStrings, 0, 16, 17)
    );
    let stop = |it: &mut Completion| it.generation.stop = vec!["x".to_owned(), String::new()];
    assert_eq!(limited(stop), (Limited::StopString(1), 1, 1024, 0));
}

#[tokio::test]
async fn a_conversation_must_have_messages_with_content() {
    let (assistant, _loading) = loading();
    let chat = |messages| {
        let request = Conversation {
            messages,
            tools: ToolUse::default(),
            template_variables: TemplateVariables::new(),
            generation: Generation::of(4, Priority::Background),
        };
        assistant.chat(request).err().expect("it is refused")
    };
    assert!(matches!(chat(Vec::new()), Error::NoMessages));
    let empty = Message { content: None, ..Message::user("") };
    assert!(matches!(chat(vec![Message::user("x"), empty]), Error::EmptyMessage { index: 1 }));
    let empty = Message { content: None, ..Message::user("") };
    let request = Tokenize::Conversation {
        messages: vec![empty],
        tools: Vec::new(),
        template_variables: TemplateVariables::new(),
    };
    assert!(matches!(assistant.tokenize(request).await, Err(Error::EmptyMessage { index: 0 })));
}

#[tokio::test]
async fn a_prompt_without_tokens_is_refused() {
    let assistant = assistant(ScriptedModel::hashing());
    let error = finish(assistant.complete(raw("", 4)).unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::EmptyPrompt), "{error}");
}

#[tokio::test]
async fn tokens_are_counted() {
    let assistant = assistant(ScriptedModel::hashing());
    assert_eq!(assistant.tokenize(Tokenize::Text("abc".to_owned())).await.unwrap(), bytes("abc"));
}
