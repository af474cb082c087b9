//! What a line at the prompt means: a message, or one of the commands that begin with a slash.

use std::fmt::Write;

/// A line at the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Message(String),
    Command(Command),
    /// Why the line is no command.
    Mistake(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Reset,
    /// Without a text, it shows the system prompt; with `-`, it removes it.
    System(Option<String>),
    /// Without a model, it names the present one.
    Model(Option<String>),
    Stats,
    Save(String),
    Load(String),
    Exit,
}

/// Name, argument and purpose of each command, in the order of `/help`.
const COMMANDS: [(&str, &str, &str); 8] = [
    ("reset", "", "begin a new conversation"),
    ("system", "[TEXT]", "show or set the system prompt; `-` removes it"),
    ("model", "[MODEL]", "name the model, or change to another one and keep the conversation"),
    ("stats", "", "what the conversation has cost so far"),
    ("save", "FILE", "write the conversation to a file, as JSON"),
    ("load", "FILE", "go on with a conversation from a file"),
    ("help", "", "show this list"),
    ("exit", "", "leave, like Ctrl-D"),
];

/// Encloses a message of several lines.
pub(super) const QUOTES: &str = "\"\"\"";

impl Line {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end();
        let Some(command) = line.strip_prefix('/') else {
            let text = line.trim_start();
            let text = text.strip_prefix(QUOTES).map_or(line, |it| it.strip_suffix(QUOTES).unwrap_or(it));
            let text = text.trim_matches('\n');
            return if text.trim().is_empty() { Self::Nothing } else { Self::Message(text.to_owned()) };
        };
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let argument = Some(argument.trim()).filter(|it| !it.is_empty()).map(str::to_owned);
        let needed = |it: Option<String>, make: fn(String) -> Command| match it {
            Some(it) => Self::Command(make(it)),
            None => Self::Mistake(format!("`/{name}` needs a file\nhint: `/{name} conversation.json`")),
        };
        match (name, argument) {
            ("help" | "?", _) => Self::Command(Command::Help),
            ("exit" | "quit" | "bye", _) => Self::Command(Command::Exit),
            ("reset" | "clear", _) => Self::Command(Command::Reset),
            ("stats", _) => Self::Command(Command::Stats),
            ("system", text) => Self::Command(Command::System(text)),
            ("model", model) => Self::Command(Command::Model(model)),
            ("save", file) => needed(file, Command::Save),
            ("load", file) => needed(file, Command::Load),
            _ => Self::Mistake(unknown(name)),
        }
    }
}

/// The list of the commands.
pub(super) fn help() -> String {
    let mut help = String::new();
    for (name, argument, about) in COMMANDS {
        let command = format!("/{name} {argument}");
        let _ = writeln!(help, "{command:<16} {about}");
    }
    help.push_str(
        "\nA message of several lines: Alt-Enter or Ctrl-J begins a new line, or enclose it in \"\"\".\n",
    );
    help.push_str(
        "Ctrl-C ends an answer early. A message that begins with a slash needs a space before it.\n",
    );
    help
}

fn unknown(name: &str) -> String {
    let nearest = COMMANDS
        .iter()
        .map(|it| it.0)
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let hint = nearest.filter(|it| strsim::jaro_winkler(it, name) > 0.8);
    let hint =
        hint.map_or_else(|| "`/help` lists the commands".to_owned(), |it| format!("did you mean `/{it}`?"));
    format!("there is no command `/{name}`\nhint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_a_command() {
        let text = |it: &str| Some(it.to_owned());
        let cases = [
            ("  \n", Line::Nothing),
            ("hello ", Line::Message("hello".into())),
            (" /etc/hosts?", Line::Message(" /etc/hosts?".into())),
            ("\"\"\"two\nlines\n\"\"\"", Line::Message("two\nlines".into())),
            ("/help", Line::Command(Command::Help)),
            ("/system", Line::Command(Command::System(None))),
            ("/system  Be brief. ", Line::Command(Command::System(text("Be brief.")))),
            ("/model smollm2-135m", Line::Command(Command::Model(text("smollm2-135m")))),
            ("/save a b.json", Line::Command(Command::Save("a b.json".into()))),
            ("/bye", Line::Command(Command::Exit)),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_mistake_is_answered_with_a_hint() {
        for (line, hint) in [
            ("/resett", "hint: did you mean `/reset`?"),
            ("/zzz", "hint: `/help` lists the commands"),
            ("/load", "hint: `/load conversation.json`"),
        ] {
            let Line::Mistake(said) = Line::parse(line) else { panic!("{line} is a mistake") };
            assert!(said.ends_with(hint), "{said}");
        }
    }
}
