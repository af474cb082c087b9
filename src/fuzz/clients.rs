//! What a client of a dialect says, in memory, to a process with a scripted model.
//!
//! An input has a line for each message. In it `ROOT` stands for a folder with some files, `SESSION` and `TASK` for the
//! latest id that the process gave out. A line that begins with `<` is the result with which the process's next request is
//! answered; an empty line waits until all requests are answered.

use std::collections::VecDeque;
use std::fs;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Once};
use std::time::Duration;

use runabout_engine::scripted::{END, ScriptedModel, bytes};
use runabout_worker::scripted::{Process, Service};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, WriteHalf, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// What the model writes: the first if there is code in its prompt, or else the one that the prompt's length chooses.
const REPLIES: [&str; 4] = [
    "```python\ndef add(a, b):\n    return a + b\n```\n",
    "<think>\nA sum.\n</think>\n\nIt adds ñ and 😀.",
    "{\"name\": \"add\", \"label\": \"code\", \"n\": 1}",
    "    return a + b\n",
];

/// The files in the folder `ROOT`.
const FILES: [(&str, &str); 3] = [
    ("a.py", "def add(a, b):\n    return a - b\n\n\ndef double(x):\n    return add(x, x)\n"),
    ("b.rs", "/// Größe 😀\r\nfn size() -> u32 {\r\n    7\r\n}\r\n"),
    ("notes.txt", "buy milk"),
];

/// How long the client waits for the next message before it goes on.
const PATIENCE: Duration = Duration::from_millis(100);
/// A connection that takes longer does not end. libFuzzer is less patient.
const LONGEST: Duration = Duration::from_mins(1);
const PIPE_BYTES: usize = 1 << 20;

static PROCESS: LazyLock<Process> = LazyLock::new(|| {
    let fence = bytes("```");
    let model = ScriptedModel::new(move |held, n_generated| {
        let prompt = &held[..held.len().saturating_sub(n_generated)];
        let has_code = prompt.windows(fence.len()).any(|it| it == fence);
        let reply = REPLIES[if has_code { 0 } else { prompt.len() % REPLIES.len() }].as_bytes();
        reply.get(n_generated).map_or(END, |byte| (*byte).into())
    });
    runtime().block_on(Process::new(model))
});

/// How many threads or tasks have panicked. Most panics are caught somewhere, and would not be noticed.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Has a client say all this.
pub(crate) fn run(service: Service, data: &[u8]) {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            told(info);
        }));
    });
    // It cannot be made while another runtime runs on this thread.
    LazyLock::force(&PROCESS);
    let before = PANICS.load(Ordering::Relaxed);
    let home = tempfile::tempdir().expect("a folder can be made");
    let root = home.path().join("root");
    fs::create_dir(&root).expect("a folder can be made");
    for (name, text) in FILES {
        fs::write(root.join(name), text).expect("a file can be written");
    }
    // One of its own, so that nothing of this input is left for the next one.
    let runtime = runtime();
    let ended = runtime.block_on(async { timeout(LONGEST, talk(service, &home, &root, data)).await });
    ended.expect("the connections end");
    runtime.shutdown_background();
    assert_eq!(PANICS.load(Ordering::Relaxed), before, "something has panicked");
}

async fn talk(service: Service, home: &TempDir, root: &Path, data: &[u8]) {
    let (sent, heard) = Client::converse(service, home, root, data).await;
    check(&sent, &heard);
    let (_, heard) = Client::converse(Service::Serve, home, root, LATER.as_bytes()).await;
    assert!(heard.iter().any(|it| it["result"].is_object()), "a later client gets no answer: {heard:?}");
}

/// What a later client says.
const LATER: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"complete","params":{"prefix":"a","mode":"raw","max_tokens":1}}"#;

/// A client whose connection is open.
struct Client<'a> {
    root: &'a Path,
    to: WriteHalf<DuplexStream>,
    from: UnboundedReceiver<Vec<u8>>,
    heard: Vec<Value>,
    /// The results for the process's requests.
    results: VecDeque<&'a [u8]>,
    /// The ids of the requests that are not answered yet.
    open: Vec<Value>,
    session: String,
    task: String,
}

impl<'a> Client<'a> {
    /// Returns what was sent and what was heard.
    async fn converse(
        service: Service,
        home: &TempDir,
        root: &'a Path,
        data: &'a [u8],
    ) -> (Vec<Sent>, Vec<Value>) {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let (input, output) = tokio::io::split(theirs);
        let (folder, conversations) = (root.to_owned(), home.path().join("conversations"));
        let served = tokio::spawn(async move {
            PROCESS.serve(service, &folder, &conversations, input, output).await;
        });
        let (from, to) = tokio::io::split(ours);
        let (tell, told) = unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                // Fails if the client has heard enough.
                let _ = tell.send(line);
            }
        });
        let (results, lines): (Vec<_>, Vec<_>) =
            data.split(|it| *it == b'\n').partition(|it| it.starts_with(b"<"));
        let mut client = Self {
            root,
            to,
            from: told,
            heard: Vec::new(),
            results: results.into_iter().map(|it| &it[1..]).collect(),
            open: Vec::new(),
            session: String::new(),
            task: String::new(),
        };
        let mut sent = Vec::new();
        for line in lines {
            if line.is_empty() {
                client.settle().await;
            } else if line.starts_with(b"{") || line.starts_with(b"[") {
                // Other lines could begin a header, and the rest would have to be framed by headers too.
                sent.push(client.say(line).await);
            }
        }
        client.settle().await;
        // Fails if the connection has ended already.
        let _ = client.to.shutdown().await;
        while let Some(line) = client.from.recv().await {
            client.hear(&line).await;
        }
        served.await.expect("the connection does not panic");
        (sent, client.heard)
    }

    async fn say(&mut self, line: &[u8]) -> Sent {
        let root = self.root.to_str().expect("the name of a temporary folder is a text");
        let mut line = line.to_vec();
        for (word, by) in [("ROOT", root), ("SESSION", &*self.session), ("TASK", &*self.task)] {
            line = replaced(&line, word.as_bytes(), by.as_bytes());
        }
        let sent = Sent::read(&line);
        match &sent {
            Sent::Request { id } => self.open.push(id.clone()),
            Sent::Withdrawal { id } => self.open.retain(|it| it != id),
            Sent::Notification | Sent::Other => {}
        }
        self.write(line).await;
        sent
    }

    async fn write(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        // Fails if the connection has ended already.
        let _ = self.to.write_all(&line).await;
    }

    /// Hears until all requests are answered, or nothing comes for a while.
    async fn settle(&mut self) {
        while !self.open.is_empty() {
            match timeout(PATIENCE, self.from.recv()).await {
                Ok(Some(line)) => self.hear(&line).await,
                Ok(None) | Err(_) => break,
            }
        }
        self.open.clear();
    }

    async fn hear(&mut self, line: &[u8]) {
        let message: Value = serde_json::from_slice(line).expect("what comes is JSON");
        let id = &message["id"];
        if message["method"].is_string() {
            if !id.is_null() {
                let answer = self.answer(&message, id);
                self.write(answer).await;
            }
        } else {
            self.open.retain(|it| it != id);
            for (name, latest) in [("sessionId", &mut self.session), ("taskId", &mut self.task)] {
                if let Some(it) = message["result"][name].as_str() {
                    it.clone_into(latest);
                }
            }
        }
        self.heard.push(message);
    }

    /// The answer to a request of the process.
    fn answer(&mut self, request: &Value, id: &Value) -> Vec<u8> {
        let result = match self.results.pop_front() {
            // An input must not change any other file of this machine, whatever it comes up with.
            Some(_) if asks_for_another_place(request, self.root) => None,
            result => result,
        };
        let Some(result) = result else {
            let error = json!({"code": -32601, "message": "not here"});
            return json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_bytes();
        };
        [format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#).as_bytes(), result, b"}"].concat()
    }
}

/// Whether this asks for the permission to change a file elsewhere.
fn asks_for_another_place(request: &Value, root: &Path) -> bool {
    let is_within = |it: &Value| {
        let path = Path::new(it["path"].as_str().unwrap_or_default());
        path.starts_with(root) && path.components().all(|it| it != Component::ParentDir)
    };
    let changes = request["params"]["toolCall"]["content"].as_array();
    request["method"] == "session/request_permission" && !changes.is_some_and(|it| it.iter().all(is_within))
}

fn replaced(line: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.windows(word.len()).position(|it| it == word) {
        new.extend_from_slice(&rest[..at]);
        new.extend_from_slice(by);
        rest = &rest[at + word.len()..];
    }
    new.extend_from_slice(rest);
    new
}

/// A line of the client's, as far as it is certain how it must be taken.
#[derive(Debug)]
enum Sent {
    Request {
        id: Value,
    },
    /// The client has withdrawn this request.
    Withdrawal {
        id: Value,
    },
    Notification,
    /// Not a message, or not one of which one can be certain that it is.
    Other,
}

impl Sent {
    fn read(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Message {
            jsonrpc: String,
            id: Option<Value>,
            method: String,
            params: Option<Value>,
        }
        let Ok(Message { jsonrpc, id, method, params }) = serde_json::from_slice(line) else {
            return Self::Other;
        };
        // The connection ends with `exit`: what comes after it is not read.
        let has_params = params.as_ref().is_none_or(|it| it.is_object() || it.is_array());
        if jsonrpc != "2.0" || method == "exit" || !has_params {
            return Self::Other;
        }
        match id {
            None if method == "notifications/cancelled" => {
                let params = params.unwrap_or_default();
                Self::Withdrawal { id: params["requestId"].clone() }
            }
            None => Self::Notification,
            Some(id) if id.is_string() || id.is_i64() || id.is_u64() => Self::Request { id },
            Some(_) => Self::Other,
        }
    }
}

/// Each request gets exactly one answer unless it was withdrawn, and nothing else is answered.
fn check(sent: &[Sent], heard: &[Value]) {
    let answers = || heard.iter().filter(|it| !it["method"].is_string());
    for answer in answers().flat_map(|it| it.as_array().map_or(std::slice::from_ref(it), Vec::as_slice)) {
        assert!(answer["result"].is_null() || answer["error"].is_null(), "both result and error: {answer}");
        assert_ne!(answer["error"]["code"], -32603, "{answer}");
    }
    if sent.iter().any(|it| matches!(it, Sent::Other)) {
        return;
    }
    let n_sent = |id: &Value| {
        sent.iter().filter(|it| matches!(it, Sent::Request { id: other } if other == id)).count()
    };
    let n_heard = |id: &Value| answers().filter(|it| it["id"] == *id).count();
    let is_withdrawn =
        |id: &Value| sent.iter().any(|it| matches!(it, Sent::Withdrawal { id: other } if other == id));
    for it in sent {
        let Sent::Request { id } = it else { continue };
        // A request with the id of one that still runs is refused without an id.
        let n_refused = if n_sent(id) > 1 { n_heard(&Value::Null) } else { 0 };
        let (n_sent, n_heard) = (n_sent(id), n_heard(id));
        assert!(n_heard <= n_sent, "{n_heard} answers to {n_sent} requests with the id {id}: {heard:?}");
        let is_complete = is_withdrawn(id) || n_heard + n_refused >= n_sent;
        assert!(is_complete, "{n_heard} answers to {n_sent} requests with the id {id}: {heard:?}");
    }
    for answer in answers() {
        let is_known = answer["id"].is_null() || n_sent(&answer["id"]) > 0;
        assert!(is_known, "an answer to no request: {answer}");
    }
}
