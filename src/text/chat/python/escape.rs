//! Text escaped for HTML: [`escaped`].

/// The text with HTML's special characters as entities, spelt as in Jinja2.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}
