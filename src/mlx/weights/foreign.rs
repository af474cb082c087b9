//! Recognizes quantized weights in formats of other programs.
//!
//! They cannot be loaded. The error names the format and what is accepted instead.

use std::path::Path;

use runabout_text::model_json;
use safetensors::tensor::Dtype;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::header::Tensor;
use crate::config::ModelConfig;

/// Name suffixes of tensors that identify a format, the most specific first.
const MARKS: [(&str, &str); 14] = [
    (".weight_packed", "compressed-tensors"),
    (".weight_scale_inv", "fp8"),
    (".absmax", "bitsandbytes"),
    (".quant_map", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".g_idx", "GPTQ"),
    (".qzeros", "GPTQ or AWQ"),
    (".qweight", "GPTQ or AWQ"),
    (".codebooks", "AQLM"),
    (".W_q", "HQQ"),
    (".weight._data", "quanto"),
    ("_blocks", "mxfp4"),
    (".weight_scale_2", "modelopt"),
    (".weight_scale", "fp8 or compressed-tensors"),
];

/// What MLX calls the formats that can be loaded.
const KNOWN_MODES: [&str; 4] = ["affine", "mxfp4", "mxfp8", "nvfp4"];

/// The format of a module's weight, and the name of the tensor that shows it; `None` if nothing does.
///
/// config.json names the format most precisely, but may be out of date after a conversion, so it is consulted only
/// for weights that cannot be loaded.
pub(crate) fn format(file: &ModelConfig, checkpoint: &Checkpoint, module: &str) -> Option<(String, String)> {
    let mut parts: Vec<_> = checkpoint.of_module(module).collect();
    parts.sort_by_key(|it| it.0);
    let marked = MARKS.iter().find_map(|(ending, format)| {
        let (name, _) = parts.iter().find(|it| it.0.ends_with(ending))?;
        Some(((*format).to_owned(), (*name).to_owned()))
    });
    let weight = format!("{module}.weight");
    let by_type = || {
        let tensor = checkpoint.get(&weight)?;
        let scales = checkpoint.get(&format!("{module}.scales"));
        Some((type_format(tensor, scales)?, weight.clone()))
    };
    let (format, name) = marked.or_else(by_type)?;
    Some((declared(file, &checkpoint.folder).unwrap_or(format), name))
}

/// The format that a weight of this type implies.
fn type_format(weight: &Tensor, scales: Option<&Tensor>) -> Option<String> {
    Some(match (weight.dtype, scales) {
        // The formats that MLX has are not foreign.
        (Dtype::U32, Some(scales)) if scales.dtype == Dtype::U8 => {
            "a micro-scaling format with other groups than MLX's".to_owned()
        }
        (Dtype::F8_E4M3 | Dtype::F8_E5M2, _) => format!("fp8 ({:?})", weight.dtype),
        (Dtype::U8 | Dtype::I8 | Dtype::I32, _) => format!("{:?} numbers", weight.dtype),
        _ => return None,
    })
}

/// The name of the format in config.json, or in the file that ModelOpt writes beside it.
pub(crate) fn declared(file: &ModelConfig, folder: &Path) -> Option<String> {
    let name = |it: &Value, field: &str| it.get(field).and_then(Value::as_str).map(str::to_owned);
    let settings = file.get("quantization_config").or_else(|| file.get("compression_config"));
    if let Some(settings) = settings
        && let Some(method) = name(settings, "quant_method")
    {
        let detail = name(settings, "format").or_else(|| name(settings, "quant_algo"));
        return Some(match detail {
            Some(detail) => format!("`{method}` ({detail})"),
            None => format!("`{method}`"),
        });
    }
    let mode = file.get("quantization").and_then(|it| name(it, "mode"));
    if let Some(mode) = mode.filter(|it| !KNOWN_MODES.contains(&it.as_str())) {
        return Some(format!("MLX's {mode}"));
    }
    let beside = std::fs::read(folder.join("hf_quant_config.json")).ok()?;
    let beside = model_json::parse(&beside).ok()?;
    let algorithm = name(beside.get("quantization")?, "quant_algo")?;
    Some(format!("`modelopt` ({algorithm})"))
}
