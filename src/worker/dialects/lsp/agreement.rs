//! What client and worker agree on at `initialize`: [`Agreement`].

use serde::Deserialize;
use serde_json::Value;

use super::positions::Encoding;
use super::workspace::Folder;

/// The options that are no settings.
const NOTIFICATIONS: &str = "notifications";
const GROWING_ITEMS: &str = "growingItems";

/// What a client said about itself that matters later.
#[expect(clippy::struct_excessive_bools, reason = "each is a capability of its own")]
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    pub(super) encoding: Encoding,
    /// Whether it wants the notifications `runabout/status` and `runabout/completion`.
    pub(super) wants_notifications: bool,
    /// Whether it replaces an item by a longer one with the same command, so that a text can be sent while it grows.
    pub(super) takes_growing_items: bool,
    /// The settings that it sent along.
    pub(super) settings: Value,
    /// Whether its settings can be asked for.
    pub(super) answers_configuration: bool,
    /// Whether it can be asked to send changes of its settings.
    pub(super) registers_configuration: bool,
    /// Whether it shows the progress of work that it did not ask for.
    pub(super) shows_progress: bool,
}

/// The params of `initialize`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Introduction {
    pub(super) client_info: Option<ClientInfo>,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default)]
    pub(super) initialization_options: Value,
    root_uri: Option<String>,
    workspace_folders: Option<Vec<Folder>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ClientInfo {
    pub(super) name: String,
    pub(super) version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    general: Option<General>,
    workspace: Option<WorkspaceCapabilities>,
    window: Option<WindowCapabilities>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct General {
    position_encodings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkspaceCapabilities {
    configuration: Option<bool>,
    did_change_configuration: Option<Registrable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registrable {
    dynamic_registration: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowCapabilities {
    work_done_progress: Option<bool>,
}

impl Introduction {
    pub(super) fn agreement(&self) -> Agreement {
        let offered = self.capabilities.general.as_ref().and_then(|it| it.position_encodings.as_ref());
        let takes_utf8 = offered.is_some_and(|it| it.iter().any(|it| it == "utf-8"));
        let (workspace, window) = (&self.capabilities.workspace, &self.capabilities.window);
        Agreement {
            encoding: if takes_utf8 { Encoding::Utf8 } else { Encoding::Utf16 },
            wants_notifications: self.initialization_options[NOTIFICATIONS] == Value::Bool(true),
            takes_growing_items: self.initialization_options[GROWING_ITEMS] == Value::Bool(true),
            settings: self.settings(),
            answers_configuration: workspace.as_ref().and_then(|it| it.configuration).unwrap_or(false),
            registers_configuration: workspace
                .as_ref()
                .and_then(|it| it.did_change_configuration.as_ref()?.dynamic_registration)
                .unwrap_or(false),
            shows_progress: window.as_ref().and_then(|it| it.work_done_progress).unwrap_or(false),
        }
    }

    /// Some clients, such as Helix and kakoune-lsp, send the section itself as the options.
    fn settings(&self) -> Value {
        let options = &self.initialization_options;
        let mut settings = options.get("settings").unwrap_or(options).clone();
        if let Some(members) = settings.as_object_mut() {
            members.retain(|name, _| ![NOTIFICATIONS, GROWING_ITEMS].contains(&name.as_str()));
        }
        settings
    }

    /// The folders of the workspace; older clients name only one.
    pub(super) fn folders(&mut self) -> Vec<Folder> {
        let root = self.root_uri.take().map(|uri| Folder { uri });
        self.workspace_folders.take().unwrap_or_else(|| root.into_iter().collect())
    }
}
