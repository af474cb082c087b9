//! One model in several processes, on one machine or on several: each process, a *rank*, has a part of every layer.
//!
//! The engine does not know about it: [`RankedModel`] is a [`LanguageModel`](runabout_engine::LanguageModel) that passes
//! each call on to all ranks and waits for them. They exchange what they compute by means of their own, which this crate
//! does not know; it only tells them who the others are ([`Setup`]). Rank 0 draws the tokens.
//!
//! [`launch()`] starts the ranks that a file names ([`Hosts`]): here, on other machines by ssh, or by hand. Each reads its
//! [`Setup`] with [`read_setup`], and once it has become what that says, it has a [`Post`], through which it reports and
//! then obeys. A rank that ends, or that does not answer any more, ends the model.

mod frames;
mod hosts;
mod launch;
mod link;
mod message;
mod model;
mod post;
#[cfg(test)]
mod tests;

pub use hosts::{Host, Hosts, HostsError, Transport};
pub use launch::{LaunchError, LaunchOptions, introduce, launch};
pub use message::{Ready, Setup};
pub use model::RankedModel;
pub use post::{Post, read_setup};
