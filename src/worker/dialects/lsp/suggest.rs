//! Suggests text at a cursor: [`prepare`] reads the document, [`suggest`] generates the text.
//!
//! Clients ask at every keystroke. A newer request for a document supersedes the older one; the worker waits before it
//! begins, where that is worth it; and a text of which the beginning was typed is continued.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gen_lsp_types::{InlineCompletionItem, ProgressToken};
use runabout_assist::{Completion, FinishReason, Outcome, Priority, Run, Sampling, State, Update};
use runabout_rpc::{CancelledBy, RequestContext};

use super::at_cursor::Place;
use super::documents::{Asker, Turn};
use super::items::{Items, Progress};
use super::report::{Figures, Nothing, Reason, first_upper};
use super::session::Session;
use super::settings::Settings;
use super::suggestion::{Suggestion, follow, linger};
use super::{idle, incoming, state};
use crate::dialects::rounding::rounded;

/// The temperature and the top-p of the other texts: how far they may stray from the most likely one.
const ALTERNATIVES: (f32, f32) = (0.8, 0.95);

/// A request, with what it needs to begin.
pub(super) struct Asked {
    pub(super) place: Place,
    completion: Completion,
    asker: Asker,
    turn: Turn,
    suggestion: Arc<Suggestion>,
    settings: Arc<Settings>,
    is_invoked: bool,
    /// Whether the text typed since the last suggestion is what that suggested.
    is_continuing: bool,
    arrived: Instant,
}

/// What is offered, the most likely first.
pub(super) struct Offered {
    pub(super) items: Vec<InlineCompletionItem>,
    pub(super) figures: Figures,
}

/// Reads the document and makes this the newest request for it. Runs in the order of the client's messages.
pub(super) fn prepare(
    params: incoming::InlineCompletion,
    asker: Asker,
    session: &Session,
) -> Result<Asked, Nothing> {
    let arrived = Instant::now();
    let is_invoked = session.is_invoked(&params.context.trigger_kind);
    let (settings, size) = (session.settings(), session.window_size());
    let encoding = session.agreement().map(|it| it.encoding).unwrap_or_default();
    let uri = params.text_document.uri;
    let mut documents = session.documents();
    let Some(open) = documents.get(&uri) else {
        return Err(Nothing::because(
            Reason::UnknownDocument,
            "The editor has not opened this document here.",
        ));
    };
    let turn = open.take_turn(asker);
    if !is_invoked && !settings.suggests_in(&open.document.language) {
        let message = "Automatic suggestions are switched off here.";
        return Err(Nothing::because(Reason::Disabled, message));
    }
    match session.client.assistant.model().engine().state() {
        State::Ready(_) => {}
        State::Loading(progress) => {
            return Err(Nothing::because(Reason::Loading, state::sentence(&progress)));
        }
        State::Failed(error) => {
            return Err(Nothing::because(Reason::Failed, first_upper(&error.to_string())));
        }
    }
    let cursor = encoding.char_at(&open.document.text, params.position);
    let selected = params.context.selected_completion_info;
    let place = Place::at(uri, &open.document, cursor, selected, encoding, size);
    let context = place.context(&settings, &mut session.project(), size);
    let mut completion = place.completion(context, &settings, &session.workspace(), Priority::Interactive);
    if asker == Asker::List {
        // It must not supersede an inline completion, nor be continued by one.
        completion.document = None;
    }
    let suggestion = Suggestion::of(completion.clone());
    let before = documents.suggest(&place.uri, asker, &suggestion);
    let is_continuing = before.as_ref().is_some_and(|it| it.contains(&completion));
    if let Some(before) = before.as_ref().filter(|_| is_continuing) {
        suggestion.continue_from(before);
    }
    if let Some(before) = before.filter(|it| !it.may_contain(&completion)) {
        before.abandon();
    }
    Ok(Asked { place, completion, asker, turn, suggestion, settings, is_invoked, is_continuing, arrived })
}

/// Generates the text, and others if the person has asked.
pub(super) async fn suggest(
    asked: Asked,
    session: &Arc<Session>,
    request: &RequestContext,
    token: Option<ProgressToken>,
) -> Result<Offered, Nothing> {
    let Asked {
        place,
        completion,
        asker,
        mut turn,
        suggestion,
        settings,
        is_invoked,
        is_continuing,
        arrived,
    } = asked;
    let wait = if is_invoked || is_continuing { Duration::ZERO } else { session.rhythm().wait() };
    if !wait.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = turn.superseded() => return Err(superseded()),
            _ = request.cancelled() => return Err(cancelled()),
        }
    }
    let following = completion.clone();
    let n_others = if is_invoked { settings.alternatives.saturating_sub(1) } else { 0 };
    let others = alternatives(&completion, n_others, session);
    let mut run = session.client.assistant.complete(completion).map_err(|it| Nothing::from_error(&it))?;

    let grows = token.is_some() && session.agreement().is_some_and(|it| it.takes_growing_items);
    let progress = token.map(|token| Progress { token, request });
    let newest = turn.clone();
    let items = Items::new(session, &place, &suggestion, progress, n_others > 0);
    let first = async {
        let outcome = loop {
            match follow(&mut run, &suggestion).await.map_err(|it| Nothing::from_error(&it))? {
                Some(outcome) => break outcome,
                None if grows && (is_invoked || suggestion.suffices(settings.min_confidence)) => {
                    items.grow().await;
                }
                None => {}
            }
        };
        if !is_continuing {
            session.rhythm().completed(&outcome);
            session.computed_prompt(&outcome);
        }
        if outcome.finishes.iter().any(|it| it.usage.left_out_tokens > 0) {
            idle::warm_whole(Arc::clone(session), following.clone(), newest.clone());
        }
        let (text, figures) = check(outcome, &suggestion, &settings, is_invoked, arrived)?;
        items.add(0, &text).await;
        Ok((text, figures))
    };
    let others = async {
        let mut others = others;
        while let Some((idx, text)) = others.next().await {
            items.add(idx, &text).await;
        }
    };
    let (text, figures) = tokio::select! {
        (first, ()) = async { tokio::join!(first, others) } => first?,
        () = turn.superseded() => {
            if asker == Asker::Inline {
                linger(run, suggestion);
            }
            return Err(superseded());
        }
        by = request.cancelled() => {
            if asker == Asker::Inline && by != CancelledBy::End {
                linger(run, suggestion);
            }
            return Err(cancelled());
        }
    };
    let items = items.into_vec();
    if settings.ahead && asker == Asker::Inline {
        idle::ahead(Arc::clone(session), following, &text, turn);
    }
    Ok(Offered { items, figures })
}

/// The text of an outcome, unless it is not to be offered.
fn check(
    mut outcome: Outcome,
    suggestion: &Suggestion,
    settings: &Settings,
    is_invoked: bool,
    arrived: Instant,
) -> Result<(String, Figures), Nothing> {
    let mut figures = Figures::of(&outcome, arrived.elapsed());
    let finish = outcome.finishes.remove(0);
    figures.confidence = suggestion.confidence().map(rounded);
    let nothing = |reason, message: &str| {
        Err(Nothing { figures: Box::new(figures.clone()), ..Nothing::because(reason, message) })
    };
    match finish.reason {
        FinishReason::Superseded => return Err(superseded()),
        FinishReason::Cancelled => return Err(cancelled()),
        _ => {}
    }
    if finish.text.trim().is_empty() {
        return nothing(Reason::Empty, "The model has nothing to add here.");
    }
    if !is_invoked && !suggestion.suffices(settings.min_confidence) {
        return nothing(Reason::LowConfidence, "The model is not sure enough of its suggestion.");
    }
    Ok((finish.text, figures))
}

/// Less likely texts for the same place, with their numbers, as they come. What fails is left out.
fn alternatives(
    completion: &Completion,
    n_others: u32,
    session: &Session,
) -> FuturesUnordered<impl Future<Output = (usize, String)> + use<>> {
    let others = FuturesUnordered::new();
    for idx in 1..=n_others {
        let mut other = completion.clone();
        // It supersedes nothing and is continued by nothing.
        other.document = None;
        let (temperature, top_p) = ALTERNATIVES;
        other.generation.sampling = Sampling {
            temperature: Some(temperature),
            top_p: Some(top_p),
            seed: Some(idx.into()),
            ..Sampling::default()
        };
        let run = session.client.assistant.complete(other);
        others.push(async move {
            let text = match run {
                Ok(run) => text_of(run).await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            (idx as usize, text)
        });
    }
    others
}

async fn text_of(mut run: Run) -> Option<String> {
    while let Some(update) = run.next().await {
        if let Update::Done(mut outcome) = update.ok()? {
            return Some(outcome.finishes.remove(0).text);
        }
    }
    None
}

fn superseded() -> Nothing {
    Nothing::because(Reason::Superseded, "A newer request for this document took over.")
}

fn cancelled() -> Nothing {
    Nothing::because(Reason::Cancelled, "The editor no longer wants the suggestion.")
}
