//! Both kinds of clients: those that begin with `initialize`, and those whose requests describe themselves.

use runabout_engine::scripted::ScriptedModel;
use serde_json::{Value, json};

use super::super::peer::{Peer, app, failing_to_load, loading, ready};
use super::agent::{Agent, modern};

#[tokio::test]
async fn the_server_introduces_itself_in_each_older_revision_while_the_model_loads() {
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let mut agent = Agent::of(&app);
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
        let result = agent.result("initialize", params).await;
        assert_eq!(result["protocolVersion"], agreed);
        assert_eq!(result["capabilities"], json!({"tools": {}}));
        assert_eq!(result["serverInfo"]["name"], "runabout");
        assert!(result["instructions"].is_string());
        agent.notify("notifications/initialized", json!({})).await;
        assert_eq!(agent.result("ping", json!({})).await, json!({}));
        let tools = agent.result("tools/list", json!({})).await;
        assert_eq!(tools.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    }
}

#[tokio::test]
async fn a_client_may_discover_the_server_and_ask_without_a_handshake() {
    let (app, _still_loading) = loading(ScriptedModel::hashing());
    let mut agent = Agent::of(&app);
    let found = agent.result("server/discover", json!({"_meta": modern()})).await;
    assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
    let capabilities = json!({"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    assert_eq!(found["capabilities"], capabilities);
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "runabout");
    let list = agent.result("tools/list", json!({"_meta": modern()})).await;
    for result in [&found, &list] {
        assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("public")));
        assert!(result["ttlMs"].is_u64());
    }
    let pong = agent.result("ping", json!({"_meta": modern()})).await;
    assert_eq!((&pong["resultType"], pong.get("ttlMs")), (&json!("complete"), None));
}

#[tokio::test]
async fn a_client_that_discovers_the_server_may_then_begin_as_an_older_one() {
    let mut agent = Agent::of(&app(ScriptedModel::saying("Sure.")));
    let id = json!("probe");
    agent
        .peer
        .say(&json!({"jsonrpc": "2.0", "id": id, "method": "server/discover", "params": {"_meta": modern()}}))
        .await;
    // Given up before it was answered.
    agent.notify("notifications/cancelled", json!({"requestId": id, "reason": "too slow"})).await;
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}});
    agent.peer.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
    let (_, answer) = agent.peer.answer(0).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    agent.notify("notifications/initialized", Value::Null).await;
    let result = agent.call("generate", json!({"prompt": "hi"})).await;
    assert_eq!((&result["structuredContent"]["text"], result.get("resultType")), (&json!("Sure."), None));
    // Both kinds of requests may use one connection.
    let params = json!({"name": "generate", "arguments": {"prompt": "hi"}, "_meta": modern()});
    let result = agent.result("tools/call", params).await;
    assert_eq!(
        (&result["structuredContent"]["text"], &result["resultType"]),
        (&json!("Sure."), &json!("complete"))
    );
}

#[tokio::test]
async fn a_version_that_is_not_supported_is_refused_with_those_that_are() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    for method in ["server/discover", "tools/list", "tools/call", "ping", "subscriptions/listen"] {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2099-01-01"});
        let answer =
            agent.request(method, json!({"_meta": meta, "name": "status", "notifications": {}})).await;
        let error = &answer["error"];
        assert_eq!(error["code"], -32022, "{answer}");
        assert_eq!(error["data"]["requested"], "2099-01-01");
        assert_eq!(
            error["data"]["supported"],
            json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
        );
    }
}

#[tokio::test]
async fn a_request_that_does_not_say_what_its_client_can_do_is_malformed() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    let field = "_meta.io.modelcontextprotocol/clientCapabilities";
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let answer = agent.request("tools/list", json!({"_meta": meta})).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["field"]),
        (&json!(-32602), &json!(field))
    );
    let answer = agent.request("tools/list", json!({"_meta": 1})).await;
    assert_eq!(
        (&answer["error"]["code"], &answer["error"]["data"]["field"]),
        (&json!(-32602), &json!("_meta"))
    );
}

#[tokio::test]
async fn any_message_may_be_the_first() {
    let model = || app(ScriptedModel::saying("Sure."));
    let mut agent = Agent::of(&model());
    agent.notify("notifications/cancelled", json!({"requestId": 7})).await;
    agent.notify("notifications/initialized", json!({})).await;
    agent.notify("notifications/unheard_of", json!({})).await;
    assert_eq!(agent.result("ping", Value::Null).await, json!({}));
    let answer = Agent::of(&model()).request("resources/list", json!({})).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32601)));
    let result = Agent::of(&model()).call("generate", json!({"prompt": "hi"})).await;
    assert_eq!(result["structuredContent"]["text"], "Sure.");
}

#[tokio::test]
async fn ids_come_back_as_they_were_written() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    for id in [json!(0), json!("0"), json!(""), json!(-1), json!("a b"), json!(9_007_199_254_740_993_u64)] {
        for (method, is_known) in [("ping", true), ("unheard_of", false), ("status", false)] {
            agent.peer.say(&json!({"jsonrpc": "2.0", "id": id, "method": method})).await;
            let (_, answer) = agent.peer.answer(id.clone()).await;
            assert_eq!(answer["result"].is_object(), is_known, "{answer}");
            if !is_known {
                assert_eq!(answer["error"]["code"], -32601);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_and_ends_nothing() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    agent.peer.say_text("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\"").await;
    assert_eq!(agent.peer.next_answer().await["error"]["code"], -32700);
    agent.peer.say_text("{\"jsonrpc\": \"2.0\", \"id\": null, \"method\": \"ping\"}").await;
    assert_eq!(agent.peer.next_answer().await["error"]["code"], -32600);
    agent.peer.say(&json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])).await;
    assert_eq!(agent.peer.next_answer().await, json!([{"jsonrpc": "2.0", "id": 1, "result": {}}]));
    assert_eq!(agent.result("ping", json!({})).await, json!({}));
}

#[tokio::test]
async fn the_first_message_tells_an_agent_from_other_clients() {
    let version = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    for (method, params, is_mcp) in [
        ("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}}), true),
        ("initialize", json!({"protocolVersion": 1, "capabilities": {}}), false),
        ("initialize", json!({"protocol_version": 1}), false),
        ("initialize", json!({"capabilities": {}}), false),
        ("server/discover", json!({}), true),
        ("tools/list", json!({"_meta": version}), true),
        ("status", json!({"_meta": {}}), false),
    ] {
        let mut peer = Peer::of(&ready(ScriptedModel::hashing()).await);
        peer.say(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await;
        peer.answer(1).await;
        peer.say(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).await;
        let (_, answer) = peer.answer(2).await;
        assert_eq!(answer["result"]["tools"].is_array(), is_mcp, "{method} {params}: {answer}");
    }
}

#[tokio::test]
async fn a_subscription_is_acknowledged_and_stays_open_until_it_is_withdrawn() {
    let mut agent = Agent::of(&app(ScriptedModel::hashing()));
    let params = json!({"_meta": modern(), "notifications": {"toolsListChanged": true}});
    let id = agent.ask("subscriptions/listen", params.clone()).await;
    let other = agent.ask("subscriptions/listen", params).await;
    for id in [id, other] {
        let told = agent.peer.told("notifications/subscriptions/acknowledged").await;
        let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
        assert_eq!(told["params"], json!({"_meta": meta, "notifications": {}}));
    }
    agent.notify("notifications/cancelled", json!({"requestId": id})).await;
    agent.result("ping", json!({})).await;
    let rest = agent.peer.close().await;
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &json!(other)), "{rest:?}");
    assert_eq!(rest[0]["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], other);
}

#[tokio::test]
async fn without_a_model_everything_but_the_calls_is_answered() {
    let app = failing_to_load("no such file\nhint: look elsewhere");
    app.model().engine().stopped().await;
    let mut agent = Agent::of(&app);
    agent.result("server/discover", json!({"_meta": modern()})).await;
    agent.result("tools/list", json!({})).await;
    let status = agent.call("status", json!({})).await;
    assert_eq!(status["structuredContent"]["state"], "failed");
    let message = agent.failure("generate", json!({"prompt": "hi"})).await;
    assert!(message.contains("no such file\nhint: look elsewhere"), "{message}");
}
