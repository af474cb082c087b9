//! Several connections in one process share only their methods.

use super::*;

#[tokio::test(start_paused = true)]
async fn two_clients_with_the_same_methods_and_ids_do_not_affect_each_other() {
    let methods = Methods::from(behaviours());
    let mut one = Peer::new(methods.clone(), Framing::Lines);
    let mut two = Peer::new(methods, Framing::Headers);
    for peer in [&mut one, &mut two] {
        peer.call(1, "wait", json!({})).await;
        assert_eq!(peer.next().await["method"], "waiting");
    }

    // Both get a request with the same id.
    let ask = |peer: &Peer, n: u32| {
        let handle = peer.handle.clone();
        tokio::spawn(async move { handle.request::<String>("ask", &json!([n])).await })
    };
    let (asked_one, asked_two) = (ask(&one, 1), ask(&two, 2));
    for (peer, n) in [(&mut one, 1), (&mut two, 2)] {
        assert_eq!(peer.next().await, json!({"jsonrpc": "2.0", "id": 1, "method": "ask", "params": [n]}));
    }
    two.say(r#"{"jsonrpc":"2.0","id":1,"result":"two"}"#).await;
    assert_eq!(asked_two.await.unwrap().unwrap(), "two");
    assert!(!asked_one.is_finished());

    // One client cancels its request.
    one.notify("$/cancelRequest", json!({"id": 1})).await;
    assert_eq!(one.next().await["error"]["code"], -32800);
    assert_eq!((one.handle.in_flight().n_running(), two.handle.in_flight().n_running()), (0, 1));
    two.call(2, "cancel", json!({"id": "none"})).await;
    assert_eq!(two.next().await["result"], json!(["unknown", null]));

    // One connection ends.
    one.call(1, "wait", json!({})).await;
    one.next().await;
    assert_eq!(one.rest().await, [json!({"jsonrpc": "2.0", "id": 1, "result": "End"})]);
    assert!(matches!(asked_one.await.unwrap(), Err(RequestError::Closed(Closed))));
    assert_eq!(one.end().await, End::InputClosed);
    let asked_two = ask(&two, 3);
    assert_eq!(two.next().await, json!({"jsonrpc": "2.0", "id": 2, "method": "ask", "params": [3]}));
    two.say(r#"{"jsonrpc":"2.0","id":2,"result":"still"}"#).await;
    assert_eq!(asked_two.await.unwrap().unwrap(), "still");
    two.call(3, "cancel", json!({"id": 1})).await;
    assert_eq!(two.next().await, json!({"jsonrpc": "2.0", "id": 1, "result": "Program"}));
    assert_eq!(two.next().await["result"], json!(["cancelled", 7]));
}

#[tokio::test(start_paused = true)]
async fn refusing_and_stopping_affect_one_connection_only() {
    let methods = Methods::from(behaviours());
    let mut one = Peer::new(methods.clone(), Framing::Lines);
    let mut two = Peer::new(methods, Framing::Lines);
    one.handle.refuse_requests(ErrorObject::owned(1006, "shutting down", None::<()>));
    for (peer, expected) in [(&mut one, json!(1006)), (&mut two, Value::Null)] {
        peer.call(1, "nothing", json!({})).await;
        assert_eq!(peer.next().await["error"]["code"], expected);
    }
    one.handle.stop();
    assert_eq!(one.end().await, End::Stopped);
    two.call(2, "nothing", json!({})).await;
    assert_eq!(two.next().await["id"], 2);
}
