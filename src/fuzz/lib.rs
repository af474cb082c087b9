//! Fuzzing: what reads bytes that others have written is given any bytes, and must not crash, hang or break its promises.
//!
//! A [`Target`] is one such reader with valid inputs to begin with. [`mutate`] changes them at random, which the tests do
//! for a moment ([`short`]); `cargo xtask fuzz` has libFuzzer look for inputs that reach code which none did before, for
//! as long as one likes.

mod acp;
mod clients;
mod edits;
mod format;
mod frames;
mod gguf;
mod json;
mod lsp;
mod mcp;
mod model_folder;
pub mod mutate;
mod params;
mod sample;
mod source;
mod template;
mod text;
mod tokenizer;
mod turn;
mod wheel;

/// A reader of foreign bytes.
pub struct Target {
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames::run, seeds: frames::seeds },
    Target { name: "params", run: params::run, seeds: params::seeds },
    Target { name: "gguf", run: gguf::run, seeds: gguf::seeds },
    Target { name: "wheel", run: wheel::run, seeds: wheel::seeds },
    Target { name: "model_json", run: json::run, seeds: json::seeds },
    Target { name: "tokenizer", run: tokenizer::run, seeds: tokenizer::seeds },
    Target { name: "template", run: template::run, seeds: template::seeds },
    Target { name: "turn", run: turn::run, seeds: turn::seeds },
    Target { name: "text", run: text::run, seeds: text::seeds },
    Target { name: "format", run: format::run, seeds: format::seeds },
    Target { name: "source", run: source::run, seeds: source::seeds },
    Target { name: "edits", run: edits::run, seeds: edits::seeds },
    Target { name: "lsp", run: lsp::run, seeds: lsp::seeds },
    Target { name: "mcp", run: mcp::run, seeds: mcp::seeds },
    Target { name: "acp", run: acp::run, seeds: acp::seeds },
    Target { name: "model_folder", run: model_folder::run, seeds: model_folder::seeds },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|it| it.name == name)
}

/// Runs a target on its seeds and on `n` inputs made of them, the same ones each time.
pub fn short(target: &Target, n: usize) {
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.run)(seed);
    }
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..n {
        (target.run)(&mutate::mutated(&seeds, &mut random));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough to notice what breaks on nearly every input; a second or so each.
    fn check(name: &str, n: usize) {
        short(target(name).expect("it is in the list"), n);
    }

    #[test]
    fn any_bytes_on_a_connection_are_answered_with_messages() {
        check("frames", 1_000);
    }

    #[test]
    fn params_are_read_as_they_are_written_or_refused() {
        check("params", 5_000);
    }

    #[test]
    fn a_damaged_gguf_file_is_refused_or_imported() {
        check("gguf", 200);
    }

    #[test]
    fn a_damaged_wheel_is_refused_or_unpacked() {
        check("wheel", 1_000);
    }

    #[test]
    fn damaged_files_of_a_model_folder_are_refused_or_read() {
        check("model_json", 1_000);
    }

    #[test]
    fn a_damaged_tokenizer_is_refused_or_encodes() {
        check("tokenizer", 100);
    }

    #[test]
    fn a_damaged_chat_template_is_refused_or_renders() {
        check("template", 300);
    }

    #[test]
    fn a_turn_is_read_in_the_same_way_however_it_is_cut() {
        check("turn", 1_000);
    }

    #[test]
    fn rules_and_stop_strings_cut_a_text_in_the_same_way_however_it_comes() {
        check("text", 500);
    }

    #[test]
    fn a_damaged_grammar_is_refused_or_holds_a_text() {
        check("format", 200);
    }

    #[test]
    fn broken_source_code_is_read() {
        check("source", 100);
    }

    #[test]
    fn any_answer_about_the_next_edit_is_read() {
        check("edits", 500);
    }

    #[test]
    fn whatever_an_editor_says_each_request_is_answered_once() {
        check("lsp", 80);
    }

    #[test]
    fn whatever_an_agents_client_says_each_request_is_answered_once() {
        check("mcp", 30);
    }

    #[test]
    fn whatever_a_chat_window_says_each_request_is_answered_once() {
        check("acp", 60);
    }

    // MLX is used by this test and that of the seeds only, and `RUST_TEST_THREADS` has them on one thread.
    #[test]
    fn a_damaged_model_is_refused_or_computes() {
        check("model_folder", 100);
    }
}
