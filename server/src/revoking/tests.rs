//! Operators who give up while a revocation is under way.

use std::{future::poll_fn, task::Poll};

use super::*;
use crate::{
    config::Config,
    metrics::Metrics,
    name::{DisplayName, RoomName},
    outbox::Outbox,
    room::Member,
    store::memory::{Capacity, Memory},
    switchboard::Switchboard,
    tokens::{Algorithm, Grant, Jwk, KeySet, Permission},
};

/// Who asks for tokens, in a folder that holds the keys.
fn tokens() -> (tempfile::TempDir, Arc<Tokens>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, KeySet::of(Jwk::random("hs", Algorithm::Hs256).unwrap()).reveal()).unwrap();
    let config = Config { token_keys_file: Some(path), ..Config::default() };
    (folder, Tokens::new(&config).unwrap().unwrap())
}

#[tokio::test]
async fn an_operator_who_gives_up_has_still_revoked_and_ended_the_sessions() {
    let (_folder, tokens) = tokens();
    let switchboard = Switchboard::new(Arc::new(Metrics::default()));
    let store = Arc::new(Memory::new(Arc::clone(&switchboard), Capacity::of(&Config::default())));
    let (peer_id, _line) = switchboard.connect(Outbox::new()).unwrap();
    let grant = Arc::new(Grant {
        key_id: "hs".into(),
        subject: "ana".into(),
        token_id: "7".into(),
        issued_at: 0,
        permissions: [Permission::Join, Permission::Create].into_iter().collect(),
    });
    let lobby = RoomName::parse("lobby", 128).unwrap();
    let member = Member {
        peer_id,
        display_name: DisplayName::parse("ana", 64).unwrap(),
        user_agent: "".into(),
        address: ([127, 0, 0, 1], 1).into(),
        joined_at: SystemTime::UNIX_EPOCH,
        attached: true,
        grant: Some(Arc::clone(&grant)),
    };
    store.join(&lobby, Arc::new(member)).await.unwrap();

    let tasks = TaskTracker::new();
    let order = Order {
        target: Target::TokenId("7".to_owned()),
        message: String::new(),
        operator: Operator::default(),
    };
    let mut asked = Box::pin(revoke(&tasks, Arc::clone(&store) as _, Arc::clone(&tokens), order));
    poll_fn(|context| {
        assert!(asked.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(asked);
    tasks.close();
    tasks.wait().await;
    assert!(tokens.is_revoked(&grant));
    assert!(store.room("lobby").await.is_none(), "the session goes on");
}
