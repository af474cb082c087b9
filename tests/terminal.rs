//! `runabout chat` as a person at a terminal meets it, in a pseudo-terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use crate::support::tiny_model;

const DEADLINE: Duration = Duration::from_mins(5);
/// What a program sends to ask for the place of the cursor, and an answer.
const WHERE: &str = "\x1b[6n";
const HERE: &[u8] = b"\x1b[1;1R";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const ENTER: &str = "\r";

/// A program in a terminal.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    /// How much of what was shown has been looked at.
    n_read: usize,
    /// Closes the terminal when it is dropped.
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

#[derive(Default)]
struct Shown {
    text: String,
    has_ended: bool,
}

impl Terminal {
    /// Starts `runabout chat`. Its state is kept in `home`.
    fn chat(model: &Path, home: &Path, args: &[&str]) -> Self {
        let size = PtySize { rows: 40, cols: 200, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runabout"));
        command.args(["chat", "--model"]);
        command.arg(model);
        command.args(args);
        command.env("RUNABOUT_HOME", home);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        command.cwd(home);
        let child = pair.slave.spawn_command(command).unwrap();
        // The program's end must close the terminal.
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let shown = Arc::new((Mutex::new(Shown::default()), Condvar::new()));
        let (of_reader, keys_of_reader) = (Arc::clone(&shown), Arc::clone(&keys));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose program has ended is an error on Linux.
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..n]);
                for _ in text.matches(WHERE) {
                    let mut keys = keys_of_reader.lock().unwrap();
                    let _ = keys.write_all(HERE).and_then(|()| keys.flush());
                }
                of_reader.0.lock().unwrap().text.push_str(&text);
                of_reader.1.notify_all();
            }
            of_reader.0.lock().unwrap().has_ended = true;
            of_reader.1.notify_all();
        });
        Self { child, keys, shown, n_read: 0, _master: pair.master }
    }

    fn press(&mut self, keys: &str) {
        let mut writer = self.keys.lock().unwrap();
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).unwrap();
    }

    /// Waits until the terminal shows `text` after what was waited for before.
    fn expect(&mut self, text: &str) {
        let (shown, changed) = &*self.shown;
        let is_missing = |it: &mut Shown| !it.text[self.n_read..].contains(text) && !it.has_ended;
        let (shown, _) = changed.wait_timeout_while(shown.lock().unwrap(), DEADLINE, is_missing).unwrap();
        let rest = &shown.text[self.n_read..];
        let Some(at) = rest.find(text) else { panic!("`{text}` is not shown, but {rest:?}") };
        self.n_read += at + text.len();
    }

    /// Waits for the prompt that follows an answer.
    fn expect_prompt(&mut self) {
        self.expect("> ");
    }

    fn enter(&mut self, line: &str) {
        self.press(&format!("{line}{ENTER}"));
    }

    fn leave(mut self) {
        self.press(CTRL_D);
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < DEADLINE, "the program goes on after Ctrl-D");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn a_conversation_goes_on_until_ctrl_d_and_can_be_saved_and_loaded() {
    let home = tempfile::tempdir().unwrap();
    let args = ["--max-tokens", "4", "--temp", "0", "--system", "Be brief."];
    let mut terminal = Terminal::chat(tiny_model::folder(), home.path(), &args);
    terminal.expect("`/help` lists the commands");
    terminal.expect_prompt();
    terminal.enter("first question");
    terminal.expect("(cut off");
    terminal.expect_prompt();
    terminal.enter("/stats");
    terminal.expect("1 answers");
    terminal.expect("Generation: 4 tokens");
    terminal.expect_prompt();
    terminal.enter("/save talk.json");
    terminal.expect("2 messages written");
    terminal.expect_prompt();
    terminal.enter("/resett");
    terminal.expect("did you mean `/reset`?");
    terminal.expect_prompt();
    terminal.enter("/reset");
    terminal.expect("a new conversation");
    terminal.expect_prompt();
    terminal.enter("/load talk.json");
    terminal.expect("2 messages read");
    terminal.expect_prompt();
    terminal.leave();

    let saved = std::fs::read(home.path().join("talk.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    let roles: Vec<_> =
        saved["messages"].as_array().unwrap().iter().map(|it| it["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    assert_eq!(saved["messages"][1]["content"], "first question");
    let history = std::fs::read_to_string(home.path().join("state/chat_history")).unwrap();
    assert!(history.contains("first question"), "{history}");
}

#[test]
fn several_pasted_lines_are_one_message() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal =
        Terminal::chat(tiny_model::folder(), home.path(), &["--max-tokens", "2", "--no-history"]);
    terminal.expect("lists the commands");
    terminal.expect_prompt();
    terminal.press("\x1b[200~one\ntwo\x1b[201~");
    terminal.enter("");
    terminal.expect("(cut off");
    terminal.expect_prompt();
    terminal.press("\"\"\"three\r");
    terminal.enter("four\"\"\"");
    terminal.expect("(cut off");
    terminal.expect_prompt();
    terminal.enter("/save talk.json");
    terminal.expect("4 messages written");
    terminal.expect_prompt();
    terminal.leave();
    let saved = std::fs::read(home.path().join("talk.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    assert_eq!(saved["messages"][0]["content"], "one\ntwo");
    assert_eq!(saved["messages"][2]["content"], "three\nfour");
    assert!(!home.path().join("state/chat_history").exists());
}

#[test]
fn ctrl_c_ends_the_answer_and_not_the_program() {
    let home = tempfile::tempdir().unwrap();
    let args = ["--max-tokens", "8000", "--temp", "0"];
    let mut terminal = Terminal::chat(tiny_model::slow_folder(), home.path(), &args);
    terminal.expect("lists the commands");
    terminal.expect_prompt();
    terminal.enter("go on for ever");
    // The line end behind the message, and with it the answer.
    terminal.expect("ever");
    terminal.expect("\u{FFFD}");
    terminal.press(CTRL_C);
    terminal.expect("(interrupted)");
    terminal.expect_prompt();
    terminal.press(&format!("nothing{CTRL_C}"));
    terminal.expect_prompt();
    let other = tiny_model::folder().to_str().unwrap();
    terminal.enter("/model ./no-such-folder");
    terminal.expect("is loaded again");
    terminal.expect_prompt();
    terminal.enter(&format!("/model {other}"));
    terminal.expect("tiny-model");
    terminal.expect_prompt();
    terminal.leave();
}
