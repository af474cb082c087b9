//! What becomes of a suggestion after it was offered: shown, accepted, accepted in part, dismissed, kept.

use std::sync::Arc;
use std::time::Duration;

use runabout_rpc::{ErrorObjectOwned, Params};
use serde_json::Value;

use super::incoming::{self, ShownItem};
use super::offers::OfferId;
use super::session::Session;

/// How long an accepted text must stay unchanged to count as retained.
const RETAINED_AFTER: Duration = Duration::from_secs(30);

/// `textDocument/didShowCompletion`.
pub(super) fn did_show(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    let incoming::AboutItem { item, .. } = incoming::read(params)?;
    if let Some(id) = id_of(&item) {
        session.offers().shown(id);
    }
    Ok(())
}

/// `textDocument/didPartiallyAcceptCompletion`.
pub(super) fn did_partially_accept(
    params: &Params<'_>,
    session: &Arc<Session>,
) -> Result<(), ErrorObjectOwned> {
    let incoming::AboutItem { item, accepted_length } = incoming::read(params)?;
    if let Some(id) = id_of(&item) {
        session.offers().partially_accepted(id, accepted_length.unwrap_or(0));
    }
    Ok(())
}

/// The person accepted an offer in full.
pub(super) fn accepted(id: OfferId, session: &Arc<Session>) {
    let Some(offer) = session.offers().accepted(id) else { return };
    let session = Arc::downgrade(session);
    tokio::spawn(async move {
        tokio::time::sleep(RETAINED_AFTER).await;
        // The client may be gone by then, and the document may be closed.
        let Some(session) = session.upgrade() else { return };
        let is_retained =
            session.documents().get(&offer.uri).and_then(|it| it.document.still_has(id, &offer.text));
        if let Some(is_retained) = is_retained {
            session.offers().count(|it| {
                it.n_looked_at += 1;
                it.n_retained += u64::from(is_retained);
            });
        }
    });
}

/// The offer that an item belongs to.
fn id_of(item: &ShownItem) -> Option<OfferId> {
    let id = item.command.as_ref()?.arguments.first().and_then(Value::as_u64);
    if id.is_none() {
        tracing::debug!("the client names no suggestion of ours");
    }
    id
}
