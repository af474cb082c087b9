//! The protocols that clients speak. Each translates its messages to [`runabout_assist`] and back.
//!
//! A new dialect is a file here that implements [`Dialect`], and an entry in [`ALL`].

mod acp;
mod dialect;
mod following;
mod lsp;
mod mcp;
mod native;
mod rounding;

pub(crate) use self::dialect::{Announcements, Dialect, Opened, choose};
use crate::front_end::Service;

/// The dialects of `runabout serve`. The first that claims a client gets it; the last one takes all others.
pub(crate) const ALL: &[&dyn Dialect] = &[&lsp::Lsp, &mcp::Mcp, &acp::Acp, &native::Native];

/// The only dialect of `runabout lsp`.
pub(crate) const LSP: &[&dyn Dialect] = &[&lsp::Lsp];

/// The only dialect of `runabout mcp`.
pub(crate) const MCP: &[&dyn Dialect] = &[&mcp::Mcp];

/// The only dialect of `runabout acp`.
pub(crate) const ACP: &[&dyn Dialect] = &[&acp::Acp];

/// The dialects that a client may speak which has started this.
pub(crate) fn of(service: Service) -> &'static [&'static dyn Dialect] {
    match service {
        Service::Serve => ALL,
        Service::Lsp => LSP,
        Service::Mcp => MCP,
        Service::Acp => ACP,
    }
}

#[cfg(test)]
mod tests;
