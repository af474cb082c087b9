//! Chat templates, which are programs in Jinja.

use runabout_text::{ChatRequest, Content, Message, TemplateVariables, Tokenizer};
use serde_json::json;

use crate::sample;

pub(crate) fn run(data: &[u8]) {
    let Ok(template) = std::str::from_utf8(data) else { return };
    let Ok(tokenizer) = Tokenizer::from_parts(&sample::parts(template)) else { return };
    let message = |role: &str, text: &str| Message {
        role: role.to_owned(),
        content: Some(Content::Text(text.to_owned())),
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    let messages = [message("system", "Be brief."), message("user", "a {{ b }} <|im_end|>")];
    let tools = [json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})];
    for tools in [&[][..], &tools] {
        let kwargs = TemplateVariables::default();
        let request =
            ChatRequest { messages: &messages, tools, kwargs: &kwargs, add_generation_prompt: true };
        let _ = (tokenizer.render_chat(&request), tokenizer.chat_prompt(&request));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m['content'] | trim }}{% endfor -%}",
        "{%- set ns = namespace(n=0) %}{%- macro f(x, y=2) %}{{ x * y }}{% endmacro %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{{ f(ns.n) }}{{ loop.index0 }}{% endfor %}",
        "{% if tools is defined and tools %}{{ tools | tojson(indent=2) }}{% else %}{{ raise_exception('no') }}{% endif %}",
        "{{ messages[-1].content.split('a')[::-1] | join(', ') | upper }}{{ strftime_now('%Y') }}{{ (1, 'b', [none])[0] }}",
        "{% for k, v in {'a': 1}.items() %}{{ '%s=%d' % (k, v) }}{% endfor %}{% generation %}{{ x ~ y }}{% endgeneration %}",
    ];
    texts.map(|it| it.as_bytes().to_vec()).into()
}
