//! `shutdown` and `exit`: the end, in two steps as in LSP.

use crate::no_params::NoParams;
use crate::protocol::{Method, Notification, Sender};

/// The method `shutdown`.
pub enum Shutdown {}

impl Method for Shutdown {
    const NAME: &'static str = "shutdown";
    const SUMMARY: &'static str = "Refuse further requests; the notification `exit` then ends the process";
    const ERRORS: &'static [&'static str] = &["shutting_down"];
    type Params = NoParams;
    type Result = ();
}

/// The notification `exit`.
pub enum Exit {}

impl Notification for Exit {
    const NAME: &'static str = "exit";
    const SUMMARY: &'static str = "End the process";
    const SENDER: Sender = Sender::Client;
    type Params = ();
}
