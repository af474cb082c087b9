//! What the integration tests share: a client that speaks to the real binary over pipes.
