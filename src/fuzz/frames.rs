//! What a client writes, from its first byte on: framing, messages, dispatch.

use std::cell::RefCell;

use runabout_rpc::{Connection, Options, Protocol, RpcModule};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_all().build().expect("a runtime starts"));
}

pub(crate) fn run(data: &[u8]) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(converse(data)));
}

async fn converse(data: &[u8]) {
    let options = Options { max_frame_bytes: 1 << 12, max_batch_entries: 16, ..Options::default() };
    let connection = Connection::new(protocol(), options);
    let (mut client, worker) = duplex(1 << 10);
    let (input, output) = tokio::io::split(worker);
    let served = tokio::spawn(connection.serve(input, output));
    let (mut from, mut to) = tokio::io::split(&mut client);
    let mut said = Vec::new();
    let write = async {
        // Fails if the connection has ended already.
        let _ = to.write_all(data).await;
        let _ = to.shutdown().await;
    };
    let ((), read) = tokio::join!(write, from.read_to_end(&mut said));
    read.expect("pipes in memory can be read");
    served.await.expect("the connection does not panic");
    check(&said);
}

/// Everything that was written must be messages, by lines or by headers.
fn check(mut said: &[u8]) {
    while !said.is_empty() {
        let frame;
        if let Some(rest) = said.strip_prefix(b"Content-Length: ".as_slice()) {
            let end = rest.iter().position(|it| *it == b'\r').expect("a header ends");
            let length =
                std::str::from_utf8(&rest[..end]).ok().and_then(|it| it.parse().ok()).expect("a length");
            (frame, said) = rest[end + 4..].split_at(length);
        } else {
            let end = said.iter().position(|it| *it == b'\n').expect("a line ends");
            frame = &said[..end];
            said = &said[end + 1..];
        }
        serde_json::from_slice::<Value>(frame).expect("a frame is JSON");
    }
}

fn protocol() -> Protocol {
    let mut module = RpcModule::new(());
    module.register_method("echo", |params, (), _| params.parse::<Value>()).expect("the name is free");
    let later = module.register_async_method("later", |params, _, _| async move {
        tokio::task::yield_now().await;
        params.parse::<Value>()
    });
    later.expect("the name is free");
    Protocol { methods: module.into(), ..Protocol::default() }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let framed = |text: &str| format!("Content-Length: {}\r\n\r\n{text}", text.len());
    let echo = r#"{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":[1,2.5,"\u00e9\ud83d\ude00"]}}"#;
    let later = r#"{"jsonrpc":"2.0","id":"x","method":"later","params":[true,null]}"#;
    let cancel = r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"x"}}"#;
    let batch = format!("[{echo},{later},{cancel},1]");
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":null}"#;
    vec![
        format!("{echo}\n{later}\n{cancel}\n").into_bytes(),
        format!("{batch}\n{answer}\r\n").into_bytes(),
        [framed(echo), framed(later), framed(cancel)].concat().into_bytes(),
        [framed(&batch), framed("{}"), "Content-Type: x\r\n".to_owned() + &framed(answer)]
            .concat()
            .into_bytes(),
    ]
}
