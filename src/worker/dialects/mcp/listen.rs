//! `subscriptions/listen`: a stream of notifications, of which this server has none to send. It stays open until the
//! client withdraws it or the connection ends.

use runabout_rpc::{CancelledBy, ErrorObjectOwned, Params, RequestContext};
use serde_json::{Value, json};

use super::era::Meta;

pub(super) async fn answer(
    params: Params<'static>,
    request: RequestContext,
) -> Result<Value, ErrorObjectOwned> {
    let era = Meta::of(&params)?.era;
    let meta = json!({"io.modelcontextprotocol/subscriptionId": request.id()});
    // None of the notifications that the client may have asked for exists here.
    let acknowledgement = json!({"_meta": meta, "notifications": {}});
    // Fails only if nobody listens any more.
    let _ = request.notify("notifications/subscriptions/acknowledged", &acknowledgement).await;
    if request.cancelled().await == CancelledBy::End {
        tracing::debug!(id = %request.id(), "the subscription ends with the connection");
    }
    Ok(era.result(json!({"_meta": meta})))
}
