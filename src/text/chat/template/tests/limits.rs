//! What becomes of templates that do not end, take too much, or lead back to themselves.

use super::*;

/// Levels upon levels: each one holds the one before twice, or once. Like all templates here they are little above our own
/// bounds, and harmless elsewhere.
const WIDE: &str =
    "{% set ns = namespace(x=[1]) %}{% for i in range(24) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
const DEEP: &str =
    "{% set ns = namespace(x=[1]) %}{% for i in range(300) %}{% set ns.x = [ns.x] %}{% endfor %}";

/// A list and a text that a template may have, but not many times over.
const PAID: &str = "{% set ns = namespace(x=[1], t='a' * 2000000) %}{% for i in range(12) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let list = "{% set l = range(9999) | list %}{% set k = range(9999) | list %}{% for a in range(9999) %}{% for b in range(9999) %}";
    let wide = "{% set ns = namespace(x=[1]) %}{% for i in range(12) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% for a in range(9999) %}{% for b in range(9999) %}";
    let text = "{% set s = 'ab ' * 200000 %}{% for a in range(9999) %}{% for b in range(9999) %}";
    let end = "{% endfor %}{% endfor %}";
    // How often each may look at the clock before its fuel is spent; without a price for the work it would be far more often.
    let repeated = [
        (list, "{% set x = l.index(9998) %}", 20),
        (list, "{% set x = l.count(9999) %}", 20),
        (list, "{% set x = l < k %}", 20),
        (list, "{% set x = l | random %}", 60),
        (list, "{% set x = l | join %}", 20),
        (text, "{% set x = s.count('abc') %}", 10),
        (text, "{% set x = s[-1] %}", 10),
        (text, "{% set x = ''.maketrans(s, s) %}", 5),
        (text, "{% set x = {s: 1} %}", 10),
        (text, "{% set x = s | urlize | length %}", 1),
        (text, "{% set x = s | wordwrap(1000000) | length %}", 5),
        (text, "{% set x = s == s ~ '' %}", 10),
        (wide, "{% set x = ns.x == [ns.x[0], 1] %}", 60),
        (wide, "{% set x = {}[ns.x] %}", 60),
        (wide, "{% set x = [ns.x] | unique %}", 60),
    ]
    .map(|(start, middle, max_looks)| (format!("{start}{middle}{end}"), max_looks));
    let nested = [
        "ns.x",
        "ns.x | string",
        "ns.x | tojson",
        "ns.x ~ ''",
        "'%s' % (ns.x,)",
        "[ns.x] | join",
        "{ns.x: 1}",
    ]
    .iter()
    .flat_map(|it| [format!("{WIDE}{{{{ {it} }}}}"), format!("{DEEP}{{{{ {it} }}}}")]);
    let endless = [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(t='aaaaaaaaaaaaaaaa') %}{% for i in range(24) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
        "{% for i in range(9999) %}{{ 'a' * 99999 }}{% endfor %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f(n) %}{% if n > 0 %}{% set x = f(n - 1) %}{% set x = f(n - 1) %}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(300) %}{% set ns.x = ns.x | batch(1) | list %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(300) %}{% set ns.x = dict(a=ns.x) %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(300) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(300) %}{% set ns.x = (ns.x,) %}{% endfor %}",
    ]
    .map(str::to_owned);
    let repeating = [
        "[ns.x] * 99999",
        "[ns.t] * 99999",
        "([ns.t] * 9) * 99999",
        "ns.t.split('a')",
        "(ns.t * 9).splitlines()",
        "ns.t | wordwrap(1, wrapstring=ns.t)",
        "'{0}{0}{0}{0}{0}{0}'.format(ns.t * 30)",
        "('{:10000}' * 9999).format(1)",
        "('%10000d' * 9999) % ((1,) * 9999)",
        "('%(t)s' * 9999) % {'t': ns.t}",
        "[[ns.t]] | tojson(separators=(ns.t * 40, ':'))",
        "([1] * 999999) | tojson(indent=64)",
        "(ns.t | replace('a', '\n')) | indent(10000)",
    ]
    .map(|it| format!("{PAID}{{{{ {it} }}}}"));
    for template in endless.into_iter().chain(nested).chain(repeating) {
        let err = rendered(&template, &[Message::user("a")]).unwrap_err();
        assert!(matches!(err, TextError::ChatTemplateTooCostly { .. }), "{template}: {err}");
    }
    for (template, max_looks) in repeated {
        let templates = templates(json!({"chat_template": template}));
        let n_looks = n_looks(&|| {
            let err = render(&templates, &[]).unwrap_err();
            assert!(matches!(err, TextError::ChatTemplateTooCostly { .. }), "{template}: {err}");
        });
        assert!(n_looks <= max_looks, "{template}: {n_looks} looks at the clock");
    }
}

#[test]
fn more_columns_than_a_template_needs_are_refused_by_name() {
    for (expression, reason) in [
        ("'{:>10001}'.format('a')", "at most 10000 columns"),
        ("'{a:.10001f}'.format(a=1.5)", "at most 10000 columns"),
        ("'{a:10001}'.format_map({'a': 1})", "at most 10000 columns"),
        ("'%10001d' % 1", "at most 10000 columns"),
        ("'%*d' % (10001, 1)", "at most 10000 columns"),
        ("'%10001d' | format(1)", "at most 10000 columns"),
        ("'a'.center(10001)", "at most 10000 columns"),
        ("'a'.zfill(10001)", "at most 10000 columns"),
        ("'a' | center(10001)", "at most 10000 columns"),
        ("'a' | indent(10001)", "at most 10000 columns"),
        ("'a' | indent(width=10001)", "at most 10000 columns"),
        ("[1] | tojson(indent=65)", "at most 64 characters"),
        ("[1] | tojson(indent=' ' * 65)", "at most 64 characters"),
    ] {
        let err = rendered(&format!("{{{{ {expression} }}}}"), &[Message::user("a")]).unwrap_err();
        assert!(err.to_string().contains(reason), "{expression}: {err}");
    }
    for expression in [
        "'{:>10000}'.format('a')",
        "'%10000d' % 1",
        "'a'.ljust(10000)",
        "'{} {{\"a\":10001}}'.format('a' * 9999)",
    ] {
        let text = rendered(&format!("{{{{ {expression} }}}}"), &[Message::user("a")]).unwrap();
        assert!(text.len() >= 10_000, "{expression}");
    }
}

#[test]
fn slices_of_slices_and_sums_of_lists_stay_flat() {
    for value in ["ns.x[0:]", "ns.x[::-1]", "ns.x * 1"] {
        let template = format!(
            "{{% set ns = namespace(x=[1]) %}}{{% for i in range(5000) %}}{{% set ns.x = {value} %}}{{% endfor %}}{{{{ ns.x | tojson }}}}"
        );
        assert_eq!(rendered(&template, &[Message::user("a")]).unwrap(), "[1]", "{value}");
    }
}

#[test]
fn a_template_that_loads_another_one_is_unusable() {
    for (template, tag) in [
        ("{% include 'a' %}", "`include`"),
        ("a{% import 'a' as b %}", "`import`"),
        ("{% from 'a' import b %}", "`from`"),
        ("{% extends 'a' %}", "`extends`"),
        ("{% for m in messages %}{% include m.role ignore missing %}{% endfor %}", "`include`"),
    ] {
        let templates = templates(json!({"chat_template": template}));
        assert!(!templates.are_usable(), "{template}");
        let err = render(&templates, &[]).unwrap_err();
        assert!(matches!(err, TextError::BadChatTemplate { .. }), "{err}");
        assert!(err.to_string().contains(tag), "{err}");
    }
    let branch = "{% if messages[0].role == 'tool' %}{% include 'a' %}{% endif %}b";
    assert_eq!(rendered(branch, &[Message::user("a")]).unwrap(), "b");
    let err = rendered(branch, &[Message::new("tool", "a")]).unwrap_err();
    assert!(matches!(err, TextError::BadChatTemplate { .. }), "{err}");
}

/// How often `work` looks at the clock, which it does every few turns of a template's loops.
fn n_looks(work: &dyn Fn()) -> usize {
    let n_asked = Rc::new(Cell::new(0));
    let counted = Rc::clone(&n_asked);
    let may_go_on = move || {
        counted.set(counted.get() + 1);
        true
    };
    crate::interruptible(may_go_on, work);
    n_asked.get()
}

#[test]
fn a_template_that_spends_its_whole_budget_is_tried_once_at_load() {
    let endless = json!({"chat_template": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"});
    let loaded = templates(endless.clone());
    let at_a_run = n_looks(&|| assert!(render(&loaded, &[]).is_err()));
    let at_load = n_looks(&|| drop(templates(endless.clone())));
    assert!(at_a_run > 0 && at_load < 2 * at_a_run, "{at_load} looks at the clock, {at_a_run} in a run");
}

#[test]
fn what_a_namespace_holds_cannot_lead_back_to_it() {
    for value in ["ns", "[ns]", "{'a': [ns]}", "namespace()", "f", "cycler(1)", "joiner()"] {
        let template = format!(
            "{{% macro f() %}}{{% endmacro %}}{{% set ns = namespace() %}}{{% set ns.x = {value} %}}{{{{ ns }}}}"
        );
        let err = rendered(&template, &[Message::user("a")]).unwrap_err();
        assert!(err.to_string().contains("a namespace cannot contain another namespace"), "{err}");
    }
    let template = "{% set c = cycler('a', 'b') %}{% set sep = joiner('|') %}{% for i in range(3) %}{{ sep() }}{{ c.next() }}{% endfor %}";
    assert_eq!(rendered(template, &[Message::user("a")]).unwrap(), "a|b|a");
    let template = "{% set ns = namespace({'a': 1}, ) %}{% set ns.b = [ns.a] %}{{ ns.b }}{{ ns.c is defined }}{{ ns is callable }}{{ ns['a'] }}";
    assert_eq!(rendered(template, &[Message::user("a")]).unwrap(), "[1]FalseFalse1");
    let err = rendered("{% set x = {} %}{% set x.a = 1 %}", &[Message::user("a")]).unwrap_err();
    assert!(err.to_string().contains("can only assign to namespaces"), "{err}");
}

#[test]
fn a_run_that_is_given_up_ends_at_its_next_turn() {
    let endless = "{% for a in range(9999) %}{% endfor %}{{ messages[0].content }}";
    let run = || rendered(endless, &[Message::user("a")]);
    assert_eq!(run().unwrap(), "a");
    // The trials at load go through, and so does what asks no more.
    let templates = templates(json!({"chat_template": endless}));
    let err = crate::interruptible(|| false, || render(&templates, &[])).unwrap_err();
    assert!(matches!(err, TextError::ChatTemplateTooCostly { limit: "time" }), "{err}");
}

#[test]
fn a_long_conversation_has_fuel_enough() {
    let messages: Vec<Message> =
        (0..200).flat_map(|_| [Message::user("x".repeat(5_000)), Message::assistant("y")]).collect();
    // Looks back over all messages for each of them.
    let template = "{% for m in messages %}{% set ns = namespace(last=0) %}{% for n in messages %}{% if n.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{{ m.content.strip().split('</think>')[-1] | trim }}{% endfor %}";
    assert_eq!(rendered(template, &messages).unwrap().len(), 200 * 5_001);
    // Copies the prompt with each piece that it appends.
    let messages: Vec<Message> = (0..200).map(|_| Message::user("x".repeat(10_000))).collect();
    let template = "{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ '<user>' %}{% set ns.t = ns.t ~ m.content %}{% set ns.t = ns.t ~ '<end>' %}{% endfor %}{{ ns.t }}";
    assert_eq!(rendered(template, &messages).unwrap().len(), 200 * 10_011);
}
