//! The picture in `README.md`: the worker must still write what it shows.

use serde_json::Value;

use crate::support::{Worker, named_model, repository};

#[test]
fn the_picture_in_the_readme_shows_what_the_model_writes_today() {
    let picture = std::fs::read_to_string(repository().join(".github/completion.svg")).unwrap();
    let (_, rest) = picture.split_once("<metadata>").unwrap();
    let (metadata, _) = rest.split_once("</metadata>").unwrap();
    let json = metadata.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let recording: Value = serde_json::from_str(&json).unwrap();
    let deltas = recording["deltas"].as_array().unwrap();
    let shown: String = deltas.iter().map(|it| it[1].as_str().unwrap()).collect();

    let mut worker = Worker::serving(&named_model(recording["model"].as_str().unwrap()), &[]);
    let id = worker.request("complete", &recording["params"]);
    worker.result(id);
    assert_eq!(worker.streamed_text(id), shown, "hint: `cargo xtask record` makes the picture anew");
}
