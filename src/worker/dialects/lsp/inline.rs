//! `textDocument/inlineCompletion`: suggests text at the cursor.
//!
//! What happens in everyday use is never an error: the answer is then `null`, and the reason is in a [`Report`].

use std::sync::Arc;

use gen_lsp_types::InlineCompletionList;
use runabout_rpc::{CancelledBy, ErrorObject, ErrorObjectOwned, Params, RequestContext};

use super::documents::Asker;
use super::incoming;
use super::report::{Nothing, OutcomeKind, Reason, Report};
use super::session::Session;
use super::suggest::{Offered, prepare, suggest};

/// LSP's error for a request that the client has cancelled.
const REQUEST_CANCELLED: i32 = -32800;

pub(super) async fn answer(
    params: Params<'static>,
    session: Arc<Session>,
    request: RequestContext,
) -> Result<Option<InlineCompletionList>, ErrorObjectOwned> {
    let mut params: incoming::InlineCompletion = incoming::read(&params)?;
    let mut report = Report { uri: params.text_document.uri.clone(), ..Report::default() };
    let token = params.partial_result_token.take();
    session.settings_known().await;
    let offered = match prepare(params, Asker::Inline, &session) {
        Ok(asked) => {
            report.version = asked.place.version;
            suggest(asked, &session, &request, token).await
        }
        Err(nothing) => Err(nothing),
    };
    let answer = match offered {
        Ok(Offered { items, figures }) => {
            report.outcome = OutcomeKind::Offered;
            report.figures = figures;
            Ok(Some(InlineCompletionList { items }))
        }
        Err(Nothing { reason: Reason::Cancelled, .. })
            if request.cancelled_by() == Some(CancelledBy::CancelRequest) =>
        {
            report.reason = Some(Reason::Cancelled);
            Err(ErrorObject::owned(REQUEST_CANCELLED, "request cancelled", None::<()>))
        }
        Err(Nothing { reason, message, figures }) => {
            report = Report { reason: Some(reason), message: Some(message), figures: *figures, ..report };
            Ok(None)
        }
    };
    session.report(&request, report).await;
    answer
}
