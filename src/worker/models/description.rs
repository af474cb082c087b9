//! What is known about a model on this machine: [`Description`].

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use runabout_store::{
    AccessTimes, Footprint, Installed, ModelFacts, ModelFolder, Place, Quantization, Source, Store,
};
use runabout_text::Abilities;
use serde::Serialize;

use crate::memory;

/// The length of the text that memory is reckoned for, unless the model's context is shorter: a long file or a long
/// conversation.
pub(super) const TEXT_TOKENS: u64 = 8192;

/// A model as `list` and `show` tell about it; its fields are those of their JSON.
#[derive(Debug, Serialize)]
pub(super) struct Description {
    /// What `--model` and the other commands take.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// `models` for runabout's own folder, `hub_cache` for the cache that is shared with Python.
    pub(super) place: &'static str,
    pub(super) size_bytes: u64,
    /// What the packed weights take on the disk besides.
    pub(super) packed_bytes: u64,
    pub(super) architecture: Option<String>,
    pub(super) quantization: Option<Quantization>,
    pub(super) context_tokens: Option<u64>,
    /// The family of its fill-in-the-middle format.
    pub(super) fim: Option<&'static str>,
    pub(super) chat: bool,
    /// Whether runabout can run it.
    pub(super) runs: bool,
    /// Why not.
    pub(super) obstacle: Option<String>,
    pub(super) memory: Option<Memory>,
    /// RFC 3339.
    pub(super) last_used: Option<String>,
    pub(super) source: Option<Source>,
    #[serde(skip)]
    pub(super) used: Option<SystemTime>,
}

/// Whether a model fits this machine's memory.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    #[serde(flatten)]
    pub(super) footprint: Footprint,
    /// What the program takes besides.
    pub(super) other_bytes: u64,
    pub(super) needed_bytes: u64,
    /// What runabout may use on this machine by default.
    pub(super) limit_bytes: Option<u64>,
    pub(super) fits: bool,
}

impl Description {
    pub(super) fn of(store: &Store, installed: Installed) -> Self {
        let times = AccessTimes::of(&installed.path);
        let this = Self { packed_bytes: store.packed_bytes(&installed), ..Self::read(installed) };
        times.restore();
        this
    }

    fn read(installed: Installed) -> Self {
        let Installed { name, path, n_bytes, place, manifest, last_used } = installed;
        let facts = ModelFacts::read(&path);
        let abilities = Abilities::read(&path).ok();
        let obstacle = obstacle(&path);
        let weight_bytes = memory::weights_bytes(&path).unwrap_or(0);
        let memory =
            facts.as_ref().ok().and_then(|it| it.footprint(weight_bytes, TEXT_TOKENS)).map(Memory::of);
        let facts = facts.ok();
        Self {
            architecture: facts.as_ref().map(|it| it.model_type.clone()),
            context_tokens: facts.as_ref().and_then(|it| it.context_tokens),
            quantization: facts.and_then(|it| it.quantization),
            fim: abilities.and_then(|it| it.fim),
            chat: abilities.is_some_and(|it| it.chat),
            runs: obstacle.is_none(),
            obstacle,
            memory,
            place: match place {
                Place::Models => "models",
                Place::HubCache => "hub_cache",
            },
            size_bytes: n_bytes,
            packed_bytes: 0,
            last_used: last_used
                .map(|it| DateTime::<Utc>::from(it).to_rfc3339_opts(SecondsFormat::Secs, true)),
            used: last_used,
            source: manifest.map(|it| it.source),
            name,
            path,
        }
    }
}

impl Memory {
    pub(super) fn of(footprint: Footprint) -> Self {
        Self::within(footprint, memory::default_limit_bytes())
    }

    pub(super) fn within(footprint: Footprint, limit_bytes: Option<u64>) -> Self {
        let needed_bytes = footprint.bytes();
        let fits = limit_bytes.is_none_or(|it| needed_bytes <= it);
        Self { footprint, other_bytes: Footprint::OTHER_BYTES, needed_bytes, limit_bytes, fits }
    }
}

/// Why runabout cannot run a model; `None` if it can. In one line, without the hint.
fn obstacle(path: &Path) -> Option<String> {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    if let Err(err) = ModelFolder::open(path) {
        let has_gguf = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .any(|it| it.path().extension().is_some_and(|it| it.eq_ignore_ascii_case("gguf")));
        return Some(if has_gguf {
            "it is a GGUF file, which is converted when it is used".to_owned()
        } else {
            first_line(err.to_string())
        });
    }
    runabout_mlx::check(path).err().map(|err| first_line(err.to_string()))
}
