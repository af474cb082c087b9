//! What the methods of one connection share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use runabout_api::{Limits, MemoryStatus, ModelSummary, ServerInfo};
use runabout_engine::State;
use runabout_rpc::Options;
use runabout_text::FimFormat;

use crate::documents::Documents;
use crate::held::HeldTexts;
use crate::host::Host;

/// More tokens than anybody reads.
pub(crate) const MAX_TOKENS: u32 = 8192;
pub(crate) const MAX_CHOICES: u32 = 8;
pub(crate) const MAX_LOGPROBS: u32 = 20;
pub(crate) const MAX_STOP_STRINGS: usize = 16;

/// The server's side of a connection.
pub(crate) struct Session {
    pub(crate) host: Host,
    /// The reference that the person gave, until the model has a better name.
    reference: String,
    limits: Limits,
    started: Instant,
    is_shut_down: AtomicBool,
    has_exited: AtomicBool,
    pub(crate) documents: Documents,
    pub(crate) held: Arc<HeldTexts>,
    memory_limit_bytes: Option<u64>,
}

impl Session {
    pub(crate) fn new(
        host: Host,
        reference: String,
        options: &Options,
        held: Arc<HeldTexts>,
        max_queued: usize,
        memory_limit_bytes: Option<u64>,
    ) -> Self {
        let limits = Limits {
            max_frame_bytes: options.max_frame_bytes as u64,
            max_batch_entries: options.max_batch_entries as u64,
            max_in_flight: options.max_in_flight as u64,
            max_queued: max_queued as u64,
            max_queued_bytes: held.limit_bytes(),
            max_tokens: MAX_TOKENS.into(),
            max_choices: MAX_CHOICES.into(),
            max_logprobs: MAX_LOGPROBS.into(),
            max_stop_strings: MAX_STOP_STRINGS as u64,
        };
        Self {
            host,
            reference,
            limits,
            started: Instant::now(),
            is_shut_down: AtomicBool::new(false),
            has_exited: AtomicBool::new(false),
            documents: Documents::default(),
            held,
            memory_limit_bytes,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits.clone()
    }

    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn server_info() -> ServerInfo {
        ServerInfo { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// What is known of the model by now.
    pub(crate) fn model_summary(&self) -> ModelSummary {
        let facts = self.host.facts();
        let mut summary = ModelSummary {
            name: facts.map_or_else(|| self.reference.clone(), |it| it.name.clone()),
            fill_in_the_middle: facts.map(|it| it.fim.is_some()),
            completion_format: facts
                .map(|it| it.fim.as_ref().map_or("continuation", FimFormat::name).to_owned()),
            chat: facts.map(|it| it.tokenizer.has_chat_template()),
            ..ModelSummary::default()
        };
        if let State::Ready(description) = self.host.engine.state() {
            summary.context_length = Some(description.context_length as u64);
            summary.weights_bytes = Some(description.weights_bytes);
            summary.quantization_bits = description.quantization_bits;
            summary.architecture = Some(description.architecture);
            summary.precision = description.precision;
        }
        summary
    }

    /// What memory is used for, of how much.
    pub(crate) fn memory(&self) -> MemoryStatus {
        let status = self.host.engine.status();
        let weights_bytes = match self.host.engine.state() {
            State::Ready(description) => Some(description.weights_bytes),
            State::Loading(_) | State::Failed(_) => None,
        };
        MemoryStatus {
            active_bytes: status.memory.active_bytes,
            peak_bytes: status.memory.peak_bytes,
            cache_bytes: status.memory.cache_bytes,
            weights_bytes,
            kv_bytes: status.cache.bytes,
            limit_bytes: self.memory_limit_bytes,
        }
    }

    pub(crate) fn shut_down(&self) {
        self.is_shut_down.store(true, Ordering::Relaxed);
    }

    pub(crate) fn exit(&self) {
        self.has_exited.store(true, Ordering::Relaxed);
    }

    /// Whether `exit` came without a `shutdown`, which is an error in LSP. To be asked at the end: a notification
    /// overtakes the request before it.
    pub(crate) fn has_exited_unasked(&self) -> bool {
        self.has_exited.load(Ordering::Relaxed) && !self.is_shut_down.load(Ordering::Relaxed)
    }
}
