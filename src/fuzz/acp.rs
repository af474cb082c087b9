//! An editor's chat window that speaks the agent client protocol, and its answers to what the agent asks it.

use runabout_worker::scripted::Service;

use crate::clients;

pub(crate) fn run(data: &[u8]) {
    clients::run(Service::Acp, data);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![TALK.into(), CLIENT_FILES.into(), DISK_FILES.into(), CANCELLED.into()]
}

/// A conversation with commands, which is listed, closed, loaded and deleted.
const TALK: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{}}}

{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"ROOT","mcpServers":[{"name":"m"}]}}

{"jsonrpc":"2.0","id":2,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"What is 😀?"},{"type":"resource","resource":{"uri":"file://ROOT/notes.txt","text":"buy milk","mimeType":"text/plain"}}]}}

{"jsonrpc":"2.0","id":3,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"/status"}]}}

{"jsonrpc":"2.0","id":4,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"/clear"}]}}

{"jsonrpc":"2.0","id":5,"method":"session/set_config_option","params":{"sessionId":"SESSION","configId":"model","value":"scripted"}}
{"jsonrpc":"2.0","id":6,"method":"session/list","params":{"cwd":"ROOT"}}
{"jsonrpc":"2.0","id":7,"method":"session/close","params":{"sessionId":"SESSION"}}

{"jsonrpc":"2.0","id":8,"method":"session/load","params":{"sessionId":"SESSION","cwd":"ROOT","mcpServers":[]}}

{"jsonrpc":"2.0","id":9,"method":"session/resume","params":{"sessionId":"SESSION","cwd":"ROOT","mcpServers":[]}}

{"jsonrpc":"2.0","id":10,"method":"session/delete","params":{"sessionId":"SESSION"}}
"#;

/// Files that the client reads and writes.
const CLIENT_FILES: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{"fs":{"readTextFile":true,"writeTextFile":true}},"clientInfo":{"name":"zed","version":"1"}}}

{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"ROOT","mcpServers":[]}}

<{"content":"def add(a, b):\n    return a - b\n"}
<{"outcome":{"outcome":"selected","optionId":"allow"}}
<{"content":"def add(a, b):\n    return a - b\n"}
<{}
<{"content":"ñ\r\n"}
{"jsonrpc":"2.0","id":2,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"/edit fix add in"},{"type":"resource_link","uri":"file://ROOT/a.py","name":"a.py"}]}}

{"jsonrpc":"2.0","id":3,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"resource_link","uri":"file://ROOT/b.rs","name":"b.rs"},{"type":"text","text":" what is it?"}]}}
"#;

/// Files on disk, changed with and without permission.
const DISK_FILES: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1}}

{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"ROOT"}}

<{"outcome":{"outcome":"selected","optionId":"allow"}}
<{"outcome":{"outcome":"cancelled"}}
{"jsonrpc":"2.0","id":2,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"/edit rename size to length"},{"type":"resource_link","uri":"file://ROOT/b.rs","name":"b.rs"},{"type":"resource_link","uri":"file://ROOT/none","name":"none"}]}}

{"jsonrpc":"2.0","id":3,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"/edit rename length to size"}]}}

{"jsonrpc":"2.0","id":4,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"Read"},{"type":"resource_link","uri":"file://ROOT/a.py","name":"a.py"}]}}
"#;

/// Prompts that are taken back, and several at once.
const CANCELLED: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1}}

{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"ROOT"}}

{"jsonrpc":"2.0","id":2,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"a"}]}}
{"jsonrpc":"2.0","id":3,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"b"}]}}
{"jsonrpc":"2.0","method":"session/cancel","params":{"sessionId":"SESSION"}}

{"jsonrpc":"2.0","id":4,"method":"session/prompt","params":{"sessionId":"SESSION","prompt":[{"type":"text","text":"c"}]}}
{"jsonrpc":"2.0","method":"$/cancel_request","params":{"requestId":4}}
{"jsonrpc":"2.0","id":5,"method":"session/load","params":{"sessionId":"x","cwd":"ROOT"}}
"#;
