//! Links whose server does not pass on all that they say, and tells so only the one who said it.

use super::*;
use crate::{ConnectionStep, TimelineEntry};

/// Relays until both are open, but for what is refused of `who`, by the number of what it said before.
async fn open_despite(pair: &mut Pair, mut refuses: impl FnMut(usize, &Notice) -> bool) {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    let opening = async {
        while !both_open(&of_a, &of_b) {
            let (who, notice) = tokio::select! {
                Some((_, notice)) = pair.a.notices.recv() => (0, notice),
                Some((_, notice)) = pair.b.notices.recv() => (1, notice),
                Some(event) = pair.a.events.recv() => {
                    of_a.push(event);
                    continue;
                }
                Some(event) = pair.b.events.recv() => {
                    of_b.push(event);
                    continue;
                }
            };
            let (from, to) = if who == 0 { (&pair.a, &pair.b) } else { (&pair.b, &pair.a) };
            let is_relayed = matches!(notice, Notice::Description { .. } | Notice::Candidate(_));
            if is_relayed && refuses(who, &notice) {
                from.command(Command::NotRelayed { retry_after: Duration::from_millis(500) }).await;
            } else {
                relay(notice, &to.handle.commands).await;
            }
        }
    };
    let opened = tokio::time::timeout(3 * PATIENCE, opening).await;
    assert!(opened.is_ok(), "not open\na: {of_a:?}\nb: {of_b:?}");
    assert!(![&of_a, &of_b].iter().any(|events| has_problem(events, ProblemCode::ConnectTimeout)));
}

async fn timeline(end: &End) -> Vec<TimelineEntry> {
    let (report_tx, report) = oneshot::channel();
    end.command(Command::Report(report_tx)).await;
    report.await.unwrap().timeline
}

fn repetitions(timeline: &[TimelineEntry]) -> usize {
    timeline.iter().filter(|entry| matches!(entry.step, ConnectionStep::NotRelayed(_))).count()
}

#[tokio::test]
async fn an_offer_that_is_refused_with_all_its_candidates_is_made_again_and_once() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    let mut offers = 0;
    open_despite(&mut pair, |who, notice| {
        offers += usize::from(who == 0 && matches!(notice, Notice::Description { .. }));
        who == 0 && offers <= 2
    })
    .await;
    assert_eq!(offers, 3);
    assert_eq!(repetitions(&timeline(&pair.a).await), 2);
}

#[tokio::test]
async fn an_answer_that_is_refused_is_made_good_whichever_side_is_polite() {
    for offerer in 0..2 {
        let mut pair = pair();
        [&pair.a, &pair.b][offerer].command(Command::Connect).await;
        let mut refused = false;
        open_despite(&mut pair, |_, notice| {
            let is_answer = matches!(notice, Notice::Description { kind: DescriptionKind::Answer, .. });
            is_answer && !std::mem::replace(&mut refused, true)
        })
        .await;
        assert!(refused);
        pair.a.say(1).await;
        pair.b.say(1).await;
        pair.run(|notice| notice, |a, b| messages(a) == [1] && messages(b) == [1]).await;
    }
}

#[tokio::test]
async fn everything_that_either_side_says_at_first_may_be_refused() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    pair.b.command(Command::Connect).await;
    let mut said = [0; 2];
    open_despite(&mut pair, |who, _| {
        said[who] += 1;
        said[who] <= 5
    })
    .await;
}

#[tokio::test]
async fn an_open_channel_needs_nothing_again() {
    let mut pair = pair();
    pair.open().await;
    for _ in 0..100 {
        pair.a.command(Command::NotRelayed { retry_after: Duration::ZERO }).await;
    }
    pair.a.say(1).await;
    let mut descriptions = 0;
    let count = |notice: Notice| {
        descriptions += usize::from(matches!(notice, Notice::Description { .. }));
        notice
    };
    pair.run(count, |_, b| messages(b) == [1]).await;
    assert_eq!((descriptions, repetitions(&timeline(&pair.a).await)), (0, 0));
}

#[tokio::test]
async fn a_restart_of_an_open_channel_that_is_refused_is_made_again() {
    let mut pair = pair();
    pair.open().await;
    pair.a.command(Command::Renegotiate).await;
    let mut refused = false;
    let mut answered = false;
    let relaying = async {
        while !answered {
            tokio::select! {
                Some((_, notice)) = pair.a.notices.recv() => {
                    let is_offer = matches!(notice, Notice::Description { kind: DescriptionKind::Offer, .. });
                    if is_offer && !std::mem::replace(&mut refused, true) {
                        pair.a.command(Command::NotRelayed { retry_after: Duration::ZERO }).await;
                    } else {
                        relay(notice, &pair.b.handle.commands).await;
                    }
                }
                Some((_, notice)) = pair.b.notices.recv() => {
                    answered |= matches!(notice, Notice::Description { kind: DescriptionKind::Answer, .. });
                    relay(notice, &pair.a.handle.commands).await;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, relaying).await.expect("the restart is answered");
    assert_eq!(repetitions(&timeline(&pair.a).await), 1);
    pair.a.say(1).await;
    pair.b.say(1).await;
    pair.run(|notice| notice, |a, b| messages(a) == [1] && messages(b) == [1]).await;
}
