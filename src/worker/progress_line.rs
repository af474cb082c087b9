//! The progress of long work, on stderr: a bar on a terminal that is erased in the end, else a plain line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use runabout_assist::{LoadStage, State};
use runabout_engine::Engine;

/// The time between plain lines. Work that takes less is not reported.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

const KNOWN: &str = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
const UNKNOWN: &str = "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}";

/// Shows one piece of work at a time.
#[derive(Default)]
pub(crate) struct ProgressLine {
    form: Form,
    stage: String,
}

enum Form {
    Bar(ProgressBar),
    /// The time of the last line, or of the start.
    Lines(Instant),
}

impl Default for Form {
    fn default() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Instant::now());
        }
        Self::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }
}

impl ProgressLine {
    /// Shows the stage `what` with `done` of `total` bytes; a `total` of 0 means that it is not known.
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64) {
        if done == 0 && total == 0 {
            return;
        }
        match &mut self.form {
            Form::Bar(bar) => {
                if self.stage != what {
                    what.clone_into(&mut self.stage);
                    bar.reset();
                    bar.set_message(self.stage.clone());
                }
                let length = (total > 0).then_some(total);
                if bar.length() != length {
                    let template = if total > 0 { KNOWN } else { UNKNOWN };
                    bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
                    match length {
                        Some(length) => bar.set_length(length),
                        None => bar.unset_length(),
                    }
                }
                bar.set_position(done);
            }
            Form::Lines(last) => {
                if last.elapsed() < BETWEEN_LINES {
                    return;
                }
                *last = Instant::now();
                // A line that cannot be shown is no reason to fail.
                let _ = match total {
                    0 => writeln!(std::io::stderr(), "{what}: {}", BinaryBytes(done)),
                    _ => {
                        writeln!(std::io::stderr(), "{what}: {} of {}", BinaryBytes(done), BinaryBytes(total))
                    }
                };
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
        *self = Self::default();
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

/// Shows the progress of loading until the model is ready or has failed.
pub(crate) async fn show_loading(engine: &Engine) {
    let mut state = engine.watch_state();
    let mut line = ProgressLine::default();
    loop {
        let State::Loading(progress) = *state.borrow_and_update() else { return };
        let stage = match progress.stage {
            LoadStage::Download => "downloading",
            LoadStage::Load => "loading",
        };
        line.show(stage, progress.done, progress.total);
        if state.changed().await.is_err() {
            return;
        }
    }
}
