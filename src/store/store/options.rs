//! How models are fetched: [`Options`].

use std::ffi::OsString;

use crate::wheel::Pip;

/// How models are fetched.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub pip: Pip,
    #[cfg(feature = "hub")]
    pub hub: crate::hub::HubOptions,
}

impl Options {
    /// As the environment says; `variable` answers for it. pip reads its own.
    #[cfg_attr(not(feature = "hub"), expect(unused_variables, reason = "all of it is about the hub"))]
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        Self {
            pip: Pip::default(),
            #[cfg(feature = "hub")]
            hub: crate::hub::HubOptions::from_env(variable),
        }
    }

    /// Nothing is asked over the network: only what is here, in the hub's cache, or in pip's folders of wheels.
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
