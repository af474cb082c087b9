//! Text as HTML shows it: [`escaped`].

/// The text with HTML's own characters written as entities, as Jinja2 writes them.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}
