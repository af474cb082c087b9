//! Measures how long the choice of the context takes while a person types in a file.
//!
//! `cargo run --release -p runabout-context --example typing -- FOLDER FILE` opens the file of the workspace folder, reads
//! what it imports, and types in 40 places of it.
#![expect(clippy::print_stdout, reason = "a tool for a terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runabout_context::{Cursor, Kinds, Project};

const N_PLACES: usize = 40;
const TYPED: &str = "value = compute(first, second)";
const BUDGET_BYTES: usize = 4_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("expected a folder and a file in it".into());
    };
    let folder = PathBuf::from(folder).canonicalize()?;
    let path = folder.join(file);
    let mut text = std::fs::read_to_string(&path)?;
    let mut project = Project::new(vec![folder], Kinds::default());
    project.open(&path, None, &text);
    let start = Instant::now();
    let reading = project.reading(&path);
    println!("first parse, {} bytes: {:.2?}", text.len(), start.elapsed());
    let start = Instant::now();
    if let Some(reading) = reading {
        project.read(reading.run());
    }
    println!("reading the imports: {:.2?}", start.elapsed());

    let (mut in_new_place, mut typing) = (Vec::new(), Vec::new());
    for place in 0..N_PLACES {
        let line = text[..text.len() * place / N_PLACES].rfind('\n').map_or(0, |it| it + 1);
        let window = boundary(&text, line.saturating_sub(4_000))..boundary(&text, line + 1_500);
        for (i, typed) in TYPED.char_indices() {
            let at = line + i;
            let start = Instant::now();
            project.edit(&path, at..at, &typed.to_string());
            let cursor = Cursor { path: &path, at: at + 1, window: window.start..window.end + i + 1 };
            std::hint::black_box(project.context(&cursor, BUDGET_BYTES));
            let times = if i == 0 { &mut in_new_place } else { &mut typing };
            times.push(start.elapsed());
            text.insert(at, typed);
        }
        // A line of its own.
        let at = line + TYPED.len();
        project.edit(&path, at..at, "\n");
        text.insert(at, '\n');
    }
    println!("edit and choice in a new place: {}", summary(in_new_place));
    println!("edit and choice while typing: {}", summary(typing));
    Ok(())
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0)
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("median {:.2?}, 95th percentile {:.2?}, longest {:.2?}", at(50), at(95), at(100))
}
