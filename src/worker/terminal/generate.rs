//! `runabout generate`: one text for one prompt, as `mlx_lm.generate` prints it.
//!
//! The prompt goes through the model's chat template, as it does there: the models that people use are made for that, and
//! the same command line gives the same text. `--ignore-chat-template` continues the prompt as it is. The text is printed
//! as the model writes it, with its reasoning and calls of tools in their tags.

use std::io::Write;

use anyhow::Result;
use runabout_assist::{Completion, Error, Form, Generation, Priority, ToModel};
use serde::Serialize;

use super::figures::Figures;
use super::input::text_or_stdin;
use super::session;
use super::show::{Plain, Silent, follow, tell_if_cut};
use crate::cli::GenerateArgs;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    model: String,
    text: String,
    #[serde(flatten)]
    figures: Figures,
}

pub(crate) async fn generate(args: GenerateArgs) -> Result<()> {
    let prompt = text_or_stdin(args.prompt)?;
    let assistant = session::start(&args.model)?;
    session::show_loading(assistant.model()).await;
    let facts = assistant.model().ready().await.map_err(Error::from)?.facts;
    let needs_template = args.system_prompt.is_some() || args.prefill_response.is_some();
    let is_message = !args.ignore_chat_template && (facts.tokenizer.has_chat_template() || needs_template);
    let form = if is_message {
        Form::Message(ToModel {
            system: args.system_prompt,
            begun: args.prefill_response,
            template_variables: args.chat_template_config.unwrap_or_default(),
        })
    } else {
        Form::Raw
    };
    let run = assistant.complete(Completion {
        prefix: prompt,
        form,
        path: None,
        document: None,
        n_choices: 1,
        generation: Generation {
            sampling: (&args.sampling).into(),
            end_tokens: args.extra_eos_token,
            max_kv_tokens: args.kv.max_kv_size,
            ..Generation::of(args.max_tokens, Priority::Interactive)
        },
        min_confidence: 0.0,
        needs_tokens: false,
    })?;
    let mut stdout = std::io::stdout();
    let outcome = if args.json {
        follow(run, &mut Silent).await?
    } else {
        follow(run, &mut Plain::new(&mut stdout)).await?
    };
    let finish = &outcome.finishes[0];
    let figures = Figures::of(finish, assistant.model().engine().status().memory.peak_bytes);
    let end = if args.json {
        serde_json::to_string(&Report { model: facts.name, text: finish.text.clone(), figures })?
    } else if args.quiet {
        String::new()
    } else {
        format!("\n{}", figures.lines().trim_end())
    };
    writeln!(stdout, "{end}")?;
    tell_if_cut(finish);
    Ok(())
}
