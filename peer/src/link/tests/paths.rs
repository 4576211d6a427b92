//! What is told of candidates and paths.

use super::*;
use crate::{ConnectionStep, Path};

async fn steps(end: &End) -> Vec<ConnectionStep> {
    let (report_tx, report) = oneshot::channel();
    end.command(Command::Report(report_tx)).await;
    report.await.unwrap().timeline.into_iter().map(|entry| entry.step).collect()
}

/// How often the first candidates of the link itself and of its peer were told.
async fn first_candidates(end: &End) -> (usize, usize) {
    let steps = steps(end).await;
    let count = |wanted: fn(&ConnectionStep) -> bool| steps.iter().filter(|step| wanted(step)).count();
    let own = count(|step| matches!(step, ConnectionStep::FirstLocalCandidate(_)));
    (own, count(|step| matches!(step, ConnectionStep::FirstRemoteCandidate(_))))
}

#[tokio::test]
async fn a_restart_by_either_side_tells_the_first_candidates_anew_to_both() {
    let mut pair = pair();
    pair.open().await;
    for generation in [2, 3] {
        let restarting = if generation == 2 { &pair.a } else { &pair.b };
        restarting.command(Command::Renegotiate).await;
        let told = async {
            while (first_candidates(&pair.a).await, first_candidates(&pair.b).await)
                != ((generation, generation), (generation, generation))
            {
                while let Ok((_, notice)) = pair.a.notices.try_recv() {
                    relay(notice, &pair.b.handle.commands).await;
                }
                while let Ok((_, notice)) = pair.b.notices.try_recv() {
                    relay(notice, &pair.a.handle.commands).await;
                }
                tokio::task::yield_now().await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert!(told.is_ok(), "{:?}\n{:?}", steps(&pair.a).await, steps(&pair.b).await);
    }
}

#[tokio::test]
async fn a_host_whose_checks_came_before_its_candidate_is_called_a_host_once_that_is_there() {
    let mut pair = pair();
    pair.a.command(Command::Connect).await;
    let mut held = Vec::new();
    let hold = async {
        loop {
            tokio::select! {
                Some((_, notice)) = pair.a.notices.recv() => relay(notice, &pair.b.handle.commands).await,
                Some((_, notice)) = pair.b.notices.recv() => match notice {
                    Notice::Candidate(_) => held.push(notice),
                    notice => relay(notice, &pair.a.handle.commands).await,
                },
                Some(event) = pair.a.events.recv() => if let Event::Connection { path: Some(path), .. } = event {
                    return path.remote;
                },
            }
        }
    };
    let before = tokio::time::timeout(PATIENCE, hold).await.expect("a path is found");
    assert_eq!(before, CandidateType::Prflx);
    for notice in held {
        relay(notice, &pair.a.handle.commands).await;
    }
    let is_host = |event: &Event| {
        matches!(event, Event::Connection { path: Some(Path { remote: CandidateType::Host, .. }), .. })
    };
    pair.run(|notice| notice, |a, _| a.iter().any(is_host)).await;
}
