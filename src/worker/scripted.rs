//! A process with the engine's scripted model, in memory: for the tests of dialects, and for the fuzzer ([`Process`]).

use std::path::Path;
use std::sync::{Arc, mpsc};

use runabout_assist::{Facts, HeldTexts, LoadProgress, ModelHandle};
use runabout_engine::EngineOptions;
use runabout_engine::scripted::ScriptedModel;
use runabout_rpc::Options;
use runabout_text::{FimFormat, SamplingDefaults};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::{App, ServeLimits};
use crate::front_end::FrontEnd;
pub use crate::front_end::Service;
use crate::{connection, dialects};

/// A process whose model is loaded.
#[derive(Clone, Debug)]
pub struct Process(Arc<App>);

impl Process {
    /// Panics if the engine's thread cannot be started.
    pub async fn new(model: ScriptedModel) -> Self {
        let (app, _) = loading(model);
        app.model().ready().await.expect("the scripted model loads");
        Self(app)
    }

    /// Serves a client that has started `service`, to the end of its connection. The client's tools work in `folder`, and
    /// conversations with it are kept in `conversations`.
    pub async fn serve(
        &self,
        service: Service,
        folder: &Path,
        conversations: &Path,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) {
        let front = FrontEnd {
            service,
            roots: vec![folder.to_owned()],
            conversations: Some(conversations.to_owned()),
            ..FrontEnd::default()
        };
        connection::connect(&self.0, front, dialects::of(service)).serve(input, output).await;
    }
}

/// A process whose model loads until the sender is dropped.
pub(crate) fn loading(model: ScriptedModel) -> (Arc<App>, mpsc::Sender<()>) {
    let (still_loading, loaded) = mpsc::channel();
    let model = ModelHandle::spawn(EngineOptions::default(), move |_| {
        let _ = loaded.recv();
        let loaded = model.loaded();
        let facts = Facts {
            name: "scripted".to_owned(),
            tokenizer: Arc::clone(&loaded.tokenizer),
            fim: FimFormat::detect(&loaded.tokenizer),
            defaults: SamplingDefaults::default(),
        };
        Ok((|| Ok(facts), |_: &mut dyn FnMut(LoadProgress)| Ok(loaded.models)))
    });
    (of_model(model.expect("a thread can be started")), still_loading)
}

/// A process with this model and the usual limits.
pub(crate) fn of_model(model: ModelHandle) -> Arc<App> {
    let limits = ServeLimits { rpc: Options::default(), max_queued: 64, memory_bytes: None };
    let held = Arc::new(HeldTexts::new(u64::MAX));
    Arc::new(App::new(model, held, "scripted".to_owned(), limits))
}
