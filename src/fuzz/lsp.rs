//! An editor that speaks the language server protocol: its documents and what it asks for in them.

use runabout_worker::scripted::Service;

use crate::clients;

pub(crate) fn run(data: &[u8]) {
    clients::run(Service::Lsp, data);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![EDITS.into(), WHOLE.into(), TYPING.into(), SETTINGS.into()]
}

/// Changes of ranges, in UTF-16: with characters of two units, ends of lines of every kind, places that are not there.
const EDITS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{},"rootUri":"file://ROOT"}}

{"jsonrpc":"2.0","method":"initialized","params":{}}
{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file://ROOT/a.py","languageId":"python","version":1,"text":"a😀b\r\nñ\rcd\n\nend"}}}
{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file://ROOT/a.py","version":2},"contentChanges":[{"range":{"start":{"line":0,"character":1},"end":{"line":0,"character":3}},"text":"x"},{"range":{"start":{"line":1,"character":0},"end":{"line":2,"character":9}},"text":"\n😀\n"}]}}
{"jsonrpc":"2.0","id":2,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"file://ROOT/a.py"},"position":{"line":1,"character":1},"context":{"triggerKind":1}}}

{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file://ROOT/a.py","version":3},"contentChanges":[{"range":{"start":{"line":3,"character":2},"end":{"line":1,"character":0}},"text":"é"},{"range":{"start":{"line":9,"character":9},"end":{"line":99,"character":4294967295}},"text":""}]}}
{"jsonrpc":"2.0","id":3,"method":"workspace/executeCommand","params":{"command":"runabout.nextEdit","arguments":[{"textDocument":{"uri":"file://ROOT/a.py"},"position":{"line":0,"character":0}}]}}

{"jsonrpc":"2.0","method":"textDocument/didClose","params":{"textDocument":{"uri":"file://ROOT/a.py"}}}
{"jsonrpc":"2.0","id":4,"method":"shutdown","params":{}}
"#;

/// In UTF-8; the whole text at once, and selected entries of a list.
const WHOLE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"general":{"positionEncodings":["utf-8"]},"window":{"workDoneProgress":true}},"workspaceFolders":[{"uri":"file://ROOT","name":"r"}],"initializationOptions":{"completionList":true,"alternatives":3,"growingItems":true,"notifications":true,"context":"project"}}}

{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"untitled:1","languageId":"rust","text":"fn größe() {\n    \n}\n"}}}
{"jsonrpc":"2.0","id":2,"method":"textDocument/completion","params":{"textDocument":{"uri":"untitled:1"},"position":{"line":1,"character":4}}}
{"jsonrpc":"2.0","id":3,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"untitled:1"},"position":{"line":1,"character":4},"context":{"triggerKind":2,"selectedCompletionInfo":{"range":{"start":{"line":1,"character":0},"end":{"line":1,"character":4}},"text":"let ñ"}},"partialResultToken":"p"}}

{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"untitled:1"},"contentChanges":[{"text":"x\r\ny"},{"range":{"start":{"line":0,"character":1},"end":{"line":1,"character":0}},"text":"ñ"}]}}
{"jsonrpc":"2.0","method":"textDocument/didShowCompletion","params":{"item":{"insertText":"a","command":{"title":"","command":"runabout.accept","arguments":[1]}}}}
{"jsonrpc":"2.0","method":"textDocument/didPartiallyAcceptCompletion","params":{"item":{"insertText":"a","command":{"title":"","command":"runabout.accept","arguments":[1]}},"acceptedLength":3}}
{"jsonrpc":"2.0","id":4,"method":"workspace/executeCommand","params":{"command":"runabout.accept","arguments":[1]}}
{"jsonrpc":"2.0","id":5,"method":"workspace/executeCommand","params":{"command":"runabout.statistics","arguments":[]}}
"#;

/// A person who types: each request is taken back or followed by the next.
const TYPING: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"capabilities":{},"initializationOptions":{"minConfidence":0,"context":"project"}}}

{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file://ROOT/b.rs","languageId":"rust","version":0,"text":"fn a() {\n}\n"}}}
{"jsonrpc":"2.0","id":1,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"file://ROOT/b.rs"},"position":{"line":0,"character":8},"context":{"triggerKind":2}}}
{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}
{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file://ROOT/b.rs","version":1},"contentChanges":[{"range":{"start":{"line":0,"character":8},"end":{"line":0,"character":8}},"text":"\n    "}]}}
{"jsonrpc":"2.0","id":2,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"file://ROOT/b.rs"},"position":{"line":1,"character":4},"context":{"triggerKind":2}}}

{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file://ROOT/b.rs","version":2},"contentChanges":[{"range":{"start":{"line":1,"character":4},"end":{"line":1,"character":4}},"text":"r"}]}}
{"jsonrpc":"2.0","method":"textDocument/didChange","params":{"textDocument":{"uri":"file://ROOT/b.rs","version":3},"contentChanges":[{"range":{"start":{"line":1,"character":5},"end":{"line":1,"character":5}},"text":"e"}]}}
{"jsonrpc":"2.0","id":3,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"file://ROOT/b.rs"},"position":{"line":1,"character":6},"context":{"triggerKind":1}}}
{"jsonrpc":"2.0","id":4,"method":"textDocument/inlineCompletion","params":{"textDocument":{"uri":"file://ROOT/b.rs"},"position":{"line":0,"character":3},"context":{"triggerKind":1}}}
{"jsonrpc":"2.0","method":"textDocument/didSave","params":{"textDocument":{"uri":"file://ROOT/b.rs"}}}
"#;

/// Settings that the process asks for, folders that change, and the methods of the native protocol.
const SETTINGS: &str = r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"capabilities":{"workspace":{"configuration":true,"didChangeConfiguration":{"dynamicRegistration":true}}},"rootUri":"file://ROOT"}}

{"jsonrpc":"2.0","method":"initialized","params":{}}
<null
<[{"alternatives":2,"languages":{"text":false},"maxTokens":8}]
{"jsonrpc":"2.0","id":1,"method":"workspace/executeCommand","params":{"command":"runabout.info"}}

{"jsonrpc":"2.0","method":"workspace/didChangeWorkspaceFolders","params":{"event":{"added":[{"uri":"file://ROOT/x"}],"removed":[{"uri":"file://ROOT"}]}}}
{"jsonrpc":"2.0","method":"workspace/didChangeConfiguration","params":{"settings":{"runabout":{"completionList":false}}}}
{"jsonrpc":"2.0","id":2,"method":"complete","params":{"prefix":"a","suffix":"b","max_tokens":4}}
{"jsonrpc":"2.0","id":3,"method":"status","params":{}}

{"jsonrpc":"2.0","method":"exit","params":{}}
"#;
