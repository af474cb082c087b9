//! What the agent does beside talking, shown like the use of a tool: [`Step`].

use agent_client_protocol_schema::v1::{
    ContentBlock, Diff, SessionUpdate, TextContent, ToolCall, ToolCallContent, ToolCallLocation,
    ToolCallStatus, ToolCallUpdate, ToolCallUpdateFields, ToolKind,
};
use serde_json::Value;

use super::updates::{Updates, id};

/// A step, as the client was told of it last.
#[derive(Clone, Debug)]
pub(super) struct Step(ToolCall);

impl Step {
    /// A step about a file, if there is one, that begins now.
    pub(super) async fn begin(title: String, kind: ToolKind, path: Option<&str>, updates: &Updates) -> Self {
        let locations = path.map(ToolCallLocation::new).into_iter().collect();
        let call =
            ToolCall::new(id(), title).kind(kind).status(ToolCallStatus::InProgress).locations(locations);
        updates.send(SessionUpdate::ToolCall(call.clone())).await;
        Self(call)
    }

    pub(super) async fn change(&mut self, fields: ToolCallUpdateFields, updates: &Updates) {
        self.0.update(fields.clone());
        updates.send(SessionUpdate::ToolCallUpdate(self.as_update(fields))).await;
    }

    /// The step has done what it is for.
    pub(super) async fn complete(&mut self, updates: &Updates) {
        self.change(ToolCallUpdateFields::new().status(ToolCallStatus::Completed), updates).await;
    }

    /// The step could not do what it is for.
    pub(super) async fn fail(&mut self, why: &str, updates: &Updates) {
        let mut content = self.0.content.clone();
        content.push(ContentBlock::Text(TextContent::new(why)).into());
        let fields = ToolCallUpdateFields::new().status(ToolCallStatus::Failed).content(content);
        self.change(fields, updates).await;
    }

    /// The step is to change a file in this way.
    pub(super) async fn propose(&mut self, path: &str, old: &str, new: &str, updates: &Updates) {
        let diff = ToolCallContent::Diff(Diff::new(path, new).old_text(old.to_owned()));
        let fields = ToolCallUpdateFields::new().status(ToolCallStatus::Pending).content(vec![diff]);
        self.change(fields, updates).await;
    }

    /// The step for a request that asks for permission to take it.
    pub(super) fn in_question(&self) -> ToolCallUpdate {
        let call = self.0.clone();
        let fields = ToolCallUpdateFields::new()
            .title(call.title)
            .kind(call.kind)
            .status(call.status)
            .content(call.content)
            .locations(call.locations);
        self.as_update(fields)
    }

    /// The update that shows the step again.
    pub(super) fn to_replay(&self) -> Option<Value> {
        serde_json::to_value(SessionUpdate::ToolCall(self.0.clone())).ok()
    }

    fn as_update(&self, fields: ToolCallUpdateFields) -> ToolCallUpdate {
        ToolCallUpdate::new(self.0.tool_call_id.clone(), fields)
    }
}
