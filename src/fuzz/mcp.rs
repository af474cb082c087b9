//! An agent that speaks the Model Context Protocol, of both kinds, with all tools.

use runabout_worker::scripted::Service;

use crate::clients;

pub(crate) fn run(data: &[u8]) {
    clients::run(Service::Mcp, data);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![LEGACY.into(), MODERN.into(), FILES.into(), FORMATS.into()]
}

/// An older client: a handshake, short tools, a withdrawal.
const LEGACY: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}

{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}
{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}
{"jsonrpc":"2.0","id":2,"method":"ping","params":{}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"status","arguments":{}}}
{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"complete_code","arguments":{"path":"a.py","line":2,"column":5,"extent":"line","n":2}}}
{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"complete_code","arguments":{"prefix":"def f():\n","suffix":"\n","language":"python","stop":["\n\n"]},"_meta":{"progressToken":"p"}}}

{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"generate","arguments":{"messages":[{"role":"user","content":"hi"}],"max_tokens":200}}}
{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6,"reason":"no"}}
[{"jsonrpc":"2.0","id":7,"method":"ping"},{"jsonrpc":"2.0","id":8,"method":"tools/list"}]
"#;

/// A client that describes itself in each request; tasks.
const MODERN: &str = r#"{"jsonrpc":"2.0","id":"a","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}
{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"map_files","arguments":{"task":"summarize","paths":["*.py","!b.rs"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}

{"jsonrpc":"2.0","id":"c","method":"tasks/get","params":{"taskId":"TASK","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}
{"jsonrpc":"2.0","id":"d","method":"tasks/cancel","params":{"taskId":"TASK","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}

{"jsonrpc":"2.0","id":"e","method":"tasks/get","params":{"taskId":"TASK","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}

{"jsonrpc":"2.0","id":"f","method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}
{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"f"}}
"#;

/// The tools for files.
const FILES: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"edit_files","arguments":{"instruction":"Fix `add`.","paths":["a.py"],"apply":true},"_meta":{"progressToken":1}}}

{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"edit_files","arguments":{"instruction":"rename size to length","paths":["ROOT/b.rs","**/*.py"],"apply":true}}}

{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"edit_files","arguments":{"instruction":"Add docstrings.","paths":["."],"max_tokens":40,"time_limit_seconds":1.5,"seed":7}}}

{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"map_files","arguments":{"task":"classify","paths":["*"],"labels":["code","text"]}}}
{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"map_files","arguments":{"task":"extract","paths":["a.py"],"instruction":"names","schema":{"type":"object","properties":{"name":{"type":"string","maxLength":5}},"required":["name"]}}}}

{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"review_diff","arguments":{"diff":"--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a + b\n+    return a - b\n","max_tokens":60}}}
{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"write_tests","arguments":{"paths":["a.py"],"apply":true,"max_tokens":60}}}
"#;

/// Texts with a form.
const FORMATS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate","arguments":{"prompt":"x","system":"s","json_schema":{"type":"object","properties":{"n":{"type":"integer"},"l":{"enum":["a","b"]}},"required":["n"],"additionalProperties":false},"max_tokens":40}}}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"generate","arguments":{"prompt":"y","regex":"[a-c]{1,4}ñ?","temperature":0.5,"top_p":0.9,"top_k":3,"min_p":0.1,"seed":1,"max_tokens":20}}}

{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"generate","arguments":{"prompt":"z","grammar":"start: \"a\" | start \"b\"","max_tokens":20,"stop":["bb"],"time_limit_seconds":2}}}
"#;
