//! Gets the settings from the client: by asking for them, or as the client sends them.

use std::sync::Arc;

use runabout_rpc::{ErrorObjectOwned, Params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::imports;
use super::incoming;
use super::session::Session;
use super::settings::Settings;

/// The section of the client's settings that is ours.
const SECTION: &str = "runabout";
/// The type of a message of LSP that is a warning.
const WARNING: u32 = 2;

/// After `initialized`: asks for the settings, and to be told of changes.
pub(super) fn begin(session: &Arc<Session>) {
    session.set_asking_settings(true);
    let session = Arc::clone(session);
    // A handler must not wait for it.
    tokio::spawn(async move {
        ask_first(Arc::clone(&session)).await;
        session.set_asking_settings(false);
    });
}

async fn ask_first(session: Arc<Session>) {
    let Some(agreement) = session.agreement() else { return };
    if agreement.registers_configuration {
        let registration = json!({"registrations": [{
            "id": "runabout/configuration",
            "method": "workspace/didChangeConfiguration",
            "registerOptions": {"section": SECTION},
        }]});
        if let Err(error) =
            session.connection.request::<Value>("client/registerCapability", &registration).await
        {
            tracing::warn!(%error, "changes of the settings may go unnoticed");
        }
    }
    ask(session).await;
}

/// Asks for the settings, if the client can be asked.
async fn ask(session: Arc<Session>) {
    if session.agreement().is_none_or(|it| !it.answers_configuration) {
        return;
    }
    let number = session.next_configuration();
    let items = json!({"items": [{"section": SECTION}]});
    match session.connection.request::<Vec<Value>>("workspace/configuration", &items).await {
        Ok(values) => {
            // An answer that comes late must not replace a newer one.
            if session.is_latest_configuration(number) {
                // A client that has no such section answers `null`; then what it sent at `initialize` counts.
                let section = values.first().filter(|it| !it.is_null());
                let initial = session.agreement().map(|it| &it.settings);
                change(&session, section.or(initial).unwrap_or(&Value::Null));
            }
        }
        Err(error) => tracing::warn!(%error, "the settings were not answered"),
    }
}

/// `workspace/didChangeConfiguration`.
pub(super) fn did_change(params: &Params<'_>, session: &Arc<Session>) -> Result<(), ErrorObjectOwned> {
    #[derive(Deserialize)]
    struct DidChangeConfiguration {
        #[serde(default)]
        settings: Value,
    }
    let DidChangeConfiguration { settings } = incoming::read(params)?;
    if session.agreement().is_some_and(|it| it.answers_configuration) {
        tokio::spawn(ask(Arc::clone(session)));
    } else if let Some(section) = settings.get(SECTION) {
        change(session, section);
    }
    Ok(())
}

/// Puts settings into effect while documents may be open.
fn change(session: &Arc<Session>, section: &Value) {
    let before = session.settings().context;
    apply(session, section);
    if session.settings().context != before {
        let open = session.documents().uris();
        for uri in open {
            imports::read(uri, session);
        }
    }
}

/// Puts settings into effect, and warns the person of each wrong one, once.
pub(super) fn apply(session: &Session, section: &Value) {
    let (settings, problems) = Settings::read(section);
    session.set_settings(settings);
    for problem in problems {
        tracing::warn!(problem, "a setting is ignored");
        if session.is_new_warning(&problem) {
            let message = json!({"type": WARNING, "message": format!("Runabout: {problem}")});
            // Dropped if the queue is full: it is in the log.
            let _ = session.connection.try_notify("window/showMessage", &message);
        }
    }
}
