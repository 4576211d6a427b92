//! Texts between two links: each arrives once, in order, and is accounted for.

use super::*;

#[tokio::test]
async fn texts_of_both_sides_arrive_once_and_in_order_and_are_receipted() {
    let mut pair = pair();
    pair.open().await;
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for batch in 0..10 {
        for id in 1..=100 {
            pair.a.say(batch * 100 + id).await;
            pair.b.say(batch * 100 + id).await;
        }
        let (more_a, more_b) = pair
            .run(
                |notice| notice,
                |a, b| {
                    count_receipts(a, DeliveryState::Delivered) == 100
                        && count_receipts(b, DeliveryState::Delivered) == 100
                },
            )
            .await;
        of_a.extend(more_a);
        of_b.extend(more_b);
    }
    let all: Vec<_> = (1..=1000).collect();
    assert_eq!(messages(&of_a), all);
    assert_eq!(messages(&of_b), all);
    assert_eq!(pair.a.handle.undelivered.load(Relaxed), 0);
}

#[tokio::test]
async fn leaving_delivers_what_was_queued_before_the_channel_opened() {
    let mut pair = pair();
    for id in 1..=50 {
        pair.a.say(id).await;
    }
    pair.a.command(Command::Connect).await;
    pair.a.command(Command::Leave).await;
    let (mut ended, mut of_b) = (None, Vec::new());
    let outcome = tokio::time::timeout(PATIENCE, async {
        while ended.is_none() || !is_closed(&of_b) {
            tokio::select! {
                Some((_, notice)) = pair.a.notices.recv() => match notice {
                    Notice::Ended { undelivered } => ended = Some(undelivered),
                    notice => relay(notice, &pair.b.handle.commands).await,
                },
                Some((_, notice)) = pair.b.notices.recv() => relay(notice, &pair.a.handle.commands).await,
                Some(event) = pair.b.events.recv() => of_b.push(event),
            }
        }
    });
    outcome.await.expect("the link ends and its peer sees it");
    assert_eq!(messages(&of_b), (1..=50).collect::<Vec<_>>());
    assert_eq!(ended, Some(Vec::new()));
}

#[tokio::test]
async fn a_peer_that_begins_anew_is_connected_anew_and_what_it_may_have_had_is_told_as_failed() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    let has_string = |events: &[Event]| events.iter().any(|event| matches!(event, Event::ShortString { .. }));
    pair.run(|notice| notice, |a, b| is_open(a) && is_open(b) && has_string(b)).await;
    // The old side vanishes without a word; its successor has the same peer id.
    pair.a = end("a", "b", Duration::from_secs(30));
    pair.a.command(Command::Connect).await;
    pair.b.say(1).await;
    let failed = |events: &[Event]| count_receipts(events, DeliveryState::Failed) == 1;
    let (of_a, of_b) = pair.run(|notice| notice, |a, b| is_open(a) && is_open(b) && failed(b)).await;
    assert!(is_closed(&of_b) && messages(&of_a).is_empty());
    pair.b.say(2).await;
    // It shows another certificate than the one that a user may have compared.
    let changed = |events: &[Event]| {
        events.iter().any(|event| matches!(event, Event::ShortString { changed: true, .. }))
    };
    let already = changed(&of_b);
    pair.run(|notice| notice, |a, b| messages(a) == [2] && (already || changed(b))).await;
}

#[tokio::test]
async fn a_user_that_does_not_read_holds_up_its_peer_and_loses_nothing() {
    let mut pair = pair();
    pair.open().await;
    let texts = 6000;
    for id in 1..=texts {
        pair.a.say(id).await;
    }
    // B's receiver holds 4,096 events and is not read until A can send no more.
    let (of_a, mut of_b) = (
        async {
            let mut of_a = Vec::new();
            while count_receipts(&of_a, DeliveryState::Delivered) < 4000 {
                of_a.push(tokio::time::timeout(PATIENCE, pair.a.events.recv()).await.unwrap().unwrap());
            }
            of_a
        }
        .await,
        Vec::new(),
    );
    assert!(count_receipts(&of_a, DeliveryState::Delivered) < texts as usize, "nothing was held up");
    while messages(&of_b).len() < texts as usize {
        let event = tokio::select! {
            event = pair.b.events.recv() => event.unwrap(),
            _ = pair.a.events.recv() => continue,
        };
        of_b.push(event);
        if of_b.len() % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(messages(&of_b), (1..=texts).collect::<Vec<_>>());
    let _ = &pair.a.id;
}

#[tokio::test]
async fn a_peer_that_vanishes_is_told_and_what_is_said_meanwhile_waits_for_its_return() {
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut pair = pair();
    pair.a = {
        let _inside = doomed.enter();
        end("a", "b", Duration::from_secs(30))
    };
    pair.open().await;
    doomed.shutdown_background();
    pair.b.say(1).await;
    let has_state = |events: &[Event], wanted: ConnectionState| {
        events.iter().any(|event| matches!(event, Event::Connection { state, .. } if *state == wanted))
    };
    let (_, of_b) = pair.run(|notice| notice, |_, b| has_state(b, ConnectionState::Disconnected)).await;
    assert_eq!(count_receipts(&of_b, DeliveryState::Sent), 1);
    assert_eq!(count_receipts(&of_b, DeliveryState::Delivered), 0);
    // While nothing flows it is not handed to the channel.
    pair.b.say(2).await;
    pair.a = end("a", "b", Duration::from_secs(30));
    pair.a.command(Command::Connect).await;
    let (of_a, of_b) =
        pair.run(|notice| notice, |_, b| count_receipts(b, DeliveryState::Delivered) == 1).await;
    // Its successor cannot tell whether the first was read.
    assert_eq!((messages(&of_a), count_receipts(&of_b, DeliveryState::Failed)), (vec![2], 1));
}

#[tokio::test]
async fn a_text_comes_after_the_name_it_was_written_under() {
    let mut pair = pair();
    pair.open().await;
    let rename = |number: u64| Command::DisplayName(format!("name {number}"));
    for number in 1..=20 {
        pair.a.command(rename(number)).await;
        pair.a.say(number).await;
    }
    let (_, of_b) = pair.run(|notice| notice, |_, b| messages(b).len() == 20).await;
    let (mut name, mut texts) = (0, 0);
    for event in of_b {
        match event {
            Event::PeerUpdated(peer) => {
                name = peer.display_name.as_raw().trim_start_matches("name ").parse().unwrap();
            }
            Event::Message(message) => {
                texts += 1;
                assert!(name >= message.id.0, "text {} came under name {name}", message.id.0);
            }
            _ => {}
        }
    }
    assert_eq!(texts, 20);
}

#[tokio::test]
async fn a_name_that_only_the_hello_tells_is_told_before_the_channel_is_open() {
    let mut pair = pair();
    pair.a.command(Command::DisplayName("anna".into())).await;
    pair.a.command(Command::Connect).await;
    let (_, of_b) = pair.run(|notice| notice, both_open).await;
    let renamed = of_b
        .iter()
        .position(|event| matches!(event, Event::PeerUpdated(peer) if peer.display_name.as_raw() == "anna"));
    let opened = of_b.iter().position(|event| matches!(event, Event::ChannelOpen { .. }));
    assert!(renamed.is_some() && renamed < opened, "{of_b:?}");
}
