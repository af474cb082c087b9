//! Sessions: what is told of them, and how they are continued after the process has ended.

use std::path::Path;

use runabout_engine::scripted::{END, ScriptedModel, bytes};
use serde_json::{Value, json};

use super::super::peer::ready;
use super::editor::{CWD, Editor, text};

/// An editor whose conversations are kept in a folder, with a model that answers with the first message that it sees.
async fn keeping(folder: &Path) -> Editor {
    let (mark, end) = (bytes("user\n"), 258);
    let model = ScriptedModel::new(move |held, n_generated| {
        let at = held.windows(mark.len()).position(|it| it == mark).map_or(0, |it| it + mark.len());
        held.get(at + n_generated).copied().filter(|it| *it != end).unwrap_or(END)
    });
    Editor::keeping(folder, &ready(model).await).await
}

#[tokio::test]
async fn a_new_session_is_told_its_model_and_commands() {
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, json!({})).await;
    let answer = editor.request("session/new", json!({"cwd": CWD, "mcpServers": []})).await["result"].clone();
    let model = &answer["configOptions"][0];
    assert_eq!(
        (&model["id"], &model["category"], &model["type"]),
        (&json!("model"), &json!("model"), &json!("select"))
    );
    assert_eq!(model["currentValue"], "scripted");
    assert_eq!(model["options"].as_array().unwrap().len(), 1);
    let update = editor.peer.told("session/update").await["params"].clone();
    assert_eq!(update["sessionId"], answer["sessionId"]);
    let commands = update["update"]["availableCommands"].as_array().unwrap();
    let names: Vec<&Value> = commands.iter().map(|it| &it["name"]).collect();
    assert!(names.contains(&&json!("clear")), "{names:?}");
}

#[tokio::test]
async fn the_model_can_only_be_set_to_the_one_that_there_is() {
    let mut editor = Editor::with(&ready(ScriptedModel::hashing()).await, json!({})).await;
    let session = editor.session().await;
    let set = |id: &str, value: Value| json!({"sessionId": session, "configId": id, "value": value});
    let answer = editor.request("session/set_config_option", set("model", json!("scripted"))).await;
    assert_eq!(answer["result"]["configOptions"][0]["currentValue"], "scripted");
    for (params, field) in [
        (set("model", json!("bigger")), "value"),
        (set("model", json!(true)), "value"),
        (set("mood", json!("good")), "configId"),
    ] {
        let error = editor.request("session/set_config_option", params).await["error"].clone();
        assert_eq!((&error["code"], &error["data"]["field"]), (&json!(-32602), &json!(field)), "{error}");
    }
}

#[tokio::test]
async fn what_clients_send_beside_what_is_used_spoils_nothing() {
    let mut editor = Editor::with(&ready(ScriptedModel::saying("Yes.")).await, json!({"new": [1]})).await;
    let servers = json!([
        {"type": "carrier pigeon", "name": "p"},
        {"name": "s", "command": "/bin/true", "args": [], "env": []},
    ]);
    let params = json!({"cwd": CWD, "mcpServers": servers, "additionalDirectories": 7, "_meta": {}});
    let session = editor.request("session/new", params).await["result"]["sessionId"].clone();
    assert!(session.is_string());
    let prompt = json!({"sessionId": session, "prompt": [text("hi")], "unheard": "of"});
    let id = editor.ask("session/prompt", prompt).await;
    assert_eq!(editor.answered(id).await.stop_reason(), "end_turn");
    for (params, field) in [(json!({"cwd": "code"}), "cwd"), (json!({"mcpServers": []}), "cwd")] {
        let error = editor.request("session/new", params).await["error"].clone();
        assert_eq!((&error["code"], &error["data"]["field"]), (&json!(-32602), &json!(field)), "{error}");
    }
}

#[tokio::test]
async fn a_session_is_continued_by_another_process() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("conversations");
    let mut editor = keeping(&folder).await;
    let session = editor.session().await;
    editor.session().await;
    editor.tell(&session, "remember").await;
    editor.tell(&session, "what was it?").await;

    let mut editor = keeping(&folder).await;
    let list = editor.request("session/list", json!({"cwd": CWD})).await["result"]["sessions"].clone();
    let listed = list.as_array().unwrap();
    assert_eq!(listed.len(), 1, "where nothing was said there is nothing to continue: {list}");
    assert_eq!((&listed[0]["sessionId"], &listed[0]["title"]), (&json!(session), &json!("remember")));
    assert_eq!((&listed[0]["cwd"], listed[0]["updatedAt"].is_string()), (&json!(CWD), true));
    let elsewhere = editor.request("session/list", json!({"cwd": "/elsewhere"})).await;
    assert_eq!(elsewhere["result"]["sessions"], json!([]));

    let params = json!({"sessionId": session, "cwd": CWD, "mcpServers": []});
    let id = editor.ask("session/load", params.clone()).await;
    let loaded = editor.answered(id).await;
    assert_eq!(loaded.message["result"]["configOptions"][0]["id"], "model");
    let said: Vec<(&Value, &Value)> =
        loaded.updates.iter().map(|it| (&it["sessionUpdate"], &it["content"]["text"])).collect();
    let (user, agent) = (json!("user_message_chunk"), json!("agent_message_chunk"));
    let (remember, what) = (json!("remember"), json!("what was it?"));
    assert_eq!(said, [(&user, &remember), (&agent, &remember), (&user, &what), (&agent, &remember)]);
    assert_eq!(editor.tell(&session, "and now?").await.text("agent_message_chunk"), "remember");

    let mut editor = keeping(&folder).await;
    let id = editor.ask("session/resume", params).await;
    let resumed = editor.answered(id).await;
    assert!(resumed.message["result"].is_object() && resumed.updates.is_empty(), "{}", resumed.message);
    assert_eq!(editor.tell(&session, "and now?").await.text("agent_message_chunk"), "remember");
}

#[tokio::test]
async fn a_closed_session_can_be_opened_again_and_a_deleted_one_cannot() {
    let home = tempfile::tempdir().unwrap();
    let mut editor = keeping(home.path()).await;
    let session = editor.session().await;
    editor.tell(&session, "remember").await;
    let named = json!({"sessionId": session});
    let opened = json!({"sessionId": session, "cwd": CWD, "mcpServers": []});
    assert_eq!(editor.request("session/close", named.clone()).await["result"], json!({}));
    assert_eq!(editor.request("session/close", named.clone()).await["error"]["code"], -32002);
    assert_eq!(editor.tell(&session, "hi").await.message["error"]["code"], -32002);
    assert!(editor.request("session/resume", opened.clone()).await["result"].is_object());
    for _ in 0..2 {
        assert_eq!(editor.request("session/delete", named.clone()).await["result"], json!({}));
    }
    assert_eq!(editor.request("session/load", opened).await["error"]["code"], -32002);
    assert_eq!(editor.request("session/list", json!({})).await["result"]["sessions"], json!([]));
}

#[tokio::test]
async fn without_a_folder_sessions_are_known_while_they_are_open() {
    let mut editor = Editor::with(&ready(ScriptedModel::saying("Yes.")).await, json!({})).await;
    let session = editor.session().await;
    editor.tell(&session, "hi").await;
    let list = editor.request("session/list", json!({})).await;
    assert_eq!(list["result"]["sessions"][0]["sessionId"], json!(session));
    let opened = json!({"sessionId": session, "cwd": CWD, "mcpServers": []});
    let id = editor.ask("session/load", opened).await;
    assert_eq!(editor.answered(id).await.text("agent_message_chunk"), "Yes.");
}
