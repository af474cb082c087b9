//! What the client is told while it waits for an answer: [`Updates`].

use agent_client_protocol_schema::v1::{
    ContentBlock, ContentChunk, MessageId, Notice, NoticeSeverity, SessionNotification, SessionUpdate,
    TextContent,
};
use runabout_rpc::{Handle, RequestContext};
use serde_json::{Value, json};

use super::agreement::Agreement;

const UPDATE: &str = "session/update";

/// Tells the client what happens in a session while a request of it is answered. Whatever is told comes before the
/// answer, or not at all.
#[derive(Clone, Debug)]
pub(super) struct Updates {
    request: RequestContext,
    session: String,
    shows_notices: bool,
}

impl Updates {
    pub(super) fn new(request: RequestContext, session: &str, agreement: Agreement) -> Self {
        Self { request, session: session.to_owned(), shows_notices: agreement.shows_notices }
    }

    pub(super) fn request(&self) -> &RequestContext {
        &self.request
    }

    pub(super) async fn send(&self, update: SessionUpdate) {
        let params = SessionNotification::new(self.session.clone(), update);
        // Fails when the client is gone, which cancels the request.
        let _ = self.request.notify(UPDATE, &params).await;
    }

    /// Sends an update that was kept.
    pub(super) async fn send_again(&self, update: &Value) {
        let _ = self.request.notify(UPDATE, &json!({"sessionId": self.session, "update": update})).await;
    }

    /// Says something about the conversation that is not part of it, as a notice if the client shows those.
    pub(super) async fn remark(&self, remark: &str) {
        if self.shows_notices {
            self.send(SessionUpdate::Notice(Notice::new(NoticeSeverity::Info, remark))).await;
        } else {
            self.send(SessionUpdate::AgentMessageChunk(message(&format!("_{remark}_\n\n"), &id()))).await;
        }
    }
}

/// A piece of the message `id`.
pub(super) fn message(text: &str, id: &str) -> ContentChunk {
    ContentChunk::new(ContentBlock::Text(TextContent::new(text))).message_id(MessageId::new(id.to_owned()))
}

/// A new identifier, of a message or of a tool call.
pub(super) fn id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Tells the client something about a session that belongs to no request.
pub(super) async fn send_later(connection: &Handle, session: &str, update: SessionUpdate) {
    // Fails when the connection has ended.
    let _ = connection.notify(UPDATE, &SessionNotification::new(session.to_owned(), update)).await;
}
