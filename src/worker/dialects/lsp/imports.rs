//! Reads what a document imports, so that the model can be shown what it uses.

use std::sync::Arc;

use super::session::Session;
use super::settings::ContextSource;
use super::workspace;

/// Reads the files that a document imports, on a thread of its own, if they are to be used.
pub(super) fn read(uri: String, session: &Arc<Session>) {
    if session.settings().context == ContextSource::File {
        return;
    }
    let session = Arc::clone(session);
    tokio::task::spawn_blocking(move || {
        let Some(reading) = session.project().reading(&workspace::file(&uri)) else { return };
        // The lock is not held while files are read.
        let imported = reading.run();
        session.project().read(imported);
        session.has_news(&uri);
    });
}
