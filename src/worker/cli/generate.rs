//! The options of `runabout generate`: those of `mlx_lm.generate`, with the same names and defaults.

use clap::Args;
use runabout_assist::TemplateVariables;

use super::{KvArgs, ModelArgs, SamplingArgs};

#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The message to the model; `-` reads it from stdin. It goes through the model's chat template, if there is one
    #[arg(long, short)]
    pub(crate) prompt: String,
    /// The system prompt
    #[arg(long, value_name = "TEXT", conflicts_with = "ignore_chat_template")]
    pub(crate) system_prompt: Option<String>,
    /// The beginning of the answer, which the model goes on from
    #[arg(long, value_name = "TEXT", conflicts_with = "ignore_chat_template")]
    pub(crate) prefill_response: Option<String>,
    /// Continue the prompt as it is
    #[arg(long)]
    pub(crate) ignore_chat_template: bool,
    /// Further variables of the chat template, such as `{"enable_thinking": false}`
    #[arg(long, value_name = "JSON", value_parser = template_variables, conflicts_with = "ignore_chat_template")]
    pub(crate) chat_template_config: Option<TemplateVariables>,
    /// The maximum number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tokens: u32,
    /// End the text at this token too; can be repeated
    #[arg(long, value_name = "TOKEN", num_args = 1..)]
    pub(crate) extra_eos_token: Vec<String>,
    #[command(flatten)]
    pub(crate) kv: KvArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Print one JSON object with the text and its figures at the end, instead of the text as it comes
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Print the text without the figures
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

fn template_variables(json: &str) -> Result<TemplateVariables, String> {
    serde_json::from_str(json).map_err(|error| format!("it must be a JSON object: {error}"))
}
