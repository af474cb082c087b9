//! What all requests of a connection share: [`Session`]. The protocol keeps no state between requests, except for tasks.

use crate::client::Client;

use super::roots::Roots;
use super::tasks::Tasks;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// The folders that tools may use.
    pub(super) roots: Roots,
    pub(super) tasks: Tasks,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        let roots = Roots::of(&client.front);
        tracing::info!(roots = ?roots.folders(), "the tools may use files in these folders");
        Self { client, roots, tasks: Tasks::default() }
    }
}
