//! Answers that might tell apart what must look alike: which sessions and which peers there are. Their texts are
//! compared, and the times that they take.

use bytes::Bytes;
use patchcord_proto::v1::{
    SignalRequest,
    signal_request::{Message as Ask, Offer, Resume},
    signal_response::{Rejected, rejected::Code},
};
use tokio::time::{Duration, Instant};

use super::{
    kit::{Peer, connect},
    target::Target,
};

/// A stream that has not joined is ended after five seconds.
const PROBING_MAX: Duration = Duration::from_secs(3);
const TOKEN_BYTES: usize = 32;

/// What one kind of question was answered, and how soon.
struct Kind {
    name: &'static str,
    answer: Option<Rejected>,
    took_us: Vec<f64>,
}

impl Kind {
    fn new(name: &'static str) -> Self {
        Self { name, answer: None, took_us: Vec::new() }
    }

    fn note(&mut self, answer: Rejected, took: Duration) {
        let answer = Rejected { request_seq: 0, ..answer };
        assert_eq!(self.answer.get_or_insert_with(|| answer.clone()), &answer, "{}", self.name);
        self.took_us.push(took.as_secs_f64() * 1e6);
    }
}

/// Tokens that were never issued, were and are void, and one bit off a good one.
pub async fn resume_oracle(target: &Target) -> String {
    let mut holder = Peer::open(connect(target.public).await).await.unwrap();
    let good = holder.join("oracle", "holder").await.resume_token;
    let mut leaver = Peer::open(connect(target.public).await).await.unwrap();
    let void = leaver.join("oracle-2", "leaver").await.resume_token;
    leaver.leave().await;
    leaver.rest().await.1.unwrap();
    let mut wrong = good.to_vec();
    wrong[TOKEN_BYTES - 1] ^= 1;
    let tokens = [Bytes::from(vec![0x55; TOKEN_BYTES]), void, wrong.into()];
    let mut kinds = ["never issued", "void", "one bit off"].map(Kind::new);
    let count = target.scale(300, 33_334);
    while kinds[2].took_us.len() < count {
        let mut prober = Peer::open(connect(target.public).await).await.unwrap();
        let opened = Instant::now();
        while kinds[2].took_us.len() < count && opened.elapsed() < PROBING_MAX {
            for at in turn(kinds.len(), kinds[0].took_us.len()) {
                let (kind, token) = (&mut kinds[at], &tokens[at]);
                let resume = Resume { resume_token: token.clone(), last_seq: 0 };
                let request = SignalRequest { seq: 0, ack: 0, message: Some(Ask::Resume(resume)) };
                let asked = Instant::now();
                prober.send_request(request).await;
                // Before a session nothing has a number.
                let answer = prober.rejected().await;
                kind.note(answer, asked.elapsed());
            }
        }
    }
    assert_eq!(kinds[0].answer.as_ref().unwrap().code(), Code::SessionUnknown);
    // It was good all the while.
    let mut again = Peer::open(connect(target.public).await).await.unwrap();
    let resume = Resume { resume_token: good, last_seq: holder.last_seq };
    again.send_request(SignalRequest { seq: 0, ack: 0, message: Some(Ask::Resume(resume)) }).await;
    assert!(matches!(again.told().await, patchcord_proto::v1::signal_response::Message::Resumed(_)));
    let [never, others @ ..] = &kinds;
    compare(never, others)
}

/// Ids of peers elsewhere and of nobody.
pub async fn peer_oracle(target: &Target) -> String {
    let mut hidden = Peer::open(connect(target.public).await).await.unwrap();
    let hidden = (hidden.join("hidden", "hidden").await.peer_id, hidden);
    let mut prober = Peer::open(connect(target.public).await).await.unwrap();
    prober.join("oracle", "prober").await;
    // As random as the other: one that is all of a letter is parsed sooner.
    let mut nobody = Peer::open(connect(target.public).await).await.unwrap();
    let nobody_id = nobody.join("elsewhere", "nobody").await.peer_id;
    nobody.leave().await;
    nobody.rest().await.1.unwrap();
    let ids = [nobody_id, hidden.0.clone()];
    let mut kinds = ["of nobody", "of another room"].map(Kind::new);
    for round in 0..target.scale(300, 50_000) {
        for at in turn(kinds.len(), round) {
            let (kind, to_peer_id) = (&mut kinds[at], &ids[at]);
            let asked = Instant::now();
            prober.ask(Ask::Offer(Offer { to_peer_id: to_peer_id.clone(), sdp: "v=0".to_owned() })).await;
            kind.note(prober.rejected().await, asked.elapsed());
        }
    }
    assert_eq!(kinds[0].answer.as_ref().unwrap().code(), Code::NoSuchPeer);
    let [nobody, others @ ..] = &kinds;
    compare(nobody, others)
}

/// Each kind goes first as often as any other: what was asked before tells in the time of what is asked next.
fn turn(kinds: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..kinds).map(move |at| (at + round) % kinds)
}

/// Says how alike the times of the others are to those of the first. That the answers are is asserted.
fn compare(first: &Kind, others: &[Kind]) -> String {
    let mut told = format!("{} answers {:?} alike", first.took_us.len() * (others.len() + 1), code(first));
    let first_sorted = sorted(&first.took_us);
    for other in others {
        assert_eq!(first.answer, other.answer, "{} and {}", first.name, other.name);
        let other_sorted = sorted(&other.took_us);
        let p = same_distribution(&first_sorted, &other_sorted);
        let [apart, spread] = [
            quantile(&first_sorted, 0.5) - quantile(&other_sorted, 0.5),
            quantile(&first_sorted, 0.9) - quantile(&first_sorted, 0.1),
        ];
        assert!(apart.abs() <= spread, "{}: medians {apart:.1} us apart, spread {spread:.1} us", other.name);
        told += &format!(
            "; {} and {}: p = {p:.2}, medians {:.1} us apart of a spread of {spread:.0} us",
            first.name,
            other.name,
            apart.abs()
        );
    }
    told
}

fn code(kind: &Kind) -> Code {
    kind.answer.as_ref().map(Rejected::code).unwrap_or_default()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
}

/// The two-sample test of Kolmogorov and Smirnov: how likely samples of one distribution are so far apart.
fn same_distribution(one: &[f64], other: &[f64]) -> f64 {
    let (mut at, mut furthest) = ([0, 0], 0.0_f64);
    while at[0] < one.len() && at[1] < other.len() {
        let value = one[at[0]].min(other[at[1]]);
        for (at, sample) in at.iter_mut().zip([one, other]) {
            while *at < sample.len() && sample[*at] <= value {
                *at += 1;
            }
        }
        furthest = furthest.max((at[0] as f64 / one.len() as f64 - at[1] as f64 / other.len() as f64).abs());
    }
    let size = ((one.len() * other.len()) as f64 / (one.len() + other.len()) as f64).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * furthest;
    // The series does not converge at 0, where it is 1.
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * lambda * lambda).exp();
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}
