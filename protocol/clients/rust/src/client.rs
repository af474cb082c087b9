//! The client: a worker process, its requests, and a new process when one has ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Error;
use crate::program::find_program;
use crate::protocol::{
    ChatParams, ChatResult, CompleteParams, CompleteResult, DeltaParams, InitializeResult, ModelSummary,
    NextEditParams, NextEditResult, ProgressParams, ResponseFormat, StatusResult, TokenizeParams,
    TokenizeResult, WarmParams, WarmResult, WorkerState,
};
use crate::stream::{Sent, Stream};
use crate::worker::{Notification, Worker};

const PROTOCOL_VERSION: u32 = 1;
const LOAD_FAILED: i64 = 1001;
/// The first restart is immediate; each one after a worker that answered nothing waits twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many notifications wait for a listener that is slow.
const N_NOTIFICATIONS: usize = 256;

/// How a worker is started and asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A named model, a folder or a file; by default that of the program.
    pub model: Option<String>,
    /// The path of the program; see [`find_program`].
    pub program: Option<PathBuf>,
    /// Further arguments of `runabout serve`, such as `--offline`.
    pub args: Vec<String>,
    /// Environment variables of the worker, beside those of this process.
    pub env: Vec<(String, String)>,
    /// The time limit of a request, after which it is cancelled.
    pub timeout: Option<Duration>,
    /// Whether a request starts another worker if it has ended.
    pub restart: bool,
    /// How this client calls itself.
    pub name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            program: None,
            args: Vec::new(),
            env: Vec::new(),
            timeout: None,
            restart: true,
            name: "runabout-rust".to_owned(),
        }
    }
}

/// A worker process and its requests. The process is started by the first request, or by [`Client::start`], and ends
/// when the last clone of the client is dropped. A request whose future is dropped is cancelled at the worker.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    current: Mutex<Current>,
    notifications: broadcast::Sender<Notification>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Current {
    running: Option<Running>,
    n_failures: u32,
    /// When the next worker may start; set once for each that has ended.
    restart_at: Option<Instant>,
}

#[derive(Clone)]
struct Running {
    worker: Arc<Worker>,
    info: Option<Arc<InitializeResult>>,
    /// How many texts may be generated at a time: the worker refuses those that find its queue full.
    places: Arc<Semaphore>,
    n_places: u32,
}

impl Client {
    /// Nothing is started yet.
    pub fn new(settings: Settings) -> Self {
        let (notifications, _) = broadcast::channel(N_NOTIFICATIONS);
        let current = Mutex::new(Current::default());
        Self(Arc::new(Inner { settings, current, notifications, is_closed: AtomicBool::new(false) }))
    }

    /// Starts the worker unless it runs, and returns what it says of itself. It then loads its model.
    pub async fn start(&self) -> Result<InitializeResult, Error> {
        let running = self.running().await?;
        running.info.map(|it| (*it).clone()).ok_or(Error::Closed)
    }

    /// Waits until the model is loaded, and returns what is known of it; `on_progress` is told of the load.
    ///
    /// There is no need to wait: requests that need the model do it by themselves.
    pub async fn wait_until_ready(
        &self,
        mut on_progress: impl FnMut(&ProgressParams),
    ) -> Result<ModelSummary, Error> {
        let mut notifications = self.notifications();
        let worker = self.running().await?.worker;
        loop {
            let status: StatusResult = of(worker.request("status", &json!({}), None, None).await?)?;
            match status.state {
                WorkerState::Ready => return Ok(status.model),
                WorkerState::Failed => {
                    let error = serde_json::to_value(status.error).unwrap_or_default();
                    let cause = error["cause"].as_str().unwrap_or_default();
                    let message = format!("the model could not be loaded: {cause}");
                    return Err(Error::failed(LOAD_FAILED, &message, error));
                }
                _ => {}
            }
            loop {
                tokio::select! {
                    notification = notifications.recv() => match notification {
                        Ok(Notification::Progress(it)) if it.unit != crate::protocol::ProgressUnit::Tokens => {
                            on_progress(&it);
                        }
                        Ok(Notification::Status(_)) | Err(_) => break,
                        Ok(_) => {}
                    },
                    end = worker.ended() => return Err(Error::WorkerEnded(end)),
                }
            }
        }
    }

    /// What the worker tells from now on, except for deltas. Who is slow misses the oldest.
    pub fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.0.notifications.subscribe()
    }

    /// The process id of the worker, if one was started.
    pub async fn pid(&self) -> Option<u32> {
        self.0.current.lock().await.running.as_ref().map(|it| it.worker.pid)
    }

    /// Ends the worker and waits for it; running requests fail or are answered with their text so far.
    pub async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        let running = self.0.current.lock().await.running.clone();
        if let Some(running) = running {
            running.worker.close().await;
        }
    }

    /// Generates the text at a cursor, between `prefix` and `suffix`.
    pub async fn complete(&self, mut params: CompleteParams) -> Result<CompleteResult, Error> {
        params.stream = params.stream.or(Some(false));
        let n = params.n.unwrap_or(1);
        self.generate("complete", &params, n, None, None).await
    }

    /// The same, piece by piece.
    pub fn complete_stream(&self, params: CompleteParams) -> Stream<CompleteResult> {
        let n = params.n.unwrap_or(1);
        self.stream("complete", params, n)
    }

    /// Generates the assistant's next turn.
    pub async fn chat(&self, mut params: ChatParams) -> Result<ChatResult, Error> {
        params.stream = params.stream.or(Some(false));
        self.generate("chat", &params, 1, None, None).await
    }

    /// The same, piece by piece.
    pub fn chat_stream(&self, params: ChatParams) -> Stream<ChatResult> {
        self.stream("chat", params, 1)
    }

    /// An answer that is valid by a JSON Schema. The model does not see the schema: the messages should ask for it too.
    pub async fn chat_json<T: DeserializeOwned>(
        &self,
        mut params: ChatParams,
        schema: Value,
    ) -> Result<T, Error> {
        params.response_format = Some(ResponseFormat::JsonSchema { schema });
        let result = self.chat(params).await?;
        match serde_json::from_str(&result.message.text()) {
            Ok(value) if result.incomplete.is_none() => Ok(value),
            _ => Err(Error::Incomplete(Box::new(result))),
        }
    }

    /// Predicts what a person changes next near a cursor.
    pub async fn next_edit(&self, params: NextEditParams) -> Result<NextEditResult, Error> {
        self.generate("next_edit", &params, 1, None, None).await
    }

    /// Computes the prompt of a later request, so that it starts fast.
    pub async fn warm(&self, params: WarmParams) -> Result<WarmResult, Error> {
        self.request("warm", &params).await
    }

    /// Counts the tokens of a text, or of messages as `chat` would render them.
    pub async fn tokenize(&self, params: TokenizeParams) -> Result<TokenizeResult, Error> {
        self.request("tokenize", &params).await
    }

    /// The state of the worker.
    pub async fn status(&self) -> Result<StatusResult, Error> {
        self.request("status", &json!({})).await
    }

    /// Any request that generates no text, also of a method that this version does not know.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<T, Error> {
        let call = async {
            let worker = self.running().await?.worker;
            of(worker.request(method, params, None, None).await?)
        };
        self.limited(method, call).await
    }

    fn stream<T: DeserializeOwned + Send + 'static>(
        &self,
        method: &'static str,
        params: impl Serialize + Send + Sync + 'static,
        n: u32,
    ) -> Stream<T> {
        let (to_stream, deltas) = mpsc::unbounded_channel();
        let (to_id, id) = watch::channel(None);
        let (to_worker, worker) = watch::channel(None);
        let sent = Sent { worker: to_worker, id: to_id };
        let client = self.clone();
        let answer =
            tokio::spawn(
                async move { client.generate(method, &params, n, Some(to_stream), Some(sent)).await },
            );
        Stream { deltas, answer, id, worker }
    }

    async fn generate<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
        n: u32,
        deltas: Option<mpsc::UnboundedSender<DeltaParams>>,
        sent: Option<Sent>,
    ) -> Result<T, Error> {
        let call = async {
            let running = self.running().await?;
            let n_places = n.clamp(1, running.n_places);
            let _places = running.places.acquire_many(n_places).await.map_err(|_| Error::Closed)?;
            // It may have ended while this request waited.
            let worker = self.running().await?.worker;
            let id = sent.map(|sent| {
                let _ = sent.worker.send(Some(Arc::clone(&worker)));
                sent.id
            });
            of(worker.request(method, params, deltas, id).await?)
        };
        self.limited(method, call).await
    }

    async fn limited<T>(
        &self,
        method: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(limit) = self.0.settings.timeout else { return call.await };
        timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(Error::TimedOut { method: method.to_owned(), limit }))
    }

    /// The running worker; starts one if there is none.
    async fn running(&self) -> Result<Running, Error> {
        let mut current = self.0.current.lock().await;
        if self.0.is_closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        if let Some(running) = current.running.clone() {
            match running.worker.end() {
                None if running.info.is_some() => return Ok(running),
                // Whoever started it has given up.
                None => running.worker.close().await,
                Some(end) if !self.0.settings.restart => return Err(Error::WorkerEnded(end)),
                Some(_) => {}
            }
            current.wait_before_restart(&running.worker).await;
        }
        let settings = &self.0.settings;
        let mut command = Command::new(find_program(settings.program.as_deref())?);
        command.arg("serve").envs(settings.env.iter().map(|(name, value)| (name, value)));
        if let Some(model) = &settings.model {
            command.arg(format!("--model={model}"));
        }
        command.args(&settings.args);
        let worker = Arc::new(Worker::start(command, self.0.notifications.clone())?);
        let places = Arc::new(Semaphore::new(1));
        let mut running = Running { worker, info: None, places, n_places: 1 };
        current.running = Some(running.clone());
        current.restart_at = None;

        let hello = json!({"client": {"name": settings.name}, "protocol_version": PROTOCOL_VERSION});
        let info: InitializeResult = of(running.worker.request("initialize", &hello, None, None).await?)?;
        if info.protocol_version != PROTOCOL_VERSION {
            let version = info.protocol_version;
            return Err(Error::Form(format!("the worker speaks version {version} of the protocol")));
        }
        running.worker.set_max_message_bytes(info.limits.max_frame_bytes);
        running.n_places = u32::try_from(info.limits.max_queued).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        running.places = Arc::new(Semaphore::new(running.n_places as usize));
        running.info = Some(Arc::new(info));
        current.running = Some(running.clone());
        Ok(running)
    }
}

impl Current {
    async fn wait_before_restart(&mut self, ended: &Worker) {
        if self.restart_at.is_none() {
            self.n_failures = if ended.has_served() { 1 } else { self.n_failures + 1 };
            let doublings = self.n_failures.saturating_sub(2).min(16);
            let wait = if self.n_failures > 1 {
                (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
            } else {
                Duration::ZERO
            };
            self.restart_at = Some(Instant::now() + wait);
        }
        if let Some(at) = self.restart_at {
            sleep_until(at).await;
        }
    }
}

fn of<T: DeserializeOwned>(result: Value) -> Result<T, Error> {
    serde_json::from_value(result).map_err(|e| Error::Form(e.to_string()))
}
