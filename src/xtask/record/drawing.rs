//! A [`Recording`] as an animated picture in SVG: the file, and the text of the completion as it streams in.
//!
//! The recording stands in the picture as JSON, in its `metadata`.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::recording::Recording;

/// The size of a character, and of the space around the text, in pixels.
const CHAR: f64 = 8.4;
const LINE: f64 = 20.0;
const MARGIN: f64 = 18.0;
const N_COLUMNS: f64 = 66.0;

/// How long the picture waits before the request, and shows the end before it begins again, in milliseconds.
const BEFORE: u64 = 700;
const AFTER: u64 = 3500;

/// A place for a character.
#[derive(Clone, Copy, Default)]
struct Place {
    line: usize,
    column: usize,
}

pub(super) fn svg(recording: &Recording) -> Result<String> {
    let text = |name: &str| recording.params[name].as_str().with_context(|| format!("no `{name}`"));
    let (before, after) = (text("prefix")?, text("suffix")?);
    let last = recording.deltas.last().map_or(0, |(ms, _)| *ms);
    let total = BEFORE + last + AFTER;

    let mut body = String::new();
    let mut place = Place::default();
    draw(&mut body, &mut place, before, "code", None)?;
    let cursor = place;
    for (ms, piece) in &recording.deltas {
        draw(&mut body, &mut place, piece, "new", Some((BEFORE + ms, total)))?;
    }
    draw(&mut body, &mut place, after.trim_end(), "code", None)?;

    let first = recording.deltas.first().map_or(0, |(ms, _)| *ms);
    let caption = format!(
        "{} on {} CPUs, in real time: first text after {first} ms",
        recording.model, recording.n_cpus
    );
    let (x, y) = at(cursor);
    let width = N_COLUMNS * CHAR + 2.0 * MARGIN;
    let code_height = (place.line + 1) as f64 * LINE + 2.0 * MARGIN;
    let height = code_height + LINE + MARGIN / 2.0;
    let caption_y = code_height + LINE / 2.0;
    let gone = (BEFORE + first) as f64 / total as f64;
    let duration = total as f64 / 1e3;
    let metadata = escaped(&recording.to_json().to_string());
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img">
<title>A completion streams into the middle of a file</title>
<metadata>{metadata}</metadata>
<style>
text {{ font: 14px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }}
.code {{ fill: #c9d1d9; }} .new {{ fill: #7ee787; }} .caption {{ fill: #8b949e; font-size: 12px; }}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<rect x="{x:.1}" y="{:.1}" width="2" height="16" fill="#58a6ff" opacity="0"><animate attributeName="opacity" calcMode="discrete" values="1;0" keyTimes="0;{gone:.4}" dur="{duration}s" repeatCount="indefinite"/></rect>
{body}<text class="caption" x="{MARGIN}" y="{caption_y:.1}">{}</text>
</svg>
"##,
        y - 13.0,
        escaped(&caption),
    ))
}

/// The recording that a picture was drawn from.
#[cfg(test)]
pub(super) fn recording_in(svg: &str) -> Option<Recording> {
    let (_, rest) = svg.split_once("<metadata>")?;
    let (metadata, _) = rest.split_once("</metadata>")?;
    let json = metadata.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Recording::from_json(&serde_json::from_str(&json).ok()?)
}

/// Draws `text` from `place` on, and moves `place` behind it. With `appears`, two times in milliseconds, it shows from the
/// first on, in an animation that takes the second.
fn draw(
    body: &mut String,
    place: &mut Place,
    text: &str,
    class: &str,
    appears: Option<(u64, u64)>,
) -> Result<()> {
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            *place = Place { line: place.line + 1, column: 0 };
        }
        let indent = line.len() - line.trim_start().len();
        let shown = line.trim();
        if !shown.is_empty() {
            let (x, y) = at(Place { column: place.column + indent, ..*place });
            let length = shown.chars().count() as f64 * CHAR;
            let animation = appears.map_or_else(String::new, |(ms, total)| {
                format!(
                    r#"<animate attributeName="opacity" calcMode="discrete" values="0;1" keyTimes="0;{:.4}" dur="{}s" repeatCount="indefinite"/>"#,
                    ms as f64 / total as f64,
                    total as f64 / 1e3,
                )
            });
            writeln!(
                body,
                r#"<text class="{class}" x="{x:.1}" y="{y:.1}" textLength="{length:.1}">{}{animation}</text>"#,
                escaped(shown)
            )?;
        }
        place.column += line.chars().count();
    }
    Ok(())
}

/// Where the base line of a character begins.
fn at(place: Place) -> (f64, f64) {
    (MARGIN + place.column as f64 * CHAR, MARGIN + place.line as f64 * LINE + 14.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
