//! One thread, one model: jobs in, events out.

pub mod job;
pub mod model;
