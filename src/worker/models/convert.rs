//! `runabout models convert`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runabout_mlx::{Conversion, Float, Mode, Quantization, Recipe};
use runabout_store::{ModelRef, Progress, Scratch, Store};
use serde::Serialize;

use super::report::print_json;
use crate::cli::{self, ConvertArgs};
use crate::loading::store_options;
use crate::memory;
use crate::progress_line::ProgressLine;

/// Files of a model that a conversion makes, or that belong to the folder they are in.
const NOT_COPIED: [&str; 3] = ["config.json", "model.safetensors.index.json", MANIFEST];
/// What the store notes about a folder of its own: it is not true of a copy.
const MANIFEST: &str = "runabout.json";

/// How the folder is called in which a model is made.
const SCRATCH: &str = ".runabout-convert-";

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    path: &'a Path,
    weight_bytes: u64,
}

pub(super) fn run(store: &Store, args: &ConvertArgs) -> Result<()> {
    let output = std::path::absolute(&args.output)?;
    if output.exists() {
        bail!("`{}` exists already\nhint: remove it, or choose another `--output`", output.display());
    }
    let parent = output.parent().context("a folder cannot be made there")?;
    let mut line = ProgressLine::default();
    let mut show = |it: Progress| line.show(it.stage.name(), it.done, it.total.unwrap_or(0));
    let reference: ModelRef = args.model.parse()?;
    let from = store.resolve(&reference, &store_options(args.offline), &mut show)?.path;
    line.clear();
    // Made beside the output and renamed, so that a conversion that fails leaves nothing.
    let made = Scratch::make(parent, SCRATCH)?;
    let conversion = conversion(args);
    let is_done = is_import(&reference) || is_quantized(&from);
    if conversion.quantization.is_none() && conversion.float.is_none() && is_done {
        copy(&from, made.path(), |name| name != MANIFEST)?;
    } else {
        let mut show = |done, total| line.show("convert", done, total);
        runabout_mlx::convert(&from, made.path(), &conversion, &mut show)?;
        line.clear();
        let is_weights = |name: &str| Path::new(name).extension().is_some_and(|it| it == "safetensors");
        copy(&from, made.path(), |name| !NOT_COPIED.contains(&name) && !is_weights(name))?;
    }
    set_mode(made.path())?;
    made.publish(&output)?;
    if args.json {
        return print_json(&Report { path: &output, weight_bytes: memory::weights_bytes(&output)? });
    }
    Ok(writeln!(std::io::stdout(), "{}", output.display())?)
}

fn conversion(args: &ConvertArgs) -> Conversion {
    let is_quantized = args.quantize
        || args.mode.is_some()
        || args.bits.is_some()
        || args.group_size.is_some()
        || args.recipe.is_some();
    let mode = match args.mode {
        None | Some(cli::QuantizationMode::Affine) => Mode::Affine,
        Some(cli::QuantizationMode::Mxfp4) => Mode::Mxfp4,
        Some(cli::QuantizationMode::Nvfp4) => Mode::Nvfp4,
        Some(cli::QuantizationMode::Mxfp8) => Mode::Mxfp8,
    };
    Conversion {
        quantization: is_quantized.then_some(Quantization {
            mode,
            group_size: args.group_size,
            bits: args.bits,
        }),
        recipe: args.recipe.map(|it| match it {
            cli::Recipe::Mixed2_6 => Recipe::Mixed2_6,
            cli::Recipe::Mixed3_4 => Recipe::Mixed3_4,
            cli::Recipe::Mixed3_6 => Recipe::Mixed3_6,
            cli::Recipe::Mixed4_6 => Recipe::Mixed4_6,
        }),
        float: args.dtype.map(|it| match it {
            cli::FloatType::Float16 => Float::Float16,
            cli::FloatType::Bfloat16 => Float::Bfloat16,
            cli::FloatType::Float32 => Float::Float32,
        }),
    }
}

/// Whether the store makes an MLX folder of the model by itself, in the layout that mlx_lm reads.
fn is_import(reference: &ModelRef) -> bool {
    match reference {
        ModelRef::Named(_)
        | ModelRef::Gguf(_)
        | ModelRef::Package { .. }
        | ModelRef::Hub { file: Some(_), .. } => true,
        ModelRef::Folder(_) | ModelRef::Hub { file: None, .. } => false,
    }
}

/// Whether a folder's weights are quantized, as those of most GGUF files are.
fn is_quantized(folder: &Path) -> bool {
    runabout_store::ModelFacts::read(folder).is_ok_and(|it| it.quantization.is_some())
}

/// Copies the files directly in a folder whose names are wanted, and what links lead to.
fn copy(from: &Path, to: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read `{}`", from.display()))? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && is_wanted(&name) {
            fs::copy(&path, to.join(&name)).with_context(|| format!("cannot copy `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Gives a folder that was made for this user alone the rights of any other new folder.
fn set_mode(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let parent = folder.parent().context("a folder has a parent")?;
    let mode = fs::metadata(parent)?.permissions().mode() & 0o755;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o700))?)
}
