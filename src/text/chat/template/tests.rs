//! Prompts beside transformers', and what becomes of templates that cannot be used.

#![allow(clippy::unwrap_used)]

mod limits;

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{Content, Message, ToolCall};

/// What `render_jinja_template` of transformers makes of these templates and conversations: 5.23 in `cases.json`, 5.24 in
/// `families.json`, whose conversations are those of `tests/templates`, which compares many models' own templates.
/// `smollm2` and `qwen2.5-coder` are the models' own (Apache-2.0); the others are written in the style of a family.
#[derive(Deserialize)]
struct Oracle {
    special_tokens: Value,
    tools: Vec<Value>,
    conversations: Map<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    tools: bool,
    kwargs: Map<String, Value>,
    add_generation_prompt: bool,
    rendered: Option<String>,
    refused: Option<String>,
}

fn source(template: &str) -> &'static str {
    match template {
        "smollm2" => include_str!("../../testdata/chat/smollm2.jinja"),
        "qwen2.5-coder" => include_str!("../../testdata/chat/qwen2.5-coder.jinja"),
        "llama3-style" => include_str!("../../testdata/chat/llama3-style.jinja"),
        "mistral-style" => include_str!("../../testdata/chat/mistral-style.jinja"),
        "gemma-style" => include_str!("../../testdata/chat/gemma-style.jinja"),
        "deepseek-style" => include_str!("../../testdata/chat/deepseek-style.jinja"),
        "qwen3-style" => include_str!("../../testdata/chat/qwen3-style.jinja"),
        "qwen3-coder-style" => include_str!("../../testdata/chat/qwen3-coder-style.jinja"),
        "harmony-style" => include_str!("../../testdata/chat/harmony-style.jinja"),
        "arguments-style" => include_str!("../../testdata/chat/arguments-style.jinja"),
        "odds-and-ends" => include_str!("../../testdata/chat/odds-and-ends.jinja"),
        _ => panic!("no template `{template}`"),
    }
}

fn templates(config: Value) -> ChatTemplates {
    ChatTemplates::new(&TokenizerParts { tokenizer_config: Some(config), ..TokenizerParts::default() })
}

fn render(templates: &ChatTemplates, tools: &[Value]) -> Result<String, TextError> {
    let messages = [Message::user("hi")];
    templates.render(&ChatRequest {
        messages: &messages,
        tools,
        kwargs: &Map::new(),
        add_generation_prompt: true,
    })
}

#[test]
fn prompts_equal_transformers_character_by_character() {
    let oracles: [Oracle; 2] = [
        serde_json::from_str(include_str!("../../testdata/chat/cases.json")).unwrap(),
        serde_json::from_str(include_str!("../../testdata/chat/families.json")).unwrap(),
    ];
    assert!(oracles.iter().map(|it| it.cases.len()).sum::<usize>() > 70);
    for (oracle, case) in oracles.iter().flat_map(|it| it.cases.iter().map(move |case| (it, case))) {
        let mut config = oracle.special_tokens.clone();
        config["chat_template"] = source(&case.template).into();
        let messages: Vec<Message> =
            serde_json::from_value(oracle.conversations[&case.conversation].clone()).unwrap();
        let rendered = templates(config).render(&ChatRequest {
            messages: &messages,
            tools: if case.tools { &oracle.tools } else { &[] },
            kwargs: &case.kwargs,
            add_generation_prompt: case.add_generation_prompt,
        });
        let name = format!("{}, {}, tools: {}", case.template, case.conversation, case.tools);
        match (rendered, &case.rendered, &case.refused) {
            (Ok(rendered), Some(expected), None) => assert_eq!(&rendered, expected, "{name}"),
            (Err(TextError::ConversationRefused { reason }), None, Some(expected)) => {
                assert_eq!(&reason, expected, "{name}");
            }
            (rendered, ..) => panic!("{name}: {rendered:?}"),
        }
    }
}

#[test]
fn a_list_of_templates_has_one_for_tools() {
    let both = templates(json!({"chat_template": [
        {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with tools"},
    ]}));
    assert_eq!(render(&both, &[]).unwrap(), "plain");
    assert_eq!(render(&both, &[json!({})]).unwrap(), "with tools");
}

#[test]
fn templates_by_name_may_be_an_object() {
    let both = templates(json!({"chat_template": {"tool_use": "with tools", "default": "plain"}}));
    assert_eq!(render(&both, &[]).unwrap(), "plain");
    assert_eq!(render(&both, &[json!({})]).unwrap(), "with tools");
}

#[test]
fn functions_that_do_not_exist_are_found_when_a_template_is_loaded() {
    let source = "{% macro m(a) %}{{ a() }}{{ caller() }}{% endmacro %}{% set f = m %}{{ m(1) }}{{ f(1) }}\n\
        {% for g, h in messages %}{{ g() ~ h() }}{% endfor %}{{ range(1) }}{{ raise_exception('x') }}\n\
        {% if tools %}{{ fetch(1) }}{% endif %}{{ messages.append(strftime_then('%Y')) }}";
    let environment = environment();
    let unknown = compile::unknown_functions(source, environment.syntax(), &environment).unwrap();
    assert_eq!(unknown, [("fetch".to_owned(), 3), ("strftime_then".to_owned(), 3)]);
    // Only a chat that comes to the call fails, as in Jinja2, and the error names it.
    let some = templates(json!({"chat_template": "{% if tools %}{{ fetch(1) }}{% endif %}x"}));
    assert_eq!(render(&some, &[]).unwrap(), "x");
    let err = render(&some, &[json!({})]).unwrap_err();
    assert!(matches!(&err, TextError::BadChatTemplate { reason } if reason.contains("fetch")), "{err}");
}

#[test]
fn a_template_that_is_no_text_is_named() {
    for wrong in [
        json!(5),
        json!(true),
        json!(["a"]),
        json!([{"name": "default"}]),
        json!([{"name": 5, "template": "x"}]),
        json!({"default": 5}),
    ] {
        let broken = templates(json!({"chat_template": wrong}));
        assert!(!broken.are_usable());
        let err = render(&broken, &[]).unwrap_err();
        assert!(
            matches!(&err, TextError::BadChatTemplate { reason } if reason.starts_with("`chat_template` must be")),
            "{err}"
        );
    }
    for none in [json!(null), json!([]), json!({})] {
        let err = render(&templates(json!({"chat_template": none})), &[]).unwrap_err();
        assert!(matches!(err, TextError::NoChatTemplate), "{err}");
    }
}

#[test]
fn a_template_file_goes_before_the_configuration() {
    let parts = TokenizerParts {
        tokenizer_config: Some(json!({"chat_template": "old", "bos_token": {"content": "<b>"}})),
        chat_template: Some(json!("{{ bos_token }}new")),
        ..TokenizerParts::default()
    };
    assert_eq!(render(&ChatTemplates::new(&parts), &[]).unwrap(), "<b>new");
}

#[test]
fn a_model_without_a_template_says_so() {
    let err = render(&templates(json!({})), &[]).unwrap_err();
    assert!(matches!(err, TextError::NoChatTemplate), "{err}");
}

/// A template, and the conversation that it is given.
fn rendered(template: &str, messages: &[Message]) -> Result<String, TextError> {
    templates(json!({"chat_template": template})).render(&ChatRequest {
        messages,
        tools: &[],
        kwargs: &Map::new(),
        add_generation_prompt: true,
    })
}

#[test]
fn a_broken_template_costs_the_chat_and_says_where() {
    for (template, expected) in [
        ("a\n{% if %}", "(line 2)"),
        ("{{ messages | nothing }}", "no filter named `nothing` (line 1)"),
        (
            "\n{% for m in messages %}{% if m is odd_one %}{% endif %}{{ m is odd_two }}{% endfor %}",
            "no test named `odd_two` (line 2)",
        ),
        ("\n{{ 'a'.encode('utf-8') }}", "no method `encode`, since a prompt cannot hold bytes (line 2)"),
    ] {
        let broken = templates(json!({"chat_template": template}));
        assert!(!broken.are_usable());
        let err = render(&broken, &[]).unwrap_err();
        assert!(matches!(&err, TextError::BadChatTemplate { reason } if reason.ends_with(expected)), "{err}");
    }
}

#[test]
fn a_filter_that_is_missing_in_a_branch_is_the_templates_fault_when_the_branch_is_taken() {
    for (expression, name) in [("messages | nothing", "nothing"), ("'a'.encode()", "encode")] {
        let template =
            format!("{{% if messages | length > 1 %}}{{{{ {expression} }}}}{{% else %}}one{{% endif %}}");
        assert_eq!(rendered(&template, &[Message::user("a")]).unwrap(), "one");
        let err = rendered(&template, &[Message::user("a"), Message::user("b")]).unwrap_err();
        assert!(matches!(&err, TextError::BadChatTemplate { reason } if reason.contains(name)), "{err}");
    }
}

#[test]
fn a_template_of_tools_alone_that_is_broken_leaves_the_others() {
    let both = templates(json!({"chat_template": [
        {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{% if %}"},
    ]}));
    assert!(both.are_usable());
    assert_eq!(render(&both, &[]).unwrap(), "plain");
    assert!(matches!(render(&both, &[json!({})]), Err(TextError::BadChatTemplate { .. })));
}

#[test]
fn no_content_reaches_the_template_as_none() {
    let call = ToolCall { id: None, name: "f".into(), arguments: json!({"a": 1}) };
    let message = Message { role: "assistant".into(), tool_calls: vec![call], ..Message::default() };
    let template = "{% for m in messages %}{% if m.content is none %}{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
    assert_eq!(rendered(template, &[message]).unwrap(), r#"f{"a": 1}"#);
}

#[test]
fn a_template_that_cannot_take_none_gets_an_empty_content() {
    let call = ToolCall { id: None, name: "f".into(), arguments: json!({"a": 1}) };
    let message = Message { role: "assistant".into(), tool_calls: vec![call], ..Message::default() };
    let template = "{% for m in messages %}{{ m.content.strip() }}{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}";
    assert_eq!(rendered(template, &[message]).unwrap(), r#"f{"a": 1}"#);
}

#[test]
fn arguments_are_handed_over_in_the_shape_that_the_template_writes() {
    let object = "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}";
    let items = "{% for m in messages %}{% for c in m.tool_calls %}{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}{% endfor %}{% endfor %}{% endfor %}";
    let text = "{% for m in messages %}{% for c in m.tool_calls %}{{ '```json' + c['function']['arguments'] }}{% endfor %}{% endfor %}";
    let emitted = "{% for m in messages %}{% for c in m.tool_calls %}{{ c['function']['arguments'] }}{% endfor %}{% endfor %}";
    for (template, expected) in [
        (object, r#"{"a": "é", "n": 1}"#),
        (items, "<a>é<n>1"),
        (text, r#"```json{"a": "é", "n": 1}"#),
        (emitted, r#"{"a": "é", "n": 1}"#),
    ] {
        for arguments in [json!({"a": "é", "n": 1}), json!(r#"{"a": "é", "n": 1}"#)] {
            let call = ToolCall { id: None, name: "f".into(), arguments };
            let message = Message { tool_calls: vec![call], ..Message::assistant("") };
            assert_eq!(rendered(template, &[message]).unwrap(), expected, "{template}");
        }
    }
}

#[test]
fn parts_are_a_list_where_the_template_reads_one_and_a_text_where_it_does_not() {
    let parts = Content::Parts(vec!["one".into(), "two".into()]);
    let messages = [Message { role: "user".into(), content: Some(parts), ..Message::default() }];
    let lists = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
    assert_eq!(rendered(lists, &messages).unwrap(), "[one][two]");
    for texts in [
        "{{ '<u>' + messages[0].content }}",
        "<u>{{ messages[0].content }}",
        "<u>{{ messages[0].content | tojson }}",
    ] {
        let expected = if texts.contains("tojson") { "<u>\"onetwo\"" } else { "<u>onetwo" };
        assert_eq!(rendered(texts, &messages).unwrap(), expected);
    }
}

// The expected values are those of Jinja2 3.1.
#[test]
fn operators_and_tests_are_pythons() {
    // Constants are folded at load.
    let values = "{% set big = 1e16 %}{% set small = 1e-7 %}{% set nothing = none %}{% set one = 1 %}{% set text = 'a' %}";
    for (expression, expected) in [
        ("none is iterable", "False"),
        ("missing is iterable", "True"),
        ("'a' is iterable", "True"),
        ("1 is iterable", "False"),
        ("'a' is sequence", "True"),
        ("none is sequence", "False"),
        ("{} is sequence", "True"),
        ("raise_exception is callable", "True"),
        ("messages is callable", "False"),
        ("big ~ small ~ nothing ~ [big, text]", "1e+161e-07None[1e+16, 'a']"),
        ("'%s is %d, %05.1f%%|%-4s|%(x)s' | string", "%s is %d, %05.1f%%|%-4s|%(x)s"),
        ("'%s is %d, %05.1f%%|%-4s|%+d' % ('a', 2.9, 3.14159, 'b', 5)", "a is 2, 003.1%|b   |+5"),
        ("'%(a)s-%(b)r' % {'a': 1, 'b': 'x'}", "1-'x'"),
        ("'%g %g %e %x' % (0.0001, 1e20, 12345.678, 255)", "0.0001 1e+20 1.234568e+04 ff"),
        ("-7 % 3 ~ ' ' ~ 7 % -3 ~ ' ' ~ 7.5 % 2", "2 -2 1.5"),
        ("(one + 2.5) ~ ([one] + [2]) ~ ((one, 2) + (3,)) ~ (true + one)", "3.5[1, 2](1, 2, 3)2"),
        ("'<a>'|safe + '<b>' + text", "<a>&lt;b&gt;a"),
        ("'<a>'|safe ~ '<b>'", "<a><b>"),
        ("text in missing", "False"),
        ("one < 2.5 and text < 'b' and true <= one", "True"),
    ] {
        let template = format!("{values}{{{{ {expression} }}}}");
        assert_eq!(rendered(&template, &[Message::user("a")]).unwrap(), expected, "{expression}");
    }
    for expression in [
        "text + one",
        "text + nothing",
        "[one] + (1,)",
        "text in nothing",
        "one in text",
        "one < text",
        "nothing < one",
        "'%s' % (1, 2)",
        "'%d' % 'a'",
        "one % 0",
    ] {
        let template = format!("{values}{{{{ {expression} }}}}");
        let err = rendered(&template, &[Message::user("a")]).unwrap_err();
        assert!(matches!(err, TextError::ChatTemplateFailed { .. }), "{expression}: {err}");
    }
}

#[test]
fn a_template_that_fails_names_the_reason() {
    let err =
        render(&templates(json!({"chat_template": "{{ messages[0].content.nothing() }}"})), &[]).unwrap_err();
    assert!(matches!(&err, TextError::ChatTemplateFailed { reason } if reason.contains("nothing")), "{err}");
}

// The expected values are those of Jinja2 3.1.
#[test]
fn filters_and_methods_are_jinjas_and_pythons() {
    for (expression, expected) in [
        ("'a b-c_d'|wordcount", "3"),
        ("'ab'|center(7)", "   ab  "),
        ("'foo bar baz qux'|truncate(9)", "foo..."),
        ("'foo bar baz qux'|truncate(9, True)", "foo ba..."),
        ("'foo bar baz qux'|truncate(11)", "foo bar baz qux"),
        ("'aaa bbb ccc'|wordwrap(7)", "aaa bbb\nccc"),
        ("'ä b/c?'|urlencode", "%C3%A4%20b/c%3F"),
        ("{'a': 'x y', 'b': 1}|urlencode", "a=x+y&b=1"),
        ("[1e16, none, 'a']|join('-')", "1e+16-None-a"),
        ("messages|join(',', attribute='role')", "user"),
        ("(2 ** 100)|tojson", "1267650600228229401496703205376"),
        ("{true: 1, none: 2, 3: 4}|tojson", "{\"true\": 1, \"null\": 2, \"3\": 4}"),
        ("'a,b,c'.rsplit(',', 1)", "['a,b', 'c']"),
        ("' a  b c '.split(none, 1)", "['a', 'b c ']"),
        ("'a b  c '.rsplit(maxsplit=1)", "['a b', 'c']"),
        ("'a,b'.split(sep=',')", "['a', 'b']"),
        ("'k=v=w'.partition('=')", "('k', '=', 'v=w')"),
        ("'k=v=w'.rpartition('=')[2]", "w"),
        ("'abc'.removeprefix('a').removesuffix('c')", "b"),
        ("'abcabc'.index('c') ~ 'abcabc'.rindex('c')", "25"),
        (
            "'-7'.zfill(4) ~ '|' ~ 'ab'.center(5, '*') ~ '|' ~ 'a'.ljust(3) ~ '|' ~ 'a'.rjust(3)",
            "-007|**ab*|a  |  a",
        ),
        ("'aB'.swapcase() ~ \"they're x1y\".title() ~ 'A Bc'.istitle()", "AbThey'Re X1YTrue"),
        ("'a\\tb'.expandtabs(4)", "a   b"),
        ("'a\\r\\nb\\x0bc'.splitlines()", "['a', 'b', 'c']"),
        (
            "'a_1'.isidentifier() ~ '1a'.isidentifier() ~ '12'.isdecimal() ~ '1½'.isdigit()",
            "TrueFalseTrueFalse",
        ),
        ("[1, 2].index(2) ~ 2.0.is_integer()", "1True"),
        ("'%d-%s'|format(1, 'a') ~ '%(x)s'|format(x=2)", "1-a2"),
        ("[1, 2, 3][1:]|tojson ~ ([0] * 2)|tojson", "[2, 3][0, 0]"),
        ("'aaaa bb c'|wordwrap(3)", "aaa\na\nbb\nc"),
        (
            "('aaaa bb'|wordwrap(3, false), ''|wordwrap(3), 'a\n\nb'|wordwrap(3))",
            "('aaaa\\nbb', '', 'a\\n\\nb')",
        ),
        ("{'a': 1}.copy()", "{'a': 1}"),
        ("'abc'.translate({97: 'x', 98: none})", "xc"),
        ("'abcd'.translate(''.maketrans('ab', 'xy', 'c'))", "xyd"),
        ("'abc'.maketrans({'a': 'bcd', 98: none})", "{97: 'bcd', 98: None}"),
        ("'abc'.translate({97: 98}) ~ 'abc'.translate('xyz') ~ 'abc'.translate({'a': 'b'})", "bbcabcabc"),
        ("'{a} {b[0]} {{}}'.format_map({'a': 1, 'b': [2]})", "1 2 {}"),
        ("'{a.b:>5}'.format_map({'a': {'b': 1}})", "    1"),
    ] {
        let template = format!("{{{{ {expression} }}}}");
        assert_eq!(rendered(&template, &[Message::user("a")]).unwrap(), expected, "{expression}");
    }
    for expression in [
        "missing|tojson",
        "messages|map(attribute='role')|tojson",
        "'a'.index('b')",
        "[1].append(2)",
        "''.maketrans('a', 'bc')",
        "'{x}'.format_map({})",
        "'tel:1'|urlize(extra_schemes=['tel'])",
    ] {
        let template = format!("{{{{ {expression} }}}}");
        assert!(rendered(&template, &[Message::user("a")]).is_err(), "{expression}");
    }
}

// The expected values are those of Jinja2 3.1.
#[test]
fn addresses_become_links_as_in_jinja() {
    for (expression, expected) in [
        ("'a http://a/z  b\tx.org'|urlize", "a http://a/z  b\tx.org"),
        (
            "'www.hub.example'|urlize",
            r#"<a href="https://www.hub.example" rel="noopener">www.hub.example</a>"#,
        ),
        ("'(Me@x.org), @a@b.c'|urlize", r#"(<a href="mailto:Me@x.org">Me@x.org</a>), @a@b.c"#),
        (
            "'http://example.com/abcdefghijklmnop'|urlize(20, true)",
            r#"<a href="http://example.com/abcdefghijklmnop" rel="nofollow noopener">http://example.com/a...</a>"#,
        ),
        (
            "'see (example.org/a_(b)). <b>'|urlize(target='_blank', rel='b a')",
            r#"see (<a href="https://example.org/a_(b)" rel="a b noopener" target="_blank">example.org/a_(b)</a>). &lt;b&gt;"#,
        ),
        (
            "'http://127.0.0.1:80?q'|urlize",
            r#"<a href="http://127.0.0.1:80?q" rel="noopener">http://127.0.0.1:80?q</a>"#,
        ),
        ("'mailto:a@b.c'|urlize", r#"<a href="mailto:a@b.c">a@b.c</a>"#),
        (
            "'tel:123 x:1'|urlize(extra_schemes=['tel:'])",
            r#"<a href="tel:123" rel="noopener">tel:123</a> x:1"#,
        ),
        ("3|urlize", "3"),
    ] {
        let template = format!("{{{{ {expression} }}}}");
        assert_eq!(rendered(&template, &[Message::user("a")]).unwrap(), expected, "{expression}");
    }
}

// The expected values are those of Jinja2 3.1.
#[test]
fn integers_of_any_length_are_written_digit_by_digit() {
    let long = "1000000000000000000000000000000000000000000000";
    let kwargs = json!({
        "n": {"__integer__": "18446744073709551616"}, "b": {"__integer__": long},
        "m": {"__integer__": format!("-{long}")}, "text": {"__integer__": "12 a"}, "short": {"__integer__": "5"},
    });
    let template = templates(json!({"chat_template":
        "{{ n }} {{ [n, b] | tojson }} {{ {'m': m} | tojson(indent=1) }} {{ [b] }}{{ b ~ 'x' }} {{ '%s %d' % (b, n) }} {{ n + 1 }} {{ b is number }} {{ b is integer }} {{ b is callable }} {{ b == b }} {{ m == b }} {{ text | tojson }} {{ short | tojson }}"
    }));
    let request = ChatRequest {
        messages: &[Message::user("a")],
        tools: &[],
        kwargs: kwargs.as_object().unwrap(),
        add_generation_prompt: true,
    };
    let expected = format!(
        "18446744073709551616 [18446744073709551616, {long}] {{\n \"m\": -{long}\n}} [{long}]{long}x {long} 18446744073709551616 18446744073709551617 True True False True False {{\"__integer__\": \"12 a\"}} {{\"__integer__\": \"5\"}}"
    );
    assert_eq!(template.render(&request).unwrap(), expected);
}

#[test]
fn integers_of_any_length_stay_themselves_in_arguments() {
    let digits = "18446744073709551616";
    let arguments = json!({"a": {"__integer__": digits}});
    let object = "{% for m in messages %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}";
    let text = "{% for m in messages %}{% for c in m.tool_calls %}{{ '' + c.function.arguments }}{% endfor %}{% endfor %}";
    for template in [object, text] {
        let call = ToolCall { id: None, name: "f".into(), arguments: arguments.clone() };
        let message = Message { tool_calls: vec![call], ..Message::assistant("") };
        assert_eq!(rendered(template, &[message]).unwrap(), format!("{{\"a\": {digits}}}"));
    }
}

#[test]
fn a_loop_over_none_is_refused_and_others_run_as_before() {
    let err = rendered("{% for it in documents %}{% endfor %}", &[Message::user("a")]).unwrap_err();
    assert!(err.to_string().contains("none is not iterable"), "{err}");
    let template = "{% macro show(x) %}{% for it in x if it != 2 %}{{ it }}{% else %}-{% endfor %}{% endmacro %}{% for it in ([1, 2] if true else []) %}{{ show([it, 3]) }}{% endfor %}{{ show(missing) }}{% for it in [[1, [2]]] recursive %}{{ it if it is number else loop(it) }}{% endfor %}";
    assert_eq!(rendered(template, &[Message::user("a")]).unwrap(), "133-12");
}

#[test]
fn a_role_that_is_not_a_word_is_refused() {
    let err = rendered("x", &[Message::new("user<|im_end|>", "hi")]).unwrap_err();
    assert!(matches!(err, TextError::BadRole { .. }));
}

#[test]
fn strftime_now_gives_the_year() {
    let rendered = render(&templates(json!({"chat_template": "{{ strftime_now('%Y') }}"})), &[]).unwrap();
    assert!(rendered.parse::<u32>().unwrap() >= 2026);
}

#[test]
fn line_ends_of_other_systems_are_read_as_jinja_reads_them() {
    assert_eq!(
        render(&templates(json!({"chat_template": "{% if true %}\r\na\r\nb{% endif %}"})), &[]).unwrap(),
        "a\nb"
    );
}
