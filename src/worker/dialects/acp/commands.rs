//! The commands that a person can write instead of a message: a slash, a name, and for some an argument.

use std::path::Path;

use agent_client_protocol_schema::v1::{
    AvailableCommand, AvailableCommandInput, AvailableCommandsUpdate, SessionUpdate, UnstructuredCommandInput,
};

use super::block::Block;
use super::wording;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The model is to see nothing of what was said before.
    Clear,
    /// Files are to be changed as this instruction says.
    Edit { instruction: String },
    /// The person wants to know about the model and the conversation.
    Status,
}

/// The command that a prompt is, if it is one: the first thing that the person wrote begins with its name. A slash
/// before another word is no command: it may begin a path.
pub(super) fn of(blocks: &[Block], cwd: &Path) -> Option<Command> {
    let is_text = |it: &Block| matches!(it, Block::Text(text) if !text.trim().is_empty());
    let begun = blocks.iter().position(is_text)?;
    let text = wording::words(&blocks[begun..], cwd);
    let text = text.trim_start().strip_prefix('/')?;
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match name {
        "edit" => Some(Command::Edit { instruction: rest.trim().to_owned() }),
        "clear" => Some(Command::Clear),
        "status" => Some(Command::Status),
        _ => None,
    }
}

/// Tells the client which commands there are.
pub(super) fn available() -> SessionUpdate {
    let instruction = UnstructuredCommandInput::new("what is to be changed, and in which files");
    let commands = vec![
        AvailableCommand::new("edit", "Change the files that you point at, each with your permission")
            .input(AvailableCommandInput::Unstructured(instruction)),
        AvailableCommand::new("clear", "Have the model forget what was said so far"),
        AvailableCommand::new("status", "Show the model and how much of its context is used"),
    ];
    SessionUpdate::AvailableCommandsUpdate(AvailableCommandsUpdate::new(commands))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_from_a_message_that_begins_with_a_path() {
        let text = |it: &str| Block::Text(it.to_owned());
        let link = Block::Link { uri: "file:///code/a.rs".into(), name: "a.rs".into() };
        let edit = |it: &str| Some(Command::Edit { instruction: it.to_owned() });
        for (blocks, command) in [
            (vec![text("/clear")], Some(Command::Clear)),
            (vec![text("\n /status please")], Some(Command::Status)),
            (vec![text("/edit rename x\nto y")], edit("rename x\nto y")),
            (vec![link.clone(), text("/edit "), link.clone(), text("add docs")], edit("`a.rs` add docs")),
            (vec![text("/edit")], edit("")),
            (vec![text("/etc/hosts")], None),
            (vec![text("/clearly")], None),
            (vec![text("please /clear")], None),
            (vec![link], None),
            (vec![], None),
        ] {
            assert_eq!(of(&blocks, Path::new("/code")), command, "{blocks:?}");
        }
    }
}
