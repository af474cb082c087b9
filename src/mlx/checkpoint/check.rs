//! Compares what a checkpoint holds with what config.json says: [`check`].

use safetensors::tensor::Dtype;

use super::Checkpoint;
use crate::LoadError;
use crate::config::ModelConfig;
use crate::decoder_config::{DecoderConfig, Part};
use crate::foreign;
use crate::linear::Grouping;

/// Types that weights are used in as they are.
const FLOATS: &str = "F32, F16 or BF16";

/// Fails unless the checkpoint holds every weight of the model, in the shape that config.json implies and in a supported
/// type, and no weight that config.json does not account for.
pub(crate) fn check(
    checkpoint: &Checkpoint,
    file: &ModelConfig,
    config: &DecoderConfig,
) -> Result<(), LoadError> {
    for part in config.parts() {
        match part {
            Part::Norm { name, n } => check_floats(checkpoint, file, &format!("{name}.weight"), &[n])?,
            Part::Matrix { name, n_out, n_in, has_bias } => {
                check_matrix(checkpoint, file, &name, n_out, n_in)?;
                let bias = format!("{name}.bias");
                if has_bias {
                    check_floats(checkpoint, file, &bias, &[n_out])?;
                } else if checkpoint.get(&bias).is_some() {
                    return Err(LoadError::UnexpectedWeight { name: bias });
                }
            }
        }
    }
    let beyond = format!("model.layers.{}.input_layernorm.weight", config.num_hidden_layers);
    if checkpoint.get(&beyond).is_some() {
        return Err(LoadError::UnexpectedWeight { name: beyond });
    }
    Ok(())
}

fn check_floats(
    checkpoint: &Checkpoint,
    file: &ModelConfig,
    name: &str,
    shape: &[i32],
) -> Result<(), LoadError> {
    let Some(tensor) = checkpoint.get(name) else { return Err(missing(checkpoint, file, name)) };
    if !is_float(tensor.dtype) {
        return Err(tensor.wrong_type(name, FLOATS));
    }
    tensor.check_shape(name, shape)
}

fn check_matrix(
    checkpoint: &Checkpoint,
    file: &ModelConfig,
    name: &str,
    n_out: i32,
    n_in: i32,
) -> Result<(), LoadError> {
    let weight_name = format!("{name}.weight");
    let weight = checkpoint.get(&weight_name);
    let scales = checkpoint.get(&format!("{name}.scales"));
    match (weight, scales) {
        (Some(weight), None) if is_float(weight.dtype) => weight.check_shape(&weight_name, &[n_out, n_in]),
        (Some(weight), Some(scales)) if weight.dtype == Dtype::U32 && is_float(scales.dtype) => {
            Grouping::of(&weight_name, [n_out, n_in], &weight.shape, &scales.shape)?;
            check_floats(checkpoint, file, &format!("{name}.biases"), &scales.shape)
        }
        _ => Err(match (foreign::format(file, checkpoint, name), weight) {
            (Some((format, name)), _) => LoadError::ForeignQuantization { format, name },
            (None, Some(weight)) => weight.wrong_type(&weight_name, FLOATS),
            (None, None) => missing(checkpoint, file, &weight_name),
        }),
    }
}

/// Quantization that is not known may keep the weight under another name.
fn missing(checkpoint: &Checkpoint, file: &ModelConfig, name: &str) -> LoadError {
    let name = name.to_owned();
    if let Some(format) = foreign::declared(file, &checkpoint.folder) {
        return LoadError::ForeignQuantization { format, name };
    }
    LoadError::MissingWeight { name, folder: checkpoint.folder.clone() }
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}
