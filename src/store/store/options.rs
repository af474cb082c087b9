//! How models are fetched: [`Options`].

use std::ffi::OsString;

use crate::wheel::Pip;

/// How models are fetched.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub pip: Pip,
    /// Whether the hub is asked for a newer commit of a model that is here already.
    pub is_refresh: bool,
    #[cfg(feature = "hub")]
    pub hub: crate::hub::HubOptions,
}

impl Options {
    /// Reads the options from the environment through `variable`. pip reads its own.
    #[cfg_attr(not(feature = "hub"), expect(unused_variables, reason = "all of it is about the hub"))]
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            pip: Pip::default(),
            is_refresh: false,
            #[cfg(feature = "hub")]
            hub: crate::hub::HubOptions::from_env(variable),
        }
    }

    /// Sends nothing over the network: models come from the store, from the hub's cache, or from pip's folders of
    /// wheels.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.pip.offline = true;
        #[cfg(feature = "hub")]
        {
            self.hub.offline = true;
        }
        self
    }
}
