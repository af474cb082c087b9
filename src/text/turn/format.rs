//! How a family writes reasoning and calls of tools: [`TurnFormat`], recognized by the model's chat template.
//!
//! The order of the checks follows from templates that mention several marks: the more special one decides.

/// How a model marks the parts of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnFormat {
    pub(crate) frame: Frame,
    /// `None` if the template says nothing about calls, or in a form that is not known here.
    pub(crate) calls: Option<CallFormat>,
}

/// What the reasoning of a turn is framed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Reasoning comes first, between two tags.
    Tags(Tags),
    /// The turn is a row of messages on channels, as gpt-oss writes it.
    Harmony,
}

/// A pair of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

/// How calls are written. The names are those of the families that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFormat {
    /// `<tool_call>{"name": "f", "arguments": {...}}</tool_call>`: Hermes, Qwen2.5, Qwen3, Granite 4, SmolLM3.
    Hermes,
    /// `<tool_call><function=f><parameter=a>1</parameter></function></tool_call>`: Qwen3-Coder, Qwen3.5.
    Qwen,
    /// The same in `<seed:tool_call>`: Seed-OSS.
    Seed,
    /// `<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value></tool_call>`: GLM 4.5 and later.
    Glm,
    /// `[TOOL_CALLS]` before a JSON list, or before `f[ARGS]{...}`, maybe with `[CALL_ID]`.
    Mistral,
    /// `<|tool_call>call:f{a:<|"|>text<|"|>}<tool_call|>`: Gemma 4.
    Gemma,
    /// `<start_function_call>call:f{a:<escape>text<escape>}<end_function_call>`: FunctionGemma.
    FunctionGemma,
    /// `<|tool_call_start|>[f(a=1)]<|tool_call_end|>`: LFM2.
    Lfm,
    /// The whole text is `[f(a=1), g()]`: Llama 3.2 and 4.
    Pythonic,
    /// The whole text is `{"name": "f", "parameters": {...}}`, maybe after `<|python_tag|>`: Llama 3.
    Llama,
    /// `<|tool_call|>[{"name": "f", "arguments": {...}}]`: Granite 3, Phi-4-mini.
    Granite,
    /// A message on the channel `commentary` to `functions.f`: gpt-oss.
    Harmony,
}

/// A tag that begins calls, and the one that ends them; without it, they go on to the next tag or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallTag {
    pub(crate) begin: &'static str,
    pub(crate) end: Option<&'static str>,
}

const THINK: Tags = Tags { begin: "<think>", end: "</think>" };
/// Tags other than `<think>` that templates write around reasoning.
const OTHER_TAGS: [Tags; 3] = [
    Tags { begin: "<seed:think>", end: "</seed:think>" },
    Tags { begin: "[THINK]", end: "[/THINK]" },
    Tags { begin: "<|channel>thought", end: "<channel|>" },
];

impl TurnFormat {
    /// The format that a template is written for. `has_token` says whether the vocabulary has a token.
    pub(crate) fn detect(template: &str, has_token: impl Fn(&str) -> bool) -> Self {
        if template.contains("<|channel|>") && template.contains("<|message|>") {
            return Self { frame: Frame::Harmony, calls: Some(CallFormat::Harmony) };
        }
        let other = OTHER_TAGS.into_iter().find(|it| {
            let tag = it.begin.strip_suffix("thought").unwrap_or(it.begin);
            // Some templates only name the tags in the text of a system message; the vocabulary has them then.
            template.contains(tag) && (has_token(tag) || template.contains(it.end))
        });
        Self { frame: Frame::Tags(other.unwrap_or(THINK)), calls: CallFormat::detect(template, has_token) }
    }

    /// Whether the model's calls of tools can be read.
    pub fn has_calls(&self) -> bool {
        self.calls.is_some()
    }

    /// The text that a prompt ends with if its template has begun the reasoning already.
    pub(crate) fn reasoning_tags(&self) -> Option<Tags> {
        match self.frame {
            Frame::Tags(tags) => Some(tags),
            Frame::Harmony => None,
        }
    }

    /// The tokens around reasoning. On channels there are none: it is a message like others.
    pub(crate) fn reasoning_marks(&self) -> [&'static str; 2] {
        self.reasoning_tags()
            .map_or([""; 2], |it| [it.begin.strip_suffix("thought").unwrap_or(it.begin), it.end])
    }

    /// The tokens that mark parts of a turn. Where they are special tokens, which are no text otherwise, they have to
    /// be text for the reader.
    pub(crate) fn marks(&self) -> Vec<&'static str> {
        let mut marks = match self.frame {
            Frame::Harmony => HARMONY_MARKS.to_vec(),
            Frame::Tags(_) => self.reasoning_marks().to_vec(),
        };
        if let Some(calls) = self.calls {
            marks.extend(calls.tags().iter().flat_map(|it| [it.begin].into_iter().chain(it.end)));
            marks.extend(calls.inner_marks());
        }
        marks
    }
}

const HARMONY_MARKS: [&str; 5] = ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>"];

impl CallFormat {
    fn detect(template: &str, has_token: impl Fn(&str) -> bool) -> Option<Self> {
        let has = |mark: &str| template.contains(mark);
        // Templates write line ends in text as `\n`, too.
        // Forms that only look like others: MiniMax's, functionary's and Apriel's.
        if has("<invoke name=") || has("<tool_calls>") || (has("<function=") && !has("<parameter=")) {
            return None;
        }
        let has_functions = has("<tool_call>\\n<function=") || has("<tool_call>\n<function=");
        Some(if has("<|tool_call>") && has("<tool_call|>") {
            Self::Gemma
        } else if has("<start_function_call>") {
            Self::FunctionGemma
        } else if has("<seed:tool_call>") {
            Self::Seed
        } else if has("<arg_key>") {
            Self::Glm
        } else if has("<|tool_list_start|>") || has("<|tool_call_start|>") {
            Self::Lfm
        } else if has_functions {
            Self::Qwen
        } else if has("[TOOL_CALLS]") {
            Self::Mistral
        } else if has("<|tool_call|>") {
            Self::Granite
        } else if has("<tool_call>") {
            Self::Hermes
        } else if has("[func_name1(") || has("<|python_start|>") {
            Self::Pythonic
        } else if has("\"parameters\": dictionary") || has("<|python_tag|>") {
            Self::Llama
        } else if has("tools") && has_token("<|tool_call_start|>") && has_token("<|tool_call_end|>") {
            // Not named in the template of LFM2.
            Self::Lfm
        } else {
            return None;
        })
    }

    /// The tags that calls are between, the more usual first; none if a call is the whole text.
    pub(crate) fn tags(self) -> &'static [CallTag] {
        match self {
            Self::Hermes | Self::Glm => &[CallTag { begin: "<tool_call>", end: Some("</tool_call>") }],
            Self::Qwen => &[
                CallTag { begin: "<tool_call>", end: Some("</tool_call>") },
                // Qwen3-Coder sometimes leaves the outer tag out.
                CallTag { begin: "<function=", end: Some("</function>") },
            ],
            Self::Seed => &[CallTag { begin: "<seed:tool_call>", end: Some("</seed:tool_call>") }],
            Self::Mistral => &[CallTag { begin: "[TOOL_CALLS]", end: None }],
            Self::Gemma => &[CallTag { begin: "<|tool_call>", end: Some("<tool_call|>") }],
            Self::FunctionGemma => {
                &[CallTag { begin: "<start_function_call>", end: Some("<end_function_call>") }]
            }
            Self::Lfm => &[CallTag { begin: "<|tool_call_start|>", end: Some("<|tool_call_end|>") }],
            Self::Pythonic => &[CallTag { begin: "<|python_start|>", end: Some("<|python_end|>") }],
            Self::Llama => &[CallTag { begin: "<|python_tag|>", end: None }],
            Self::Granite => &[CallTag { begin: "<|tool_call|>", end: None }],
            Self::Harmony => &[],
        }
    }

    /// Whether calls may also be the whole text, without tags. Qwen2.5-Coder was to write tags, and does not.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Pythonic | Self::Llama | Self::Hermes)
    }

    /// The tokens within calls that are no text otherwise.
    fn inner_marks(self) -> &'static [&'static str] {
        match self {
            Self::Mistral => &["[ARGS]", "[CALL_ID]"],
            Self::Gemma => &["<|\"|>"],
            Self::FunctionGemma => &["<escape>"],
            Self::Granite => &["<|/tool_call|>"],
            Self::Glm => &["<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_its_familys_format() {
        let cases = [
            ("<tool_call>\\n{\\\"name\\\": tool_call.name", CallFormat::Hermes),
            ("{{- '<tool_call>\\n<function=' }}<parameter=", CallFormat::Qwen),
            ("<seed:tool_call>\\n<function=a><parameter=", CallFormat::Seed),
            ("<tool_call>{name}<arg_key>{k}</arg_key>", CallFormat::Glm),
            ("[TOOL_CALLS]", CallFormat::Mistral),
            ("<|tool_call>call: <tool_call|>", CallFormat::Gemma),
            ("<start_function_call>", CallFormat::FunctionGemma),
            ("<|tool_call_start|>", CallFormat::Lfm),
            ("[func_name1(params_name1=", CallFormat::Pythonic),
            ("{\"name\": function name, \"parameters\": dictionary of", CallFormat::Llama),
            ("respond only with <|tool_call|> followed by a JSON list", CallFormat::Granite),
            ("<|channel|>commentary json<|message|>", CallFormat::Harmony),
        ];
        for (template, format) in cases {
            assert_eq!(TurnFormat::detect(template, |_| false).calls, Some(format), "{template}");
        }
        for unknown in [
            "{{ messages }}",
            "<tool_call><invoke name=",
            "<|python_tag|><function=",
            "<tool_calls> not <tool_call>",
        ] {
            assert_eq!(TurnFormat::detect(unknown, |_| false).calls, None, "{unknown}");
        }
        let lfm = TurnFormat::detect("{{ tools }}", |it| it.starts_with("<|tool_call_"));
        assert_eq!(lfm.calls, Some(CallFormat::Lfm));
    }

    #[test]
    fn a_template_tells_what_reasoning_is_framed_by() {
        for (template, begin) in [
            ("{{ messages }}", "<think>"),
            ("<think></think>", "<think>"),
            ("'<seed:think>' '</seed:think>'", "<seed:think>"),
            ("[THINK]x[/THINK]", "[THINK]"),
            ("<|channel>thought\\n<channel|>", "<|channel>thought"),
        ] {
            let format = TurnFormat::detect(template, |_| false);
            assert_eq!(format.reasoning_tags().map(|it| it.begin), Some(begin), "{template}");
        }
    }
}
