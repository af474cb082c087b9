//! Measures how long the choice of the context takes while a person types in a file.
//!
//! `cargo run --release -p runabout-context --example typing -- FOLDER FILE` opens the file of the workspace folder, reads
//! what it imports, and types in 40 places of it.
#![expect(clippy::print_stdout, reason = "a tool for a terminal")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runabout_context::{Kinds, Project};

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
    project.open(&path, None, text.clone());
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
        for (i, typed) in TYPED.char_indices() {
            let at = line + i;
            let start = Instant::now();
            project.edit(&path, at..at, &typed.to_string());
            let context = project.context(&path, at + 1, BUDGET_BYTES).ok_or("the file is open")?;
            let times = if i == 0 { &mut in_new_place } else { &mut typing };
            times.push(start.elapsed());
            text.insert(at, typed);
            assert!(context.window.contains(&at));
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

fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("median {:.2?}, 95th percentile {:.2?}, longest {:.2?}", at(50), at(95), at(100))
}
